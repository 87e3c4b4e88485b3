"""What is known of each stack between two updates: how far it is, and whether the last update came to its end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Mapped, Session, mapped_column

from webhook.database.base import Base
from webhook.database.insert import insert_or_update


class StackRecord(Base):
    """One stack.

    Attributes:
        name: Its full name, such as ``prod-eu-1``.
        covered: Commit of the registry that its last update brought onto it; None where that is not known.
        version: Number of that update.
        unfinished_since: When an update began that did not come to its end; None where the last one did.
    """

    __tablename__ = "stacks"

    name: Mapped[str] = mapped_column(primary_key=True)
    covered: Mapped[str | None]
    version: Mapped[int | None]
    unfinished_since: Mapped[datetime | None]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a stack stands; the fields are those of the table."""

    covered: str | None = None
    version: int | None = None
    unfinished: bool = False


def standing_of(session: Session, name: str) -> Standing:
    """Return how a stack stands; one that was never updated stands at nothing."""
    found = session.scalars(select(StackRecord).where(StackRecord.name == name)).one_or_none()
    if found is None:
        return Standing()
    return Standing(covered=found.covered, version=found.version, unfinished=found.unfinished_since is not None)


def note_begun(session: Session, name: str, *, now: datetime) -> None:
    """Note that an update begins: whoever comes after a crash has to look after what it left."""
    insert_or_update(session, StackRecord, {"name": name, "unfinished_since": now}, key=["name"])


def note_finished(session: Session, name: str, *, covered: str | None, version: int | None) -> None:
    """Note that the update came to its end, and what it brought; without a commit, how far it is is not known."""
    values = {"name": name, "covered": covered, "version": version, "unfinished_since": None}
    insert_or_update(session, StackRecord, values, key=["name"])
