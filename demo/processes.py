"""The demo's own background processes: started once, found again, ended by their id."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from demo.places import LOGS, PROCESSES, PROJECT

STOP_SECONDS = 15.0


class StartError(Exception):
    """A process ended or did not become ready in time; the message has the end of its log."""


def start(name: str, argv: Sequence[str], variables: Mapping[str, str]) -> bool:
    """Start a process in the background unless it runs; return whether it was started."""
    if _running(name) is not None:
        return False
    LOGS.mkdir(parents=True, exist_ok=True)
    PROCESSES.mkdir(parents=True, exist_ok=True)
    with log_of(name).open("ab") as log:
        process = subprocess.Popen(
            argv,
            cwd=PROJECT,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    process.returncode = 0  # it outlives this program: Popen shall not warn that nobody waited
    _file(name).write_text(f"{process.pid} {_started(process.pid)}")
    return True


def wait_until(name: str, ready: Callable[[], bool], *, seconds: float = 30.0) -> None:
    """Wait until a process is ready.

    Raises:
        StartError: it ended, or is not ready in time.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if _running(name) is None or time.monotonic() > deadline:
            lines = "\n  ".join(log_of(name).read_text(errors="replace").splitlines()[-15:])
            msg = f"{name} did not start; the end of {log_of(name)}:\n  {lines}"
            raise StartError(msg)
        time.sleep(0.1)


def stop(name: str) -> bool:
    """End a process of ours, first politely; return whether there was one."""
    pid = _running(name)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while _running(name) is not None and time.monotonic() < deadline:
            _reap(pid)
            time.sleep(0.05)
        if _running(name) is not None:
            os.killpg(pid, signal.SIGKILL)
    _file(name).unlink(missing_ok=True)
    return pid is not None


def log_of(name: str) -> Path:
    """Return a process's log file."""
    return LOGS / f"{name}.log"


def _running(name: str) -> int | None:
    """Return the id of a process that we started and that still is the same one."""
    try:
        pid, started = _file(name).read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    _reap(int(pid))
    return int(pid) if _started(int(pid)) == started else None


def _file(name: str) -> Path:
    return PROCESSES / name


def _started(pid: int) -> str:
    """Return when a process was started (clock ticks since boot): an id may be used again, this with it not."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[-1].split()
    except (FileNotFoundError, ProcessLookupError):
        return "gone"
    return "gone" if fields[0] == "Z" else fields[19]


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
