"""A Postgres of its own, where Debian's is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def postgres() -> Generator[str | None]:
    """Yield the URL of an empty database, durable as by default; None where Postgres is not installed."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs:
        yield None
        return
    user = "postgres" if os.geteuid() == 0 else None  # it refuses root
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # a short path: its socket is in it
    data, log = folder / "data", folder / "log"

    def run(program: str, *arguments: str) -> None:
        argv = [str(programs[-1] / program), "-D", str(data), *arguments]
        subprocess.run(argv, cwd=folder, user=user, stdout=subprocess.DEVNULL, check=True)

    try:
        if user is not None:
            shutil.chown(folder, user)
        run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        run("pg_ctl", "start", "-w", "-l", str(log), "-o", f"-c listen_addresses= -c unix_socket_directories={folder}")
        try:
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            run("pg_ctl", "stop", "-w", "-m", "fast")
    finally:
        shutil.rmtree(folder)
