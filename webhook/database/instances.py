"""Instances as they are: a mirror of the registry for look-ups, with what only measuring tells."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, delete, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from registry.customers import Customer
from webhook.database.base import Base
from webhook.database.insert import insert_or_update


class InstanceRecord(Base):
    """One customer's instance.

    Attributes:
        customer_id: Its id in the registry.
        owner_id: Whose it is; None where an operator set it up by hand or the person was erased.
        subdomain: First label of its address; with a ``~`` where another one has it and its own is not known yet.
        cell: Its server.
        plan: As in the registry.
        status: As in the registry.
        storage_used_bytes: As last measured.
        users_count: As last measured; None for never.
        storage_measured_at: When that was; None for never.
        updated_at: When the mirror was last set.
    """

    __tablename__ = "instances"
    __table_args__ = (
        CheckConstraint("storage_used_bytes >= 0", name="storage_used_bytes"),
        CheckConstraint("users_count >= 0", name="users_count"),
    )

    customer_id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("customers.id", ondelete="SET NULL"), index=True)
    subdomain: Mapped[str] = mapped_column(unique=True)
    cell: Mapped[str] = mapped_column(index=True)
    plan: Mapped[str]
    status: Mapped[str] = mapped_column(index=True)
    storage_used_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    users_count: Mapped[int | None]
    storage_measured_at: Mapped[datetime | None]
    updated_at: Mapped[datetime]


def save_instance(
    session: Session, customer_id: str, entry: Customer, *, now: datetime, owner_id: int | None = None
) -> None:
    """Set the mirror of a registry entry; an owner that is known stays where none is given.

    The registry has each name once: a row that still has it for another instance is out of date, and gives it up.
    """
    outdated = update(InstanceRecord).where(
        InstanceRecord.subdomain == entry.subdomain, InstanceRecord.customer_id != customer_id
    )
    session.execute(outdated.values(subdomain="~" + InstanceRecord.customer_id))
    values: dict[str, object] = {
        "customer_id": customer_id,
        "subdomain": entry.subdomain,
        "cell": entry.cell,
        "plan": entry.plan,
        "status": str(entry.status),
        "updated_at": now,
    }
    if owner_id is not None:
        values["owner_id"] = owner_id
    insert_or_update(session, InstanceRecord, values, key=["customer_id"])


def record_usage(session: Session, customer_id: str, *, used_bytes: int, users: int, at: datetime) -> None:
    """Note what an instance uses; nothing happens for one that is gone."""
    session.execute(
        update(InstanceRecord)
        .where(InstanceRecord.customer_id == customer_id)
        .values(storage_used_bytes=used_bytes, users_count=users, storage_measured_at=at)
    )


def remove_instance(session: Session, customer_id: str) -> None:
    """Forget an instance whose last resource is gone; its history stays in the ledger."""
    session.execute(delete(InstanceRecord).where(InstanceRecord.customer_id == customer_id))


def find_instance(session: Session, customer_id: str) -> InstanceRecord | None:
    """Return an instance."""
    return session.get(InstanceRecord, customer_id)


def instances_of(session: Session, owner_id: int) -> Sequence[InstanceRecord]:
    """Return a person's instances."""
    query = select(InstanceRecord).where(InstanceRecord.owner_id == owner_id).order_by(InstanceRecord.customer_id)
    return session.scalars(query).all()
