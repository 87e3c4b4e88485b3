"""Brings a database from any revision to any other one."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK = 4_096_018_723
"""Number of the Postgres advisory lock: two processes that start at once migrate one after the other."""


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring a database to a revision: all of it, or, if something fails, nothing.

    Args:
        engine: The database.
        revision: ``head``, ``base`` or a revision's id, newer or older than the database's.
    """
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": LOCK})
        config = configuration(connection)
        if _is_older(config, connection, revision):
            command.downgrade(config, revision)
        else:
            command.upgrade(config, revision)


def configuration(connection: Connection) -> Config:
    """Return Alembic's configuration for a connection: without a file, for there is nothing to choose."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _is_older(config: Config, connection: Connection, revision: str) -> bool:
    """Whether a revision comes before the database's."""
    current = MigrationContext.configure(connection).get_current_revision()
    if current is None or revision == "head":
        return False
    if revision == "base":
        return True
    script = ScriptDirectory.from_config(config)
    return revision != current and revision in {each.revision for each in script.walk_revisions("base", current)}
