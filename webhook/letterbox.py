"""Letters from the moment they are owed to the moment a mail server takes them: one for each cause.

A letter is owed before the change that it tells of, so that a crash can't lose it, and sent after the change is done,
so that it never tells what is not so yet. It keeps the facts of its time: what comes later does not change it.
"""

from __future__ import annotations

import smtplib
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from registry.wishes import Mail, MailKind
from webhook.database.customers import CustomerRecord
from webhook.database.ledger import LedgerKind, append
from webhook.database.mails import (
    MailRecord,
    begin_mail,
    claim_mail,
    forgive_mail,
    give_back_mail,
    mark_sent,
    owed_between,
    owed_mails,
)
from webhook.mail.letters import write
from webhook.mail.post import InDoubtError, Post

LATE = timedelta(minutes=15)
"""After which an owed letter's change is made, or the letter was forgiven: a change's tries take less."""
OVERDUE = timedelta(hours=1)
"""After which a person is told of an owed letter, and it is tried seldom."""
GIVEN_UP = timedelta(days=3)
"""After which a letter is not tried any more, unless something else happens to its customer."""

log = structlog.get_logger("worker")


@dataclass(frozen=True, kw_only=True)
class Letterbox:
    """What sending letters needs.

    Attributes:
        engine: The management database.
        post: The mail server; None where mail is not configured: letters stay owed.
        sender: Our address.
        clock: The time, UTC.
    """

    engine: Engine
    post: Post | None
    sender: str
    clock: Callable[[], datetime]

    @contextmanager
    def owed(
        self,
        mails: Sequence[Mail],
        *,
        customer_id: str | None,
        person_id: int | None,
        facts: Callable[[Mail], Mapping[str, object]],
        is_made: Callable[[], bool],
    ) -> Generator[None]:
        """Owe letters before the change that they tell of; forgive them where it fails and is not made.

        Args:
            mails: Which ones; those that were owed before are not owed again.
            customer_id: About whose instance.
            person_id: To whom; None where nobody's address is known.
            facts: What each one's text tells.
            is_made: Asked after a failure, which may have come when the change was made already.
        """
        new: list[str] = []
        with Session(self.engine) as session, session.begin():
            for mail in mails:
                owed = claim_mail(
                    session,
                    mail.cause,
                    template=str(mail.kind),
                    customer_id=customer_id,
                    now=self.clock(),
                    person_id=person_id,
                    facts=facts(mail),
                )
                if owed:
                    new.append(mail.cause)
        try:
            yield
        except Exception:
            if is_made():
                raise
            with Session(self.engine) as session, session.begin():
                for cause in new:
                    forgive_mail(session, cause)
            raise

    def send(self, customer_id: str, event_id: str | None) -> None:
        """Send what a customer is owed, also of a try that was cut off; what no server takes stays owed."""
        if self.post is None:
            return
        with Session(self.engine) as session:
            letters = [(each, _address(session, each)) for each in owed_mails(session, customer_id)]
            session.expunge_all()
        for letter, to in letters:
            if to is None:
                log.warning("letter without an address", customer=customer_id, letter=letter.template)
            else:
                self._send(self.post, letter, to, event_id)

    def send_late(self) -> None:
        """Send what is owed for so long that nobody is at it: no mail server took it when its change was made."""
        now = self.clock()
        self._send_owed(now - OVERDUE, now - LATE)

    def send_overdue(self) -> Sequence[MailRecord]:
        """Try once more to send what is owed for long, and return what still is: it is a person's, too."""
        if self.post is None:
            return ()
        now = self.clock()
        self._send_owed(now - GIVEN_UP, now - OVERDUE)
        with Session(self.engine) as session:
            letters = owed_between(session, now - GIVEN_UP, now - OVERDUE)
            session.expunge_all()
        return letters

    def _send_owed(self, after: datetime, before: datetime) -> None:
        with Session(self.engine) as session:
            customers = {each.customer_id for each in owed_between(session, after, before)}
        for customer_id in sorted(each for each in customers if each is not None):
            try:
                self.send(customer_id, None)
            except Exception as error:  # noqa: BLE001 - the next customer's letter is not to wait for this one's
                log.warning("letter not sent", customer=customer_id, error=type(error).__name__)

    def _send(self, post: Post, letter: MailRecord, to: str, event_id: str | None) -> None:
        """Send a letter once: it is begun before, so that a crash in between can't send it twice."""
        message = write(MailKind(letter.template), to=to, sender=self.sender, cause=letter.cause, facts=letter.facts)
        with Session(self.engine) as session, session.begin():
            if not begin_mail(session, letter.cause, now=self.clock()):
                return
        try:
            post.send(message)
        except InDoubtError as error:
            log.warning("letter in doubt", customer=letter.customer_id, letter=letter.template, error=str(error))
            return
        except (OSError, smtplib.SMTPException) as error:
            log.warning("letter not taken", customer=letter.customer_id, letter=letter.template, error=_said(error))
            with Session(self.engine) as session, session.begin():
                give_back_mail(session, letter.cause)
            return
        with Session(self.engine) as session, session.begin():
            mark_sent(session, letter.cause, now=self.clock())
            append(
                session,
                LedgerKind.MAIL,
                letter.template,
                at=self.clock(),
                customer_id=letter.customer_id,
                cause=event_id,
                detail={"cause": letter.cause},
            )


def _said(error: Exception) -> str:
    """Return what went wrong by its kind and code: a server's words repeat the address."""
    codes = [error.smtp_code] if isinstance(error, smtplib.SMTPResponseException) else []
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = [code for code, _ in error.recipients.values()]
    return " ".join([type(error).__name__, *map(str, codes)])


def _address(session: Session, letter: MailRecord) -> str | None:
    """Return where a letter goes to: looked up now, for it is kept in one place only."""
    person = None if letter.person_id is None else session.get(CustomerRecord, letter.person_id)
    return None if person is None else person.email
