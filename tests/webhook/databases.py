"""Both databases for tests: an SQLite file, and a real Postgres that is started once and ended with the session."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from webhook.database.engine import open_database
from webhook.database.migrate import migrate

NUMBERS = count(1)


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """A cluster of our own, reached by its socket only.

    Attributes:
        folder: Where its data and its socket are.
        programs: Folder of initdb and pg_ctl.
        user: As whom it runs; Postgres refuses root.
    """

    folder: Path
    programs: Path
    user: str | None

    def url(self, database: str) -> str:
        """Return the URL of a database."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def run(self, program: str, *arguments: str) -> None:
        """Run one of its programs."""
        done = subprocess.run(
            [str(self.programs / program), *arguments],
            cwd=self.folder,
            user=self.user,
            stdout=subprocess.DEVNULL,  # no pipe: the server would keep it open
            stderr=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            check=False,
        )
        log = self.folder / "log"
        assert done.returncode == 0, (program, done.stderr, log.read_text() if log.exists() else "")

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = f"-c listen_addresses= -c unix_socket_directories={self.folder} -c max_connections=200"
        self.run(
            "pg_ctl", "start", "-w", "-D", str(self.folder / "data"), "-l", str(self.folder / "log"), "-o", options
        )

    def stop(self) -> None:
        """Stop the server at once."""
        self.run("pg_ctl", "stop", "-w", "-D", str(self.folder / "data"), "-m", "immediate")


def make_postgres() -> Postgres:
    """Make a cluster in a folder of its own, whose path is short enough for a socket."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    assert programs, "Postgres is not installed. Fix: sh scripts/test-machine.sh"
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    if user is not None:
        shutil.chown(folder, user)
    postgres = Postgres(folder=folder, programs=programs[-1], user=user)
    postgres.run(
        "initdb", "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"
    )
    return postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running cluster."""
    cluster = make_postgres()
    try:
        cluster.start()
        yield cluster
        cluster.stop()
    finally:
        shutil.rmtree(cluster.folder)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'management.sqlite3'}"
        return
    cluster: Postgres = request.getfixturevalue("postgres")
    name = f"test_{os.getpid()}_{next(NUMBERS)}"
    url = cluster.url("postgres").replace("postgresql:", "postgresql+psycopg:")
    admin = create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
        yield cluster.url(name)
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture
def empty_engine(database_url: str) -> Iterator[Engine]:
    """A database without tables."""
    engine = open_database(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def engine(empty_engine: Engine) -> Engine:
    """A database as this release needs it."""
    migrate(empty_engine)
    return empty_engine


@pytest.fixture
def light_engine(tmp_path: Path) -> Iterator[Engine]:
    """A database of one kind, where the other has nothing to add."""
    engine = open_database(f"sqlite:///{tmp_path / 'management.sqlite3'}")
    migrate(engine)
    yield engine
    engine.dispose()
