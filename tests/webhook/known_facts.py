"""Stands for a cell's Engine and the bucket in tests that are about something else: says what it is told to say."""

from __future__ import annotations

from datetime import date

from registry.customers import Customer, Status
from registry.wishes import DataUsed
from webhook.backup import BackupError


class KnownFacts:
    """``webhook.instance_facts.Facts`` as a test wants them."""

    def __init__(self, today: date) -> None:
        self.today = today
        self.usage: DataUsed | None = DataUsed(storage_bytes=1024, users=1)
        self.backups: dict[str, date] = {}
        self.trouble: str | None = None
        self.told: dict[str, date] = {}

    def used(self, customer_id: str, entry: Customer) -> DataUsed | None:
        """Return what the test said."""
        return self.usage

    def final_backup_on(self, customer_id: str, entry: Customer) -> date | None:
        """Return the day of the last one that was taken."""
        return self.backups.get(customer_id)

    def take_final_backup(self, customer_id: str, entry: Customer) -> None:
        """Take one, or fail."""
        if self.trouble is not None:
            raise BackupError(self.trouble)
        self.backups[customer_id] = self.today

    def instance_removed(self, customer_id: str, entry: Customer) -> bool:
        """Whether an update has come since it was declared so: here, each has."""
        return entry.status is Status.PURGING

    def domain_told_on(self, cause: str) -> date | None:
        """Return what the test said."""
        return self.told.get(cause)
