"""A customer's volume on its cell, read by a throw-away container beside whatever runs on it.

One way for running and stopped instances: the container has the tools (the cell's own tenant image), no network, no
capability, no environment of the customer's, and memory of its own. SQLite's files may be shared by processes of one
kernel, so what the app does meanwhile is seen, and not disturbed.
"""

from __future__ import annotations

import secrets
import subprocess
import tempfile
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from stacks.names import volume_name
from webhook.cell_engine import CellEngine, EngineError

SCRIPT = Path(__file__).with_name("volume_reader.sh")
EXPIRES = "markitup.reader-expires"
"""Label of a reading container: the second (Unix time) after which nobody waits for it."""
SLACK_SECONDS = 60
"""For Docker to start a container, beyond the time that its work may take."""
MEMORY = "256m"
FAILURES = {
    40: "markitup.db in it is no regular file. Fix: look at what has taken its place",
    41: "SQLite can't read its database. Fix: try again; if it stays so, restore the database from a backup",
    42: "there is no room on the disk for a copy of its database. Fix: make room on the cell",
    43: "a file in it could not be read to its end. Fix: try again; if it stays so, look at the files' modes",
    44: "compressing it failed. Fix: try again; if it stays so, look at the cell's memory",
    45: "a folder in it can't be read. Fix: look at the folders' modes",
    137: "it took too long, or more memory than there is. Fix: look at the cell's load, then try again",
}
"""Exit status of volume_reader.sh, or of `timeout`, to what it means."""
ENGINE_FAILED = frozenset({125, 126, 127, 255})
"""Exit status of `docker run` and of ssh for failures of their own: their words hold nothing of a customer's."""


class VolumeError(Exception):
    """A customer's volume can't be read; the message says why, and what to do."""


@dataclass(frozen=True, kw_only=True)
class CustomerVolume:
    """Where a customer's data is.

    Attributes:
        engine: The cell's Engine.
        image: The cell's tenant image, which is there.
        cell: Its name.
        customer_id: Whose it is.
    """

    engine: CellEngine
    image: str
    cell: str
    customer_id: str

    @property
    def name(self) -> str:
        """Docker's name of it."""
        return volume_name(self.cell, self.customer_id)

    @contextmanager
    def reading(
        self, task: Literal["measure", "archive"], *, seconds: int, environment: Mapping[str, str] | None = None
    ) -> Generator[Output]:
        """Run volume_reader.sh on the volume and give what it writes; afterwards its container is gone.

        Args:
            task: What it does.
            seconds: After which it is ended.
            environment: Its variables.

        Raises:
            EngineError: the Engine can't be reached.
            VolumeError: there is no such volume, or (while reading) it can't be read.
        """
        self._check()
        self._remove_expired()
        name = f"markitup-reader-{secrets.token_hex(8)}"
        expires = int(time.time()) + seconds + SLACK_SECONDS
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                self.engine.argv(*self._run(task, name, expires, seconds, environment or {})),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
            deadline = threading.Timer(seconds + SLACK_SECONDS, process.kill)
            deadline.start()
            try:
                yield Output(self, process, errors)
            finally:
                deadline.cancel()
                with process:
                    process.kill()
                if process.returncode != 0:
                    with suppress(EngineError):
                        self.engine.run("rm", "--force", "--volumes", name)

    def _check(self) -> None:
        """Refuse a volume that is not there: `docker run` would make one."""
        found = self.engine.run("volume", "ls", "--filter", f"name=^{self.name}$", "--format", OWNER).splitlines()
        if not found:
            raise VolumeError(f"{self.engine.host} has no volume {self.name}. Fix: hosting up --cell {self.cell}")
        if found != [self.customer_id]:
            raise VolumeError(f"{self.name} on {self.engine.host} is not labelled as the customer's. Fix: look whose")

    def _remove_expired(self) -> None:
        """Remove containers that were created for a worker that died before it started them."""
        listed = self.engine.run("ps", "--all", "--filter", f"label={EXPIRES}", "--format", EXPIRY)
        pairs = [line.split() for line in listed.splitlines()]
        expired = [container for container, expires in pairs if int(expires) < time.time()]
        if expired:
            with suppress(EngineError):  # another one removes it just now
                self.engine.run("rm", "--force", "--volumes", *expired)

    def _run(self, task: str, name: str, expires: int, seconds: int, environment: Mapping[str, str]) -> tuple[str, ...]:
        return (
            *("run", "--rm", "--name", name, "--label", f"{EXPIRES}={expires}", "--pull", "never"),
            # Without the last one Docker would write the whole archive into a log on the cell's disk.
            *("--network", "none", "--log-driver", "none"),
            # `timeout` can't end a process 1, and busybox's becomes what it runs: hence --init.
            *(
                "--init",
                "--read-only",
                "--cap-drop",
                "ALL",
                "--security-opt",
                "no-new-privileges",
                "--user",
                "1001:1001",
            ),
            *("--memory", MEMORY, "--memory-swap", MEMORY, "--cpus", "1", "--pids-limit", "64"),
            # A nameless volume for the copy of the database: at this path it belongs to the image's user.
            *("--mount", "type=volume,dst=/app/data", "--workdir", "/app/data"),
            *("--mount", f"type=volume,src={self.name},dst=/app/data/files,volume-nocopy"),
            *(word for key, value in environment.items() for word in ("--env", f"{key}={value}")),
            *("--entrypoint", "timeout", self.image, "-s", "KILL", str(seconds)),
            *("sh", "-c", SCRIPT.read_text(encoding="utf-8"), SCRIPT.name, task),
        )


OWNER = '{{.Label "markitup.customer"}}'
EXPIRY = f'{{{{.ID}}}} {{{{.Label "{EXPIRES}"}}}}'


class Output:
    """What volume_reader.sh writes: readable to its end, where an end without success is an error."""

    def __init__(self, volume: CustomerVolume, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        self._volume = volume
        self._process = process
        self._errors = errors

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, fewer than asked for at the end only; by default all that is left.

        Raises:
            VolumeError: it ended without success.
            EngineError: Docker or ssh did.
        """
        stream = self._process.stdout
        data = b"" if stream is None else stream.read(size)
        if size < 0 or len(data) < size:
            self._end()
        return data

    def said(self) -> str:
        """Return what it wrote to stderr."""
        self._errors.seek(0)
        return self._errors.read(10_000).decode(errors="replace")

    def _end(self) -> None:
        status = self._process.wait()
        if status == 0:
            return
        where = f"{self._volume.name} on {self._volume.engine.host}"
        if status in ENGINE_FAILED:
            raise EngineError(self._volume.engine.refusal("run", self.said()))
        if status < 0:  # by our own deadline: `timeout` in the container did not get that far
            status = 137
        raise VolumeError(f"{where}: {FAILURES.get(status, f'reading it ended with status {status}')}.")
