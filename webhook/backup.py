"""Backups: an archive of a customer's volume in the bucket, which counts once it was read back from there.

Nothing is kept here meanwhile: the cell packs, this process passes on. docs/backups.md says what is in an archive.
Not here: when one is due, restoring, and throwing away (the bucket's own rule does).
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from webhook.bucket import Bucket, BucketError, Readable
from webhook.cell_engine import EngineError
from webhook.customer_volume import CustomerVolume, VolumeError
from webhook.database.backups import BackupKind, BackupRecord, backups_of, record_backup
from webhook.verification import VerificationError, verify

FORMAT = 1
"""Of an archive: what is in it, and where."""
BACKUP_SECONDS = 4 * 3600
"""For packing and sending, and again for reading back: the largest plan has 100 GB."""
_USERS = re.compile(r"(?:^|\n)([0-9]{1,9})\n\Z", re.ASCII)
"""The last line that is said; ssh and Docker may have said something before, such as a warning of their own."""

log = structlog.get_logger("worker")


class BackupError(Exception):
    """There is no new backup, and nothing was recorded; the message says why, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Backup:
    """A backup that was verified.

    Attributes:
        customer_id: Whose.
        kind: What it is for.
        s3_key: Where it is.
        filename: What a download is called.
        size_bytes: Of the archive.
        sha256: Of the archive, in hex.
        created_at: When it was begun.
    """

    customer_id: str
    kind: BackupKind
    s3_key: str
    filename: str
    size_bytes: int
    sha256: str
    created_at: datetime


def back_up(volume: CustomerVolume, bucket: Bucket, engine: Engine, *, kind: BackupKind, now: datetime) -> Backup:
    """Return the day's backup of a customer, made now unless there is one.

    Args:
        volume: The customer's; what runs on it goes on.
        bucket: Where it goes: ``<cell>/<customer id>/<moment>-<kind>.tar.gz``, and beside it its check sum.
        engine: The management database.
        kind: What it is for; of each kind one a day (in UTC).
        now: The moment.

    Raises:
        BackupError: it could not be made, stored or verified.
    """
    try:
        return _of_the_day(volume.customer_id, bucket, engine, kind, now) or _made(volume, bucket, engine, kind, now)
    except (BucketError, EngineError, VolumeError) as error:
        raise BackupError(f"{volume.customer_id} has no new {kind} backup, nothing is recorded: {error}") from error
    except VerificationError as error:
        raise BackupError(
            f"{volume.customer_id} has no new {kind} backup, nothing is recorded. What was stored is no good: {error}."
            " Fix: try again, which makes another one; if it stays so, look at the database in the instance."
        ) from error


def is_there(bucket: Bucket, record: BackupRecord) -> bool:
    """Whether a recorded backup still is in the bucket, with its size.

    Raises:
        BucketError: the bucket can't be asked.
    """
    return bucket.size_of(record.s3_key) == record.size_bytes


def _of_the_day(customer_id: str, bucket: Bucket, engine: Engine, kind: BackupKind, now: datetime) -> Backup | None:
    today = now.astimezone(UTC).date()
    with Session(engine) as session:
        records = [
            each for each in backups_of(session, customer_id) if each.kind is kind and each.created_at.date() == today
        ]
    return next((_backup(each) for each in records if is_there(bucket, each)), None)


def _made(volume: CustomerVolume, bucket: Bucket, engine: Engine, kind: BackupKind, now: datetime) -> Backup:
    name = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{kind}.tar.gz"
    key = f"{volume.cell}/{volume.customer_id}/{name}"
    manifest = {
        "format": FORMAT,
        "customer_id": volume.customer_id,
        "cell": volume.cell,
        "kind": str(kind),
        "created_at": now.astimezone(UTC).isoformat(),
    }
    environment = {"MANIFEST": json.dumps(manifest)}
    with volume.reading("archive", seconds=BACKUP_SECONDS, environment=environment) as output:
        sent = _Hashed(output)
        bucket.upload(key, sent)
        users = _USERS.search(output.said())
    found = verify(bucket, key, seconds=BACKUP_SECONDS)
    if found.sha256 != sent.digest.hexdigest():
        raise VerificationError(f"s3://{bucket.name}/{key}: its check sum is another one than that of what was sent")
    if found.manifest != manifest or users is None or found.users != int(users[1]):
        raise VerificationError(f"s3://{bucket.name}/{key}: it does not hold what the instance has")
    bucket.write(f"{key}.sha256", f"{found.sha256}  {name}\n")
    backup = Backup(
        customer_id=volume.customer_id,
        kind=kind,
        s3_key=key,
        filename=f"{volume.customer_id}-{name}",
        size_bytes=found.size_bytes,
        sha256=found.sha256,
        created_at=now,
    )
    with Session(engine) as session, session.begin():
        record_backup(session, **vars(backup))
    log.info("backed up", customer=volume.customer_id, key=key, bytes=found.size_bytes, entries=found.entries)
    return backup


def _backup(record: BackupRecord) -> Backup:
    return Backup(**{name: getattr(record, name) for name in Backup.__dataclass_fields__})


class _Hashed:
    """A stream, and the SHA-256 of what was read of it."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self.digest.update(data)
        return data
