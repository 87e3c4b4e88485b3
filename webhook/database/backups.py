"""Backups that are in the bucket and were read back from it; they outlive their instance."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, Index, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from webhook.database.base import SERIAL, Base, words_of
from webhook.database.insert import insert_new


class BackupKind(StrEnum):
    """What a backup is for."""

    DAILY = "daily"
    FINAL = "final"


class BackupRecord(Base):
    """One backup.

    Attributes:
        id: Ours.
        customer_id: Registry id.
        kind: What it is for.
        filename: What a download is called.
        size_bytes: Size in the bucket.
        s3_key: Where it is.
        sha256: Of the object, in hex.
        created_at: When it was taken.
    """

    __tablename__ = "backups"
    __table_args__ = (
        CheckConstraint("size_bytes >= 0", name="size_bytes"),
        Index(None, "customer_id", "created_at"),
    )

    id: Mapped[int] = mapped_column(SERIAL, primary_key=True)
    customer_id: Mapped[str]
    kind: Mapped[BackupKind] = mapped_column(words_of(BackupKind, "kind"))
    filename: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    s3_key: Mapped[str] = mapped_column(unique=True)
    sha256: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(index=True)


def record_backup(
    session: Session,
    *,
    customer_id: str,
    kind: BackupKind,
    filename: str,
    size_bytes: int,
    s3_key: str,
    sha256: str,
    created_at: datetime,
) -> bool:
    """Note a backup that was verified; return whether it is new (a repeated upload has the same key)."""
    values = {
        "customer_id": customer_id,
        "kind": kind,
        "filename": filename,
        "size_bytes": size_bytes,
        "s3_key": s3_key,
        "sha256": sha256,
        "created_at": created_at,
    }
    return insert_new(session, BackupRecord, values, key=["s3_key"])


def backups_of(session: Session, customer_id: str) -> Sequence[BackupRecord]:
    """Return a customer's backups, the latest first."""
    query = select(BackupRecord).where(BackupRecord.customer_id == customer_id)
    return session.scalars(query.order_by(BackupRecord.created_at.desc(), BackupRecord.id.desc())).all()


def backups_before(session: Session, moment: datetime) -> Sequence[BackupRecord]:
    """Return everybody's backups that are older, the oldest first."""
    query = select(BackupRecord).where(BackupRecord.created_at < moment)
    return session.scalars(query.order_by(BackupRecord.created_at, BackupRecord.id)).all()


def forget_backup(session: Session, s3_key: str) -> None:
    """Forget a backup that is no longer in the bucket."""
    session.execute(delete(BackupRecord).where(BackupRecord.s3_key == s3_key))
