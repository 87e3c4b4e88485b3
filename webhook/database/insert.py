"""Inserts that are right when two do the same at once, on both databases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import literal_column
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from webhook.database.base import Base

Insert = postgresql.Insert | sqlite.Insert
INSERTS: Mapping[str, Callable[[Any], Insert]] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
"""Each database's own INSERT, which knows ``ON CONFLICT``, by the dialect's name."""


def insert_into(session: Session, table: type[Base], values: Mapping[str, Any]) -> Insert:
    """Return an INSERT of one row."""
    return INSERTS[session.get_bind().dialect.name](table).values(dict(values))


def insert_new(session: Session, table: type[Base], values: Mapping[str, Any], *, key: Sequence[str]) -> bool:
    """Insert a row unless there is one with that key; return whether it is new."""
    return execute(session, insert_into(session, table, values).on_conflict_do_nothing(index_elements=list(key)))


def insert_or_update(session: Session, table: type[Base], values: Mapping[str, Any], *, key: Sequence[str]) -> None:
    """Insert a row, or set its values where there is one with that key; what is not given stays."""
    changes = {name: value for name, value in values.items() if name not in key}
    statement = insert_into(session, table, values).on_conflict_do_update(index_elements=list(key), set_=changes)
    execute(session, statement)
    session.expire_all()  # objects read before have the values from before


def execute(session: Session, statement: Insert) -> bool:
    """Run an INSERT; return whether it wrote a row (psycopg's ``rowcount`` does not tell)."""
    return session.execute(statement.returning(literal_column("1"))).first() is not None
