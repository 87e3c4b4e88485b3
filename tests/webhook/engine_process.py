"""A process that passes for an engine at work: it has the name and does nothing."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from webhook.process_identity import ENGINE


@contextmanager
def an_engine(folder: Path) -> Iterator[int]:
    """Run one and return its id; it is killed at the end."""
    program = folder / ENGINE
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    with subprocess.Popen([program, "60"]) as process:
        while Path(f"/proc/{process.pid}/comm").read_text() != f"{ENGINE}\n":  # the kernel names it a moment later
            time.sleep(0.01)
        yield process.pid
        process.kill()
