"""How a program reaches the Docker Engine of a server."""

SHARED_CONNECTION = ("-o", "ControlMaster=auto", "-o", "ControlPath=~/.ssh/hosting-%C", "-o", "ControlPersist=60s")
"""Options of ssh: one connection for all that an update does on a server. ssh takes an option's first value."""
