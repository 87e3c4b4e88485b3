"""Migrations: there and back on both databases, and at the end exactly what the models say."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import IntegrityError

from webhook.database.backups import BackupKind
from webhook.database.events import EventState
from webhook.database.ledger import LedgerKind
from webhook.database.migrate import MIGRATIONS, migrate
from webhook.database.schema import HEAD, METADATA, database_problem, revision

ROOT = Path(__file__).parents[3]
TABLES = {
    "backups",
    "customers",
    "events",
    "instances",
    "ledger",
    "mails",
    "marks",
    "reservations",
    "stacks",
    "subscriptions",
    "workers",
}


def differences(engine: Engine) -> list[Any]:
    """Return what Alembic would change to make the database as the models are."""
    options = {"compare_type": True, "compare_server_default": True}
    with engine.connect() as connection:
        return compare_metadata(MigrationContext.configure(connection, opts=options), METADATA)


def tables(engine: Engine) -> set[str]:
    """Return the database's tables but Alembic's."""
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


def test_from_empty_to_head_and_back(empty_engine: Engine) -> None:
    """And to head again; at each end the database is as it should be, and says so."""
    assert "at nothing" in (database_problem(empty_engine) or "")
    for _ in range(2):
        migrate(empty_engine, "head")
        assert tables(empty_engine) == TABLES == set(METADATA.tables)
        assert (revision(empty_engine), database_problem(empty_engine)) == (HEAD, None)
        migrate(empty_engine, "base")
        assert tables(empty_engine) == set()
        assert revision(empty_engine) is None


def test_the_models_are_what_the_migrations_make(engine: Engine) -> None:
    """Columns, types, defaults, indexes, unique and foreign keys."""
    assert differences(engine) == []


def test_a_difference_would_be_seen(engine: Engine) -> None:
    """Or the test above could not fail."""
    with engine.begin() as connection:
        connection.execute(text("DROP INDEX ix_ledger_kind_ref"))
        connection.execute(text("ALTER TABLE mails ADD COLUMN extra TEXT"))
    assert {each[0] for each in differences(engine)} == {"add_index", "remove_column"}


def test_a_revision_by_its_name(empty_engine: Engine) -> None:
    """Reached from below, and a second time without a change."""
    for _ in range(2):
        migrate(empty_engine, HEAD)
        assert revision(empty_engine) == HEAD


def test_the_newest_revision_is_the_one_that_the_service_expects() -> None:
    """The web process compares with a constant; exactly one revision has no other after it."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_a_failed_migration_changes_nothing(empty_engine: Engine) -> None:
    """A table that is in the way of the last one: none of the others is left, and the next try succeeds."""
    with empty_engine.begin() as connection:
        connection.execute(text("CREATE TABLE mails (anything TEXT)"))
    with pytest.raises(Exception, match="mails"):
        migrate(empty_engine)
    assert tables(empty_engine) == {"mails"}
    assert revision(empty_engine) is None
    with empty_engine.begin() as connection:
        connection.execute(text("DROP TABLE mails"))
    migrate(empty_engine)
    assert database_problem(empty_engine) is None


def test_two_that_start_at_once(empty_engine: Engine) -> None:
    """Both find the database migrated; neither fails on the other's tables."""
    ready = threading.Barrier(2)
    failures: list[Exception] = []

    def start() -> None:
        ready.wait()
        try:
            migrate(empty_engine)
        except Exception as error:  # noqa: BLE001 - told below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert database_problem(empty_engine) is None


def test_data_survives_a_second_migration(engine: Engine) -> None:
    """Which every start of the service is."""
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO customers (email, created_at) VALUES ('a@b.c', '2026-01-01 00:00:00')"))
    migrate(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM customers")).scalar_one() == 1


@pytest.mark.parametrize(
    ("table", "column", "words"),
    [
        ("events", "state", [each.value for each in EventState]),
        ("ledger", "kind", [each.value for each in LedgerKind]),
        ("backups", "kind", [each.value for each in BackupKind]),
    ],
)
def test_words_are_those_of_the_models(engine: Engine, table: str, column: str, words: list[str]) -> None:
    """The database takes each of them and no other: comparing metadata does not see a CHECK."""
    others = {
        "events": ("id, type, created, received_at, payload", ":id, 'x', :at, :at, '{}'"),
        "ledger": ("ref, at, detail", ":id, :at, '{}'"),
        "backups": ("s3_key, created_at, customer_id, filename, size_bytes, sha256", ":id, :at, 'x', 'x', 0, 'x'"),
    }
    names, values = others[table]
    insert = text(f"INSERT INTO {table} ({names}, {column}) VALUES ({values}, :word)")  # noqa: S608 - names of ours
    at = datetime(2026, 1, 1, tzinfo=UTC).isoformat(sep=" ")
    for word in words:
        with engine.begin() as connection:
            connection.execute(insert, {"id": word, "at": at, "word": word})
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(insert, {"id": "other", "at": at, "word": "other"})


def test_look_up_columns_have_indexes(engine: Engine) -> None:
    """Those by which pages, workers and sweeps ask."""
    wanted = {
        "customers": {"email", "stripe_customer"},
        "instances": {"subdomain", "cell", "status", "owner_id"},
        "subscriptions": {"stripe_customer", "customer_id", "status", "current_period_end"},
        "backups": {"customer_id", "s3_key", "created_at"},
        "events": {"state", "type"},
        "ledger": {"customer_id", "cause_id", "cause_event_id", "kind"},
        "mails": {"customer_id"},
        "reservations": {"holder", "customer_id", "session_id", "expires_at"},
        "workers": {"seen_at"},
    }
    inspector = inspect(engine)
    for table, columns in wanted.items():
        first = {index["column_names"][0] for index in inspector.get_indexes(table)}
        first |= {constraint["column_names"][0] for constraint in inspector.get_unique_constraints(table)}
        assert columns <= first, table


def test_the_command(database_url: str) -> None:
    """`python -m webhook.database` needs the database's URL and nothing of Stripe's; it says what is wrong with it."""
    variables = {**os.environ, "HOSTING_DATABASE_URL": database_url}
    argv = [sys.executable, "-W", "error", "-m", "webhook.database"]
    for arguments, said in (([], f"at {HEAD}"), (["base"], "at nothing"), (["head"], f"at {HEAD}")):
        done = subprocess.run([*argv, *arguments], cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert said in done.stdout
    wrong = {**variables, "HOSTING_DATABASE_URL": "mysql://root:secret@host/x"}
    done = subprocess.run(argv, cwd=ROOT, env=wrong, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "HOSTING_DATABASE_URL: mysql is not supported" in done.stderr
    assert "secret" not in done.stderr
