"""Calls for a person: each cause once, in the ledger and in the log, where the monitoring takes it up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from registry.wishes import Alert
from webhook.database.ledger import LedgerKind, append
from webhook.database.mails import claim_mail, mark_sent

log = structlog.get_logger("worker")


@dataclass(frozen=True, kw_only=True)
class Alerts:
    """What calling a person needs.

    Attributes:
        engine: The management database.
        clock: The time, UTC.
    """

    engine: Engine
    clock: Callable[[], datetime]

    def call(self, alert: Alert, *, customer_id: str | None, event_id: str | None) -> None:
        """Call a person, unless the same cause has done so."""
        now = self.clock()
        with Session(self.engine) as session, session.begin():
            cause = f"alert:{alert.cause}"
            if not claim_mail(session, cause, template="alert", customer_id=customer_id, now=now):
                return
            mark_sent(session, cause, now=now)
            detail = {"text": alert.text}
            append(
                session,
                LedgerKind.ALERT,
                str(alert.kind),
                at=now,
                customer_id=customer_id,
                cause=event_id,
                detail=detail,
            )
        log.error("alert", kind=str(alert.kind), customer=customer_id, text=alert.text)
