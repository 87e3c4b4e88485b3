"""Settles one subscription: reads the truth, edits the registry, updates the cell, looks, tells.

Every step may be run again: it starts from the present facts, and what is there already stays. Nothing here knows
which event came; ``worker.py`` makes the steps durable.
"""

from __future__ import annotations

import smtplib
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from registry.customers import RUNNING, Customer, Registry
from registry.lifecycle import wish
from registry.plans import PLANS
from registry.store import Provenance, RegistryStore
from registry.transitions import edit_for, fitted, linked
from registry.wishes import SUSPENDED_FROM_ATTEMPT, Alert, Confirmed, Mail, MailKind, Step, Wish
from stacks.settings import Settings
from webhook.cell_updates import CellUpdates, UpdateError
from webhook.database.customers import save_customer
from webhook.database.instances import remove_instance, save_instance
from webhook.database.ledger import LedgerKind, append
from webhook.database.mails import (
    begin_mail,
    claim_mail,
    forgive_mail,
    give_back_mail,
    mark_sent,
    owed_mails,
)
from webhook.database.subscriptions import save_subscription
from webhook.mail.letters import write
from webhook.mail.post import Post
from webhook.probe import HEALTHY_WITHIN_SECONDS, Probe
from webhook.subscriptions import Account, read

if TYPE_CHECKING:
    from stripe import StripeClient


