"""Calls for a person: each cause once, in the ledger, in the log, and by mail where there is an address for it."""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import formatdate

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from registry.wishes import Alert
from webhook.database.ledger import LedgerKind, append
from webhook.database.mails import ALERT, MailRecord, claim_mail, mark_sent, owed_alerts
from webhook.mail.letters import message_id
from webhook.mail.post import InDoubtError, Post

log = structlog.get_logger("worker")


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Where our own people read what they are called for.

    Attributes:
        post: The mail server.
        sender: Our address.
        to: Theirs.
    """

    post: Post
    sender: str
    to: str


@dataclass(frozen=True, kw_only=True)
class Alerts:
    """What calling a person needs.

    Attributes:
        engine: The management database.
        clock: The time, UTC.
        desk: Who is written to; None where the ledger and the log are all.
    """

    engine: Engine
    clock: Callable[[], datetime]
    desk: Desk | None = None

    def call(self, alert: Alert, *, customer_id: str | None, event_id: str | None) -> None:
        """Call a person, unless the same cause has done so; the mail follows by ``send``."""
        now = self.clock()
        with Session(self.engine) as session, session.begin():
            cause = f"alert:{alert.cause}"
            facts = {"kind": str(alert.kind), "text": alert.text}
            if not claim_mail(session, cause, template=ALERT, customer_id=customer_id, now=now, facts=facts):
                return
            if self.desk is None:
                mark_sent(session, cause, now=now)
            append(
                session,
                LedgerKind.ALERT,
                str(alert.kind),
                at=now,
                customer_id=customer_id,
                cause=event_id,
                detail={"text": alert.text},
            )
            # Before the commit: a line too many after a crash, and not one too few.
            log.error("alert", kind=str(alert.kind), customer=customer_id, text=alert.text)

    def send(self) -> None:
        """Write to our people what they were called for; what no mail server takes follows at the next time.

        One at a time: of two at once each would send it. One that is sent twice after a crash does no harm.
        """
        if self.desk is None:
            return
        with Session(self.engine) as session:
            owed = owed_alerts(session)
            session.expunge_all()
        for alert in owed:
            try:
                self.desk.post.send(_message(alert, self.desk))
            except (OSError, smtplib.SMTPException, InDoubtError) as error:
                log.warning("alert not taken", cause=alert.cause, error=type(error).__name__)
                return
            with Session(self.engine) as session, session.begin():
                mark_sent(session, alert.cause, now=self.clock())


def _message(alert: MailRecord, desk: Desk) -> EmailMessage:
    message = EmailMessage()
    about = alert.customer_id or "hosting"
    message["Subject"] = f"Alert {alert.facts['kind']}: {about}"
    message["From"] = desk.sender
    message["To"] = desk.to
    message["Date"] = formatdate(localtime=False, usegmt=True)
    message["Message-ID"] = message_id(alert.cause, desk.sender)
    history = f"\n\nWhat happened before: hosting why {alert.customer_id}" if alert.customer_id else ""
    message.set_content(f"{alert.facts['text']}\n\nSince {alert.claimed_at:%Y-%m-%d %H:%M} UTC.{history}\n")
    return message
