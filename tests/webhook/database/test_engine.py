"""Opening a database: which URLs, how durable, and who waits for whom."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError, OperationalError

from tests.webhook.databases import Postgres
from webhook.database.engine import DatabaseUrlError, open_database, reading
from webhook.database.migrate import migrate
from webhook.database.schema import database_problem

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "no database URL"),
        ("nonsense", "no database URL"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("mysql://root@host/name", "mysql is not supported"),
        ("postgresql+psycopg2://host/name", "psycopg2 is not supported"),
    ],
)
def test_other_databases_are_refused(url: str, words: str) -> None:
    """With what to write instead, and without the URL, which may hold a password."""
    with pytest.raises(DatabaseUrlError, match=words):
        open_database(url)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgres_is_spoken_to_by_psycopg(scheme: str) -> None:
    """Whichever of its usual names the URL has."""
    engine = open_database(f"{scheme}://user:secret@nowhere.invalid/name")
    assert engine.dialect.driver == "psycopg"
    assert "secret" not in repr(engine.url)


def test_sqlite_is_durable_and_strict(tmp_path: Path) -> None:
    """WAL, each commit on the disk, foreign keys, and waiting for locks; and only its owner reads it."""
    path = tmp_path / "deep" / "below" / "management.sqlite3"
    engine = open_database(f"sqlite:///{path}")
    with engine.connect() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}
    migrate(engine)
    modes = {each.name: oct(each.stat().st_mode & 0o777) for each in path.parent.iterdir()}
    assert modes == dict.fromkeys([f"management.sqlite3{end}" for end in ("", "-wal", "-shm")], "0o600")
    engine.dispose()


def test_postgres_is_durable(postgres: Postgres) -> None:
    """Also where its administrator switched that off, which is common for speed."""
    engine = open_database(postgres.url("postgres"), wait_seconds=3)
    with engine.begin() as connection:
        connection.execute(text("ALTER ROLE postgres SET synchronous_commit = off"))
    engine.dispose()
    with engine.connect() as connection:
        settings = {
            name: connection.execute(text(f"SHOW {name}")).scalar_one()
            for name in ("synchronous_commit", "lock_timeout", "TimeZone")
        }
    assert settings == {"synchronous_commit": "on", "lock_timeout": "3s", "TimeZone": "UTC"}
    with engine.begin() as connection:
        connection.execute(text("ALTER ROLE postgres RESET synchronous_commit"))
    engine.dispose()


def test_foreign_keys_hold(engine: Engine) -> None:
    """On both."""
    statement = text("INSERT INTO ledger (at, kind, ref, detail, cause_id) VALUES (:at, 'commit', 'x', '{}', 99)")
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(statement, {"at": "2026-01-01 00:00:00"})


def test_errors_tell_no_values(engine: Engine) -> None:
    """They are logged, and the values are people's."""
    statement = text("INSERT INTO nowhere (email) VALUES (:email)")
    with pytest.raises(Exception, match="nowhere") as caught, engine.begin() as connection:
        connection.execute(statement, {"email": "ada@example.org"})
    assert "ada@example.org" not in str(caught.value)


def test_readers_do_not_wait_for_a_writer(engine: Engine) -> None:
    """They see what was committed; on SQLite a second writer waits, and gives up."""
    with engine.begin() as writer:
        writer.execute(text("INSERT INTO marks VALUES ('registry', 'abc')"))
        with reading(engine).connect() as reader:
            assert reader.execute(text("SELECT count(*) FROM marks")).scalar_one() == 0
        assert database_problem(engine) is None
        if engine.dialect.name == "sqlite":
            impatient = open_database(str(engine.url), wait_seconds=0.1)
            with pytest.raises(OperationalError, match="locked"), impatient.begin():
                pass
            impatient.dispose()
    with reading(engine).connect() as reader:
        assert reader.execute(text("SELECT count(*) FROM marks")).scalar_one() == 1


def test_a_writer_waits_for_its_turn(tmp_path: Path) -> None:
    """A read before a write is no reason to fail: SQLite refuses one that began as a reader."""
    engine = open_database(f"sqlite:///{tmp_path / 'one.sqlite3'}")
    migrate(engine)
    failures: list[Exception] = []

    def count_up() -> None:
        try:
            for _ in range(20):
                with engine.begin() as connection:
                    number = connection.execute(text("SELECT count(*) FROM marks")).scalar_one()
                    connection.execute(
                        text("INSERT INTO marks VALUES (:name, 'abc')"),
                        {"name": f"n{number}"},
                    )
        except Exception as error:  # noqa: BLE001 - told below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM marks")).scalar_one() == 80
    engine.dispose()


def test_a_commit_survives_a_kill(engine: Engine, database_url: str) -> None:
    """What a killed process had committed is there, what it had not is gone, and nothing stays locked."""
    script = (
        "import os, signal, sys\n"
        "from sqlalchemy import text\n"
        "from webhook.database.engine import open_database\n"
        "engine = open_database(sys.argv[1])\n"
        "insert = text(\"INSERT INTO marks VALUES (:name, 'abc')\")\n"
        "with engine.begin() as connection:\n"
        "    connection.execute(insert, {'name': 'kept'})\n"
        "connection = engine.connect()\n"
        "connection.execute(insert, {'name': 'lost'})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, database_url], cwd=ROOT, check=False)
    assert done.returncode == -9
    with engine.begin() as connection:
        assert list(connection.scalars(text("SELECT name FROM marks"))) == ["kept"]
        connection.execute(text("DELETE FROM marks"))


def test_a_database_that_is_no_database(tmp_path: Path) -> None:
    """Is told as a problem, in words of ours; what SQLite says stays inside."""
    path = tmp_path / "one.sqlite3"
    path.write_text("this was a text all the time, and not a short one either\n" * 20)
    engine = open_database(f"sqlite:///{path}")
    problem = database_problem(engine)
    assert problem is not None
    assert problem.startswith("it does not answer")
    assert str(tmp_path) not in problem
    engine.dispose()


def test_a_database_that_does_not_answer() -> None:
    """Nobody listens there: the problem is told in time."""
    engine = open_database("postgresql://user:secret@127.0.0.1:9/name", wait_seconds=1)
    begin = time.monotonic()
    assert (database_problem(engine) or "").startswith("it does not answer")
    assert time.monotonic() - begin < 10
    engine.dispose()


def test_connections_are_made_again_after_a_restart(postgres: Postgres) -> None:
    """Postgres ended them: the next question is answered, without an error in between."""
    engine, killer = open_database(postgres.url("postgres")), open_database(postgres.url("template1"))
    with engine.connect() as connection:
        before = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with killer.connect() as connection:
        assert connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": before}).scalar_one()
    killer.dispose()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT pg_backend_pid()")).scalar_one() != before
    engine.dispose()
