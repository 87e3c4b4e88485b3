"""How far something was looked at, for whoever looks next."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, Session, mapped_column

from webhook.database.base import Base
from webhook.database.insert import insert_or_update

REGISTRY = "registry"
"""The commit of the registry whose consequences were begun last."""
MISSED = "missed-events"
"""Until when Stripe's own list of events was compared with ours."""


class Mark(Base):
    """One mark.

    Attributes:
        name: Of what.
        value: How far.
    """

    __tablename__ = "marks"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


def mark_of(session: Session, name: str) -> str | None:
    """Return a mark; None where nothing was looked at yet."""
    found = session.get(Mark, name)
    return None if found is None else found.value


def set_mark(session: Session, name: str, value: str) -> None:
    """Set a mark."""
    insert_or_update(session, Mark, {"name": name, "value": value}, key=["name"])
