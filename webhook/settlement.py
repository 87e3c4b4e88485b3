"""Settles one subscription: reads the truth, edits the registry, updates the cell, looks, tells.

Every step may be run again: it starts from the present facts, and what is there already stays. Nothing here knows
which event came; ``workflows.py`` makes the steps durable.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Self
from zlib import crc32

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from registry import risk
from registry.changes import Change
from registry.customers import LEAVING, RUNNING, Customer, Registry, Status
from registry.errors import RegistryError
from registry.lifecycle import deciding, domain_cause, is_smaller, wish
from registry.plans import PLANS
from registry.store import Provenance, RegistryStore
from registry.transitions import apply, edit_for, fitted, linked
from registry.wishes import Confirmed, DataUsed, Mail, Step, Subscription, Wish
from stacks.settings import Settings
from webhook.alerts import Alerts
from webhook.approvals import Approvals
from webhook.cell_updates import CellUpdates, UpdateError
from webhook.database.engine import reading
from webhook.database.ledger import LedgerKind, append
from webhook.database.subscriptions import find_subscription
from webhook.instance_facts import Facts
from webhook.letter_facts import letter_facts
from webhook.letterbox import Letterbox
from webhook.mirror import Mirrored, owner_of, record
from webhook.probe import HEALTHY_WITHIN_SECONDS, Probe
from webhook.subscriptions import Account, payer_of, read
from webhook.turns import Turns

if TYPE_CHECKING:
    from stripe import StripeClient

AT_ONCE = 8
"""So many payers' subscriptions are looked at, and so many customers written to, at a time by all workers together."""
MOST_WORDS = 2000
"""Characters of an error that the ledger keeps."""


class NotAnsweringError(Exception):
    """The instance does not answer in time; to be tried again, then a person's."""


