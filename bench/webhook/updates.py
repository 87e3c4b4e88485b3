"""Real updates, one after another, for as long as something else is measured beside them."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from engine.install import ensure_engine

SECONDS = 120
COMPONENTS = 30
PROGRAM = f"""\
import time
import pulumi

for number in range({COMPONENTS}):
    part = pulumi.ComponentResource("bench:index:Part", f"part-{{number}}")
    pulumi.export(f"part-{{number}}", time.time())
"""
"""A cell's number of resources, and outputs that change each time; it needs no provider."""


@dataclass
class Updates:
    """What was updated meanwhile: the seconds of each update."""

    seconds: list[float] = field(default_factory=list)


@contextmanager
def updating(folder: Path) -> Generator[Updates]:
    """Update a stack again and again: the engine, its language host and a Python program, as on a worker's machine.

    Raises:
        BuildError: there is no engine and none can be built.
        CalledProcessError: an update failed.
    """
    engine = ensure_engine(lambda line: print(line, flush=True))
    state = folder / "state"
    state.mkdir(parents=True)
    (folder / "Pulumi.yaml").write_text("name: bench\nruntime: python\n")
    (folder / "__main__.py").write_text(PROGRAM)
    variables = {
        **os.environ,
        **engine.environment(),
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": "bench",
    }

    def pulumi(*arguments: str) -> None:
        argv = [str(engine.pulumi), *arguments, "--non-interactive", "--cwd", str(folder)]
        subprocess.run(argv, env=variables, check=True, capture_output=True, timeout=SECONDS)

    updates, enough, failures = Updates(), threading.Event(), list[Exception]()

    def repeat() -> None:
        while not enough.is_set():
            start = time.monotonic()
            try:
                pulumi("up", "--yes", "--skip-preview", "--stack", "bench")
            except subprocess.SubprocessError as failure:
                failures.append(failure)
                return
            updates.seconds.append(round(time.monotonic() - start, 1))

    pulumi("stack", "init", "bench")
    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield updates
    finally:
        enough.set()
        thread.join()
    if failures:
        raise failures[0]
