"""What all tables share: the metadata, the names of constraints, and types that mean the same on both databases."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, Dialect, Enum, Integer, MetaData, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import DateTime, TypeDecorator

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
"""Every constraint has a name: a migration can't drop one that has none."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, always with its zone: SQLite keeps none, so it is UTC there, and comes back as UTC from everywhere."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the moment in UTC.

        Raises:
            ValueError: it has no zone.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            message = "a moment without a time zone can't be stored; use datetime.now(tz=UTC)"
            raise ValueError(message)
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the moment with its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


SERIAL = BigInteger().with_variant(Integer, "sqlite")
"""A number that the database gives; SQLite does so for its own INTEGER only."""
DOCUMENT = JSON().with_variant(JSONB(), "postgresql")


class Base(DeclarativeBase):
    """Parent of all tables."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {  # noqa: RUF012 - as SQLAlchemy has it
        str: Text(),
        datetime: UtcDateTime(),
        dict[str, Any]: DOCUMENT,
    }


def words_of(enum: type[StrEnum], name: str) -> Enum:
    """Return the type of a column that holds one of some words, and nothing else."""
    words = [each.value for each in enum]
    return Enum(enum, name=name, native_enum=False, create_constraint=True, length=16, values_callable=lambda _: words)
