"""The backup that is made before an operator deletes a customer's data for good."""

from __future__ import annotations

from datetime import UTC, datetime

from registry.customers import Customer
from scripts.context import Context
from scripts.terminal import refuse, say
from webhook.backup import BackupError
from webhook.bucket import Bucket
from webhook.instance_facts import InstanceFacts


def back_up_finally(context: Context, customer_id: str, entry: Customer) -> None:
    """Make the day's final backup, unless there is one.

    Raises:
        typer.Exit: it could not be made, stored or read back; nothing was deleted.
    """
    say(f"Backing up {customer_id}; the archive is read back before anything is deleted.")
    facts = InstanceFacts(
        settings=context.settings,
        engine=context.database(),
        bucket=Bucket.of(context.settings),
        last_update=context.deployer(say).last_update,
        clock=lambda: datetime.now(tz=UTC),
    )
    try:
        facts.take_final_backup(customer_id, entry)
    except BackupError as error:
        raise refuse(
            f"{error}\nNothing was deleted. Fix the reason, or say --without-backup if the data is worth nothing."
        ) from None
