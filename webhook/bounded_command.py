"""The engine's CLI with an end: what hangs is asked to stop, then stopped.

The SDK's own command waits for ever, and can't be told to stop. An update that is asked (SIGINT) ends what it is at,
writes its state and gives its lock back; one that is killed leaves both to the next update's recovery.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO

from pulumi import automation
from pulumi.automation.errors import create_command_error

UPDATE_SECONDS = 900.0
"""Deadline of a command. A server's order and first boot are the longest; a cell's update takes seconds."""
GRACE_SECONDS = 60.0
"""From SIGINT to SIGKILL: what the engine is at may take as long, such as waiting until an instance is healthy."""
LAST_SECONDS = 5.0
TIMED_OUT = 124
"""Exit code of a command that was stopped, as of ``timeout`` (coreutils)."""

OnOutput = Callable[[str], object]


class BoundedCommand(automation.PulumiCommand):
    """Runs the CLI in a process group of its own, with a deadline; may be interrupted from another thread."""

    def __init__(
        self, root: str | None = None, *, seconds: float = UPDATE_SECONDS, grace_seconds: float = GRACE_SECONDS
    ) -> None:
        """Find the CLI.

        Args:
            root: Folder with ``bin/pulumi``; by default the one on PATH.
            seconds: Deadline of each command.
            grace_seconds: From asking to killing.
        """
        super().__init__(root=root)
        self._seconds = seconds
        self._grace_seconds = grace_seconds
        self._running: set[subprocess.Popen[str]] = set()
        self._interrupted = threading.Event()

    def interrupt(self) -> None:
        """Ask all that runs to stop, and wait until it has; start nothing more: this process is about to end."""
        self._interrupted.set()
        running = tuple(self._running)
        for process in running:
            _signal(process, signal.SIGINT)
        deadline = time.monotonic() + self._grace_seconds
        for process in running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: OnOutput | None = None,
        on_error: OnOutput | None = None,
    ) -> automation.CommandResult:
        """Run a command to its end or its deadline.

        Raises:
            automation.CommandError: it failed, or was stopped; then the message says so.
        """
        folder = os.path.dirname(self.command)  # noqa: PTH120 - of a text, as the SDK has it
        path = [*([folder] if folder else []), additional_env.get("PATH") or os.environ.get("PATH", os.defpath)]
        process = subprocess.Popen(
            [self.command, "--non-interactive", *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env={**os.environ, **additional_env, "PULUMI_AUTOMATION_API": "true", "PATH": os.pathsep.join(path)},
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # a signal to it reaches its plugins, and none of ours reaches it by chance
        )
        self._running.add(process)
        if self._interrupted.is_set():
            _signal(process, signal.SIGINT)
        out, err = _Reader(process.stdout, on_output), _Reader(process.stderr, on_error)
        try:
            stopped = self._wait(process)
        except BaseException:
            _signal(process, signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(self._grace_seconds)
            _signal(process, signal.SIGKILL)
            raise
        finally:
            self._running.discard(process)
            out.finish()
            err.finish()
        code = process.returncode
        result = automation.CommandResult(stdout=out.text, stderr=err.text, code=TIMED_OUT if stopped else code)
        if stopped:
            result.stderr += f"\n{stopped}"
        if result.code != 0:
            raise create_command_error(result)
        return result

    def _wait(self, process: subprocess.Popen[str]) -> str | None:
        """Wait for the end, or make one; return how it was stopped."""
        words = f"the engine did not come to its end within {self._seconds:.0f} s"
        with suppress(subprocess.TimeoutExpired):
            process.wait(self._seconds)
            return None
        _signal(process, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(self._grace_seconds)
            return f"{words} and was stopped; its state is whole. It is tried again; see what it waited for."
        _signal(process, signal.SIGKILL)
        process.wait()
        return f"{words}, did not heed SIGINT and was killed. The next update takes away what it may have left."


class _Reader:
    """Reads a stream to its end, line by line, in a thread of its own."""

    def __init__(self, stream: IO[str] | None, tell: OnOutput | None) -> None:
        self._stream = stream
        self._tell = tell
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def text(self) -> str:
        return "\n".join(self._lines)

    def finish(self) -> None:
        """Wait for the last line; not for long, for a plugin that outlives the CLI keeps the stream open."""
        self._thread.join(LAST_SECONDS)

    def _read(self) -> None:
        if self._stream is None:
            return
        with self._stream:
            for line in self._stream:
                self._lines.append(line.rstrip())
                if self._tell is not None:
                    self._tell(self._lines[-1])


def _signal(process: subprocess.Popen[str], number: int) -> None:
    """Signal the whole group, if there is one still."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
