"""Which process somebody is: so that another one on the same machine can tell that it is dead, and never guesses."""

from __future__ import annotations

import os
import socket
from pathlib import Path

ENGINE = "pulumi"
"""Name of the engine's program."""


def identity() -> str:
    """Return this process's identity: machine, process id and when it was started, for ids are used again."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def is_dead(name: str) -> bool:
    """Whether a process of this machine no longer runs; of another machine's nothing is known here, so False."""
    host, _, rest = name.partition(":")
    pid, _, started = rest.partition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    return _started(int(pid)) != started


def engine_is_dead(host: str, pid: int) -> bool:
    """Whether the engine that a lock names no longer runs; of another machine's nothing is known here, so False."""
    if host != socket.gethostname():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    try:  # in a container ids are small, and soon another process's or a thread's
        return Path(f"/proc/{pid}/comm").read_text().strip() != ENGINE
    except OSError:
        return False


def _started(pid: int) -> str:
    """Return when a process was started, in clock ticks since the boot; ``gone`` where there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[-1].split()
    except OSError:
        return "gone"
    return "gone" if fields[0] in {"Z", "X"} else fields[19]
