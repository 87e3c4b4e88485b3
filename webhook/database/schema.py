"""The tables as this release needs them: where they are declared, and whether a database has them."""

from __future__ import annotations

from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from webhook.database import (
    backups,
    customers,
    events,
    instances,
    ledger,
    mails,
    marks,
    reservations,
    stacks,
    subscriptions,
    workers,
)
from webhook.database.base import Base
from webhook.database.engine import reading

HEAD = "0001"
"""The newest revision in ``migrations/versions``; here so that the web process needs no Alembic to compare."""
MODULES = (backups, customers, events, instances, ledger, mails, marks, reservations, stacks, subscriptions, workers)
METADATA = Base.metadata


def revision(engine: Engine) -> str | None:
    """Return a database's revision; None for an empty one.

    Raises:
        SQLAlchemyError: it does not answer.
    """
    with reading(engine).connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def database_problem(engine: Engine) -> str | None:
    """Return why a database can't be used, in words that may be shown; None where it can."""
    try:
        found = revision(engine)
    except SQLAlchemyError:
        return "it does not answer. Fix: look at the database; its URL is in HOSTING_DATABASE_URL"
    if found != HEAD:
        return f"its schema is at {found or 'nothing'}, this release needs {HEAD}. Fix: python -m webhook.database"
    return None
