"""What the lifecycle has to know of an instance before it goes on, and the one thing it has done: a final backup."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from registry.customers import Customer, Status
from registry.wishes import DataUsed
from stacks.settings import Settings
from webhook.backup import BackupError, back_up, is_there
from webhook.bucket import Bucket, BucketError
from webhook.cell_engine import CellEngine, EngineError
from webhook.customer_volume import CustomerVolume
from webhook.database.backups import BackupKind, backups_of
from webhook.database.instances import record_usage
from webhook.database.mails import sent_at
from webhook.removal import has_container
from webhook.usage import measure

log = structlog.get_logger("worker")


class Facts(Protocol):
    """What settling asks for; none of it is remembered, so each answer is of now."""

    def used(self, customer_id: str, entry: Customer) -> DataUsed | None:
        """Return what a customer uses; None where it can't be measured."""
        ...

    def final_backup_on(self, customer_id: str, entry: Customer) -> date | None:
        """Return the day of the latest verified backup that still is there; None for none."""
        ...

    def take_final_backup(self, customer_id: str, entry: Customer) -> None:
        """Make the day's final backup.

        Raises:
            BackupError: it could not be made, stored or verified.
        """
        ...

    def instance_removed(self, customer_id: str, entry: Customer) -> bool:
        """Whether container and DNS record are gone, and the volume is no longer protected."""
        ...

    def domain_told_on(self, cause: str) -> date | None:
        """Return the day on which the letter of a cause was sent; None where it was not."""
        ...


@dataclass(frozen=True, kw_only=True)
class LastUpdate:
    """What the engine knows of a cell since its last update.

    Attributes:
        server_ipv4: The cell stack's output of this name: its server's address.
        tenant_image: The same: what its customers run, and so an image that its Docker Engine has.
        customers: The same: customer id to status, as declared.
        finished: Whether that update came to its end; otherwise what was declared may not be done.
    """

    server_ipv4: str
    tenant_image: str
    customers: Mapping[str, str]
    finished: bool


@dataclass(frozen=True, kw_only=True)
class InstanceFacts:
    """``Facts``, by looking.

    Attributes:
        settings: The environment's.
        engine: The management database.
        bucket: Where backups are.
        last_update: Asked for a cell's last update; None where it never had one.
        clock: The time, UTC.
    """

    settings: Settings
    engine: Engine
    bucket: Bucket
    last_update: Callable[[str], LastUpdate | None]
    clock: Callable[[], datetime]

    def used(self, customer_id: str, entry: Customer) -> DataUsed | None:
        """Return what a customer uses, and note it in the database; None where it can't be measured."""
        try:
            volume = self._volume(customer_id, entry)
        except EngineError as error:
            log.warning("usage unknown", customer=customer_id, cell=entry.cell, error=str(error))
            return None
        used = measure(volume)
        if used is not None:
            with Session(self.engine) as session, session.begin():
                record_usage(session, customer_id, used_bytes=used.storage_bytes, users=used.users, at=self.clock())
        return used

    def final_backup_on(self, customer_id: str, entry: Customer) -> date | None:  # noqa: ARG002 - the protocol's
        """Return the day of the latest verified backup; None for none, and where the bucket can't be asked.

        What follows from it deletes the data, so the table's word is not enough: the object has to be there.
        """
        with Session(self.engine) as session:
            backups = backups_of(session, customer_id)
        try:
            return next((each.created_at.date() for each in backups if is_there(self.bucket, each)), None)
        except BucketError as error:
            log.warning("backups unknown", customer=customer_id, error=str(error))
            return None

    def take_final_backup(self, customer_id: str, entry: Customer) -> None:
        """Make the day's final backup, unless there is one.

        Raises:
            BackupError: it could not be made, stored or verified.
        """
        try:
            volume = self._volume(customer_id, entry)
        except EngineError as error:
            raise BackupError(f"{customer_id} has no final backup: {error}") from error
        back_up(volume, self.bucket, self.engine, kind=BackupKind.FINAL, now=self.clock())

    def instance_removed(self, customer_id: str, entry: Customer) -> bool:
        """Whether container and DNS record are gone, and the volume is no longer protected.

        Two witnesses. The engine's last update has come to its end with the customer declared as ``purging``: then it
        has deleted record and container, and the volume is unprotected in its state. And the cell's Engine has no
        container of the customer, also none that the engine had lost. Anything else, also not knowing, is no.
        """
        if entry.status is not Status.PURGING:
            return False
        update = self.last_update(entry.cell)
        if update is None or not update.finished or update.customers.get(customer_id) != Status.PURGING:
            return False
        try:
            return not has_container(self._engine(entry, update), cell=entry.cell, customer_id=customer_id)
        except EngineError as error:
            log.warning("removal unknown", customer=customer_id, cell=entry.cell, error=str(error))
            return False

    def domain_told_on(self, cause: str) -> date | None:
        """Return the day on which a mail server took the letter of a cause; None where none did."""
        with Session(self.engine) as session:
            moment = sent_at(session, cause)
        return None if moment is None else moment.date()

    def _engine(self, entry: Customer, update: LastUpdate) -> CellEngine:
        return CellEngine.of(self.settings, entry.cell, update.server_ipv4)

    def _volume(self, customer_id: str, entry: Customer) -> CustomerVolume:
        update = self.last_update(entry.cell)
        if update is None:
            raise EngineError(f"the cell {entry.cell} has never been updated. Fix: hosting up --cell {entry.cell}")
        return CustomerVolume(
            engine=self._engine(entry, update), image=update.tenant_image, cell=entry.cell, customer_id=customer_id
        )
