"""The demo's management database: a SQLite file of its own, or an empty Postgres database that somebody lends it."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import inspect, text
from sqlalchemy.exc import SQLAlchemyError

from demo.places import DATABASE
from demo.say import say
from webhook.database.engine import DatabaseUrlError, open_database
from webhook.database.migrate import migrate

VARIABLE = "HOSTING_DATABASE_URL"
OWN = f"sqlite:///{DATABASE}"
WORKFLOWS = "dbos"
"""The schema in which DBOS keeps workflows on Postgres."""


class LentDatabaseError(Exception):
    """The database that was named can't be the demo's."""


def choose_database(wanted: str | None, previous: Mapping[str, str]) -> str:
    """Return the demo's database: as before, else the one that is wanted, else its own.

    Args:
        wanted: URL of an empty database; None for no wish.
        previous: The demo's variables, if it was made before.

    Raises:
        LentDatabaseError: the demo has another one, or this one holds something, which `make down` would remove.
    """
    present = previous.get(VARIABLE)
    if present is not None:
        if wanted is not None and wanted != present:
            msg = "The demo was made on another database. Nothing was changed. Fix: `make down` first."
            raise LentDatabaseError(msg)
        return present
    if wanted is None:
        return OWN
    try:
        engine = open_database(wanted)
        tables = inspect(engine).get_table_names()
        engine.dispose()
    except (DatabaseUrlError, SQLAlchemyError) as error:
        msg = f"The demo's database can't be opened: {error}"
        raise LentDatabaseError(msg) from None
    if tables:
        msg = (
            f"The database holds {len(tables)} tables, and `make down` would remove what is in it."
            " Nothing was changed. Fix: name an empty one (`createdb demo`)."
        )
        raise LentDatabaseError(msg)
    return wanted


def give_back_database(variables: Mapping[str, str]) -> None:
    """Empty a database that was lent; the demo's own goes with its files."""
    url = variables.get(VARIABLE, OWN)
    if url.startswith("sqlite"):
        return
    try:
        engine = open_database(url)
        migrate(engine, "base")
        with engine.begin() as connection:
            connection.execute(text(f"DROP SCHEMA IF EXISTS {WORKFLOWS} CASCADE"))
            connection.execute(text("DROP TABLE IF EXISTS alembic_version"))
        engine.dispose()
    except SQLAlchemyError as error:
        say(f"the Postgres database could not be emptied: {error}. Fix: dropdb, createdb")
    else:
        say("emptied the Postgres database")