MOST_WORDS = 2000
"""Characters of an error that the ledger keeps."""
log = structlog.get_logger("worker")


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
        awaits_answer: Whether the instance has to answer before it counts as active.
    """

    customer_id: str | None
    cell: str | None
    commit: str | None
    reason: str
    awaits_answer: bool


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """The effects that settling needs, all handed in.

    Attributes:
        stripe: Client of Stripe's API.
        store: The registry.
        settings: The environment's.
        engine: The management database.
        updates: Brings commits onto cells.
        probe: Looks whether an instance answers.
        post: The mail server; None where mail is not configured: letters are then only logged.
        sender: Our address.
        portal_url: Where customers see to their subscription.
        clock: The time, UTC.
    """

    stripe: StripeClient
    store: RegistryStore
    settings: Settings
    engine: Engine
    updates: CellUpdates
    probe: Probe
    post: Post | None
    sender: str
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
        account = read(self.stripe, subscription_id)
        registry = self.store.read()
        wished, entry = self._wished(account, registry, answers=answers)
        commit = None
        telling = wished.step is not Step.AWAIT_ANSWER
        with self._owed(wished.mails if telling else (), wished.customer_id):
            commit = self._edit(wished, entry, event_id)
        after = self.store.read().customers.get(wished.customer_id or "")
        self._record(account, wished, after, event_id, commit)
        for alert in wished.alerts:
            self._alert(alert, wished.customer_id, event_id)
        present = after or entry
        if telling and present is not None:
            self._tell(account, wished, present)
        return Settled(
            customer_id=wished.customer_id,
            cell=None if present is None else present.cell,
            commit=commit,
            reason=wished.reason,
            awaits_answer=not telling and after is not None,
        )

    def _edit(self, wished: Wish, entry: Customer | None, event_id: str | None) -> str | None:
        if wished.customer_id is not None:
            return self.store.edit(
                lambda text, current: edit_for(wished, entry, text, current, self.settings.cells),
                Provenance(
                    summary=f"{wished.customer_id}: {wished.reason}",
                    customer_id=wished.customer_id,
                    actor="stripe",
                    cause=event_id,
                ),
            )
        return None

    @contextmanager
    def _owed(self, mails: Sequence[Mail], customer_id: str | None) -> Generator[None]:
        """Owe letters before the change that they tell of; forgive them where it is not made."""
        new: list[str] = []
        with Session(self.engine) as session, session.begin():
            for mail in mails:
                kind = str(mail.kind)
                if claim_mail(
                    session, mail.cause, template=kind, customer_id=customer_id, now=self.clock(), reason=mail.reason
                ):
                    new.append(mail.cause)
        try:
            yield
        except Exception:
            with Session(self.engine) as session, session.begin():
                for cause in new:
                    forgive_mail(session, cause)
            raise

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

    def alert(self, alert: Alert, event_id: str | None) -> None:
        """Call a person, once for each cause."""
        self._alert(alert, None, event_id)

    def _wished(self, account: Account, registry: Registry, *, answers: bool) -> tuple[Wish, Customer | None]:
        subscription = linked(account.subscription, registry)
        entry = registry.customers.get(subscription.customer_id or "")
        wished = wish(
            subscription,
            entry,
            today=self.clock().date(),
            confirmed=Confirmed(answers=answers),
            others=account.others,
        )
        return fitted(wished, entry, registry, self.settings.cells), entry

    def _record(
        self, account: Account, wished: Wish, after: Customer | None, event_id: str | None, commit: str | None
    ) -> None:
        now, subscription = self.clock(), account.subscription
        with Session(self.engine) as session, session.begin():
            owner = None
            if account.email is not None:
                owner = save_customer(session, email=account.email, stripe_customer=subscription.customer, now=now).id
            if subscription.plan is not None and subscription.interval is not None:
                save_subscription(
                    session,
                    subscription.id,
                    stripe_customer=subscription.customer,
                    plan=subscription.plan,
                    interval=subscription.interval,
                    status=subscription.status,
                    current_period_end=subscription.current_period_end,
                    now=now,
                    customer_id=wished.customer_id,
                )
            if after is not None and wished.customer_id is not None:
                save_instance(session, wished.customer_id, after, now=now, owner_id=owner)
            elif wished.customer_id is not None:
                remove_instance(session, wished.customer_id)
            if commit is not None:
                append(
                    session,
                    LedgerKind.COMMIT,
                    commit,
                    at=now,
                    customer_id=wished.customer_id,
                    cause=event_id,
                    detail={"reason": wished.reason},
                )

    def _tell(self, account: Account, wished: Wish, entry: Customer) -> None:
        """Send the customer's letters that are owed, also those of a try that was cut off."""
        with Session(self.engine) as session:
            mails = [
                Mail(kind=MailKind(each.template), cause=each.cause, reason=each.reason)
                for each in owed_mails(session, wished.customer_id or "")
            ]
        for mail in mails:
            if account.email is None:
                log.warning("letter without an address", customer=wished.customer_id, letter=str(mail.kind))
            elif self.post is not None:
                self._send(self.post, mail, account.email, wished, entry)

    def _send(self, post: Post, mail: Mail, to: str, wished: Wish, entry: Customer) -> None:
        """Send a letter once: it is begun before, so that a crash in between can't send it twice."""
        letter = write(mail.kind, to=to, sender=self.sender, cause=mail.cause, facts=self._facts(mail, wished, entry))
        with Session(self.engine) as session, session.begin():
            if not begin_mail(session, mail.cause, now=self.clock()):
                return
        try:
            post.send(letter)
        except (OSError, smtplib.SMTPException) as error:
            log.warning("letter not taken", customer=wished.customer_id, letter=str(mail.kind), error=str(error))
            with Session(self.engine) as session, session.begin():
                give_back_mail(session, mail.cause)
            return
        with Session(self.engine) as session, session.begin():
            mark_sent(session, mail.cause, now=self.clock())

    def _facts(self, mail: Mail, wished: Wish, entry: Customer) -> dict[str, object]:
        plan = PLANS[entry.plan]
        attempt = int(mail.cause.rpartition(":")[2]) if mail.cause.rpartition(":")[2].isdigit() else 0
        return {
            "url": self.settings.url_of(entry),
            "portal_url": self.portal_url,
            "plan": plan.name,
            "users": plan.users,
            "storage_gib": plan.storage_gib,
            "reason": mail.reason or wished.reason,
            "attempt": attempt,
            "attempts_until_suspension": max(0, SUSPENDED_FROM_ATTEMPT - attempt),
            "last_day": wished.delete_after or entry.delete_after or "",
            "domain": entry.domain or "",
            "day": wished.day,
            "quarantine_until": wished.quarantine_until or "",
        }

    def _alert(self, alert: Alert, customer_id: str | None, event_id: str | None) -> None:
        """Write it down once for each cause and say it in the log, where the monitoring takes it up."""
        with Session(self.engine) as session, session.begin():
            cause = f"alert:{alert.cause}"
            if not claim_mail(session, cause, template="alert", customer_id=customer_id, now=self.clock()):
                return
            mark_sent(session, cause, now=self.clock())
            append(
                session,
                LedgerKind.ALERT,
                str(alert.kind),
                at=self.clock(),
                customer_id=customer_id,
                cause=event_id,
                detail={"text": alert.text},
            )
        log.error("alert", kind=str(alert.kind), customer=customer_id, text=alert.text)

    def _note(
        self, kind: LedgerKind, ref: str, customer_id: str | None, event_id: str | None, **detail: object
    ) -> None:
        with Session(self.engine) as session, session.begin():
            append(session, kind, ref, at=self.clock(), customer_id=customer_id, cause=event_id, detail=detail)
