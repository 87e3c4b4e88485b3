"""How gunicorn runs the web process in a container."""

from __future__ import annotations

import importlib
import subprocess
import sys

bind = "0.0.0.0:8300"
workers = 1  # /metrics tells the numbers of the process that answers
threads = 8
worker_class = "gthread"
worker_tmp_dir = "/dev/shm"  # noqa: S108 - gunicorn's heartbeat, in memory
control_socket_disable = True
graceful_timeout = 20
"""Seconds for requests in progress after SIGTERM; less than the container's stop time-out."""


def on_starting(_server: object) -> None:
    """Do what takes seconds before the port is open.

    From then on Caddy may send requests to this container: it shares its name with the one that it will replace.
    """
    subprocess.run([sys.executable, "-m", "webhook.database"], check=True)
    importlib.import_module("webhook.app")  # the worker process is forked from this one