@dataclass(frozen=True, kw_only=True)
class Settled:
    """What one round of settling came to; plain data, for it is kept between steps.

    Attributes:
        customer_id: Whose; None where Stripe does not say.
        cell: Where the entry is (or was); None for no entry.
        commit: The registry's commit, if there was one.
        reason: Why it is so.
        step: What has to be done next, if anything (``registry.wishes.Step``).
        is_declared: Whether the cell differs by what was edited; True also where nothing was, as an earlier update
            may have failed.
    """

    customer_id: str | None
    cell: str | None
    commit: str | None
    reason: str
    step: str | None
    is_declared: bool

    @classmethod
    def of_commit(cls, cell: str, commit: str | None) -> Self:
        """Return what a commit (None: the newest) that is not about one customer's subscription asks of a cell."""
        return cls(customer_id=None, cell=cell, commit=commit, reason="", step=None, is_declared=True)


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """The effects that settling needs, all handed in.

    Attributes:
        stripe: Client of Stripe's API.
        store: The registry.
        settings: The environment's.
        engine: The management database.
        turns: Lets one at a time settle what a payer pays for.
        updates: Brings commits onto cells.
        probe: Looks whether an instance answers.
        facts: What an instance uses, its backups, and whether it is gone.
        approvals: Where risky changes wait for a person.
        letterbox: Writes to customers.
        alerts: Calls a person.
        portal_url: Where customers see to their subscription.
        clock: The time, UTC.
    """

    stripe: StripeClient
    store: RegistryStore
    settings: Settings
    engine: Engine
    turns: Turns
    updates: CellUpdates
    probe: Probe
    facts: Facts
    approvals: Approvals
    letterbox: Letterbox
    alerts: Alerts
    portal_url: str
    clock: Callable[[], datetime]

    def change(self, subscription_id: str, event_id: str | None, *, answers: bool) -> Settled:
        """Read the subscription and make the registry say what follows from it; tell whom it concerns.

        Args:
            subscription_id: Stripe's.
            event_id: The event that made us look, for the ledger; None where it is only a new day.
            answers: Whether the instance was seen to answer since the entry was made.

        Raises:
            stripe.StripeError: Stripe can't be reached; to be tried again.
            EntryChanged: somebody edited the entry meanwhile; to be tried again.
            RegistryError: the registry is refused; a person has to mend it.
        """
        with self._alone("settling", self._payer(subscription_id)):
            return self._change(subscription_id, event_id, answers=answers)

    def _change(self, subscription_id: str, event_id: str | None, *, answers: bool) -> Settled:
        """Do so alone: with what another one read of Stripe a moment ago, it would undo what is newer."""
        account = read(self.stripe, subscription_id)
        registry = self.store.read()
        subscription = linked(account.subscription, registry)
        entry = registry.customers.get(subscription.customer_id or "")
        used = self._used(deciding((subscription, *account.others)), entry)
        wished = self._wished(subscription, account, entry, registry, used, answers=answers)
        owner = owner_of(self.engine, account, wished.customer_id, now=self.clock())
        edit = self._edit(account, wished, entry, used, owner, event_id)
        after = self.store.read().customers.get(wished.customer_id or "")
        record(
            self.engine,
            Mirrored(account=account, wished=wished, after=after, owner=owner),
            event_id=event_id,
            commit=edit.commit,
            now=self.clock(),
        )
        for alert in wished.alerts:
            self.alerts.call(alert, customer_id=wished.customer_id, event_id=event_id)
        present = after or entry
        return Settled(
            customer_id=wished.customer_id,
            cell=None if present is None else present.cell,
            commit=edit.commit,
            reason=edit.reason,
            step=None if edit.waits or present is None else wished.step,
            is_declared=edit.commit is None or Change(customer_id="", before=entry, after=after).is_declared,
        )

    def update(self, settled: Settled, event_id: str | None) -> None:
        """Bring the change onto its cell.

        Raises:
            UpdateError: the engine failed; to be tried again.
        """
        if settled.cell is None:
            return
        try:
            result = self.updates.cover(settled.cell, settled.commit)
        except UpdateError as error:
            self._note(LedgerKind.UPDATE, settled.cell, settled.customer_id, event_id, error=str(error)[:MOST_WORDS])
            raise
        detail: dict[str, object] = {"commit": result.commit, "seconds": result.seconds}
        if result.shared:
            detail["shared"] = True  # another change's update had taken this one along
        else:
            mine = [step for step in result.steps if settled.customer_id is not None and settled.customer_id in step]
            detail |= {"changes": dict(result.changes), "steps": mine}
        if result.shared and settled.commit is None:
            return  # nothing was changed, and nothing was left to do
        ref = f"{result.name}@{result.version}"
        self._note(LedgerKind.UPDATE, ref, settled.customer_id, event_id, **detail)

    def see(self, settled: Settled, event_id: str | None) -> None:
        """Wait until the instance answers.

        Raises:
            NotAnsweringError: it does not, in time.
        """
        entry = self.store.read().customers.get(settled.customer_id or "")
        if entry is None or entry.status not in RUNNING:
            return
        url = self.settings.url_of(entry)
        answer = self.probe.wait(url, seconds=HEALTHY_WITHIN_SECONDS)
        if not answer.healthy:
            raise NotAnsweringError(f"{url} does not answer within {HEALTHY_WITHIN_SECONDS:.0f} s: {answer.detail}")
        self._note(LedgerKind.PROBE, url, settled.customer_id, event_id, seconds=round(answer.seconds, 3))

    def back_up(self, settled: Settled, event_id: str | None) -> None:
        """Make and verify the backup without which nothing is purged.

        Raises:
            BackupError: it could not be made, stored or verified; to be tried again.
        """
        entry = self.store.read().customers.get(settled.customer_id or "")
        if entry is None or settled.customer_id is None:
            return
        self.facts.take_final_backup(settled.customer_id, entry)
        self._note(LedgerKind.BACKUP, "final", settled.customer_id, event_id)

    def tell(self, settled: Settled, event_id: str | None) -> None:
        """Send the customer's letters that are owed; what no mail server takes stays owed."""
        if settled.customer_id is not None:
            with self._alone("telling", settled.customer_id):  # two at once would not keep the letters' order
                self.letterbox.send(settled.customer_id, event_id)

    def _alone(self, work: str, whose: str) -> AbstractContextManager[None]:
        """Return one of few locks that nobody else has while this work is done for somebody."""
        return self.turns.alone(f"{work}-{crc32(whose.encode()) % AT_ONCE}")

    def _payer(self, subscription_id: str) -> str:
        with Session(reading(self.engine)) as session:
            known = find_subscription(session, subscription_id)
        return payer_of(self.stripe, subscription_id) if known is None else known.stripe_customer

    def _used(self, subscription: Subscription, entry: Customer | None) -> DataUsed | None:
        """Measure what is used where a smaller plan is asked for; that takes seconds, so only then."""
        plan = PLANS.get(subscription.plan or "")
        if entry is None or plan is None or entry.status is Status.PENDING or not is_smaller(plan, PLANS[entry.plan]):
            return None
        return self.facts.used(str(subscription.customer_id), entry)

    def _wished(
        self,
        subscription: Subscription,
        account: Account,
        entry: Customer | None,
        registry: Registry,
        used: DataUsed | None,
        *,
        answers: bool,
    ) -> Wish:
        wished = wish(
            subscription,
            entry,
            today=self.clock().date(),
            data_used=used,
            confirmed=self._confirmed(deciding((subscription, *account.others)), entry, answers=answers),
            others=account.others,
        )
        return fitted(wished, entry, registry, self.settings.cells)

    def _confirmed(self, subscription: Subscription, entry: Customer | None, *, answers: bool) -> Confirmed:
        """Look after what is done already, each only where it can matter."""
        customer_id = str(subscription.customer_id)
        if entry is None:
            return Confirmed(answers=answers)
        leaving = entry.status in LEAVING
        ends_domain = entry.domain is not None and subscription.plan is not None
        return Confirmed(
            answers=answers,
            final_backup_on=self.facts.final_backup_on(customer_id, entry) if leaving else None,
            instance_removed=entry.status is Status.PURGING and self.facts.instance_removed(customer_id, entry),
            domain_told_on=self.facts.domain_told_on(domain_cause(subscription)) if ends_domain else None,
        )

    def _edit(
        self,
        account: Account,
        wished: Wish,
        entry: Customer | None,
        used: DataUsed | None,
        owner: int | None,
        event_id: str | None,
    ) -> _Edit:
        """Commit what is wished for, or propose it where a person has to agree."""
        customer_id = wished.customer_id
        if customer_id is None:
            return _Edit(commit=None, reason=wished.reason)

        def operation(text: str, current: Registry) -> str:
            return edit_for(wished, entry, text, current, self.settings.cells)

        provenance = Provenance(
            summary=f"{customer_id}: {wished.reason}", customer_id=customer_id, actor="stripe", cause=event_id
        )
        if entry is not None:
            change = Change(customer_id=customer_id, before=entry, after=apply(wished, entry))
            found = risk.of(change, used=used)
            if found.level == "review":
                words = self.approvals.ask(operation, provenance, found, event_id)
                return _Edit(commit=None, reason=f"{wished.reason}; {words}", waits=True)
            self.approvals.withdraw(customer_id)
        mails = wished.mails if wished.step is not Step.AWAIT_ANSWER else ()

        def told(mail: Mail) -> dict[str, object]:
            return letter_facts(mail, account, wished, entry, settings=self.settings, portal_url=self.portal_url)

        with self.letterbox.owed(
            mails,
            customer_id=customer_id,
            person_id=owner,
            facts=told,
            is_made=lambda: self._is_made(wished),
        ):
            return _Edit(commit=self.store.edit(operation, provenance), reason=wished.reason)

    def _is_made(self, wished: Wish) -> bool:
        """Whether the registry says what is wished for: an edit may fail when the file is written already."""
        try:
            present = self.store.read().customers.get(wished.customer_id or "")
        except RegistryError:
            return False
        found = None if present is None else (present.status, present.plan)
        return found == (None if wished.status is None else (wished.status, wished.plan))

    def _note(
        self, kind: LedgerKind, ref: str, customer_id: str | None, event_id: str | None, **detail: object
    ) -> None:
        with Session(self.engine) as session, session.begin():
            append(session, kind, ref, at=self.clock(), customer_id=customer_id, cause=event_id, detail=detail)


@dataclass(frozen=True, kw_only=True)
class _Edit:
    """What an edit came to; ``waits`` where a person has to agree first."""

    commit: str | None
    reason: str
    waits: bool = False
