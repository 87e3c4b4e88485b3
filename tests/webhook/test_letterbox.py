"""Letters that can't be sent: what is told of them, and what they keep from others."""

from __future__ import annotations

import json
import smtplib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from webhook.database.customers import save_customer
from webhook.database.mails import claim_mail
from webhook.letterbox import Letterbox
from webhook.mail.post import Post

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
FACTS = {"url": "https://acme.markitup.io", "portal_url": "https://portal.markitup.io"}
REFUSALS = (
    smtplib.SMTPRecipientsRefused({"ann@example.org": (550, b"<ann@example.org>: no such mailbox")}),
    smtplib.SMTPDataError(554, b"not for ann@example.org"),
)


@dataclass(kw_only=True)
class Server:
    """Takes letters, or refuses them all."""

    taken: list[str] = field(default_factory=list[str])
    refusal: Exception | None = None

    def send(self, message: EmailMessage) -> None:
        """Take a letter."""
        if self.refusal is not None:
            raise self.refusal
        self.taken.append(str(message["To"]))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """A mail server of the test's own."""
    made = Server()
    monkeypatch.setattr(Post, "send", made.send)
    return made


@pytest.fixture
def box(engine: Engine) -> Letterbox:
    """A letterbox without letters."""
    post = Post(host="127.0.0.1", port=1)
    return Letterbox(engine=engine, post=post, sender="hosting@markitup.io", clock=lambda: NOW)


def owe(engine: Engine, name: str, facts: dict[str, str]) -> None:
    """Owe a customer a letter since half an hour."""
    with Session(engine) as session, session.begin():
        person = save_customer(session, email=f"{name}@example.org", stripe_customer=f"cus_{name}", now=NOW)
        claim_mail(
            session,
            f"resumed:{name}",
            template="resumed",
            customer_id=f"c-{name}",
            now=NOW - timedelta(minutes=30),
            person_id=person.id,
            facts=facts,
        )


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda each: type(each).__name__)
def test_the_log_of_a_refusal_has_no_address(
    box: Letterbox, server: Server, engine: Engine, refusal: Exception
) -> None:
    """It says which letter of which customer, and the mail server's code."""
    owe(engine, "ann", FACTS)
    server.refusal = refusal
    with capture_logs() as lines:
        box.send("c-ann", None)
    said = json.dumps(lines)
    assert "ann@example.org" not in said
    assert "c-ann" in said
    assert type(refusal).__name__ in said
    assert " 55" in said


def test_a_letter_that_can_t_be_written_keeps_nobody_else_s(box: Letterbox, server: Server, engine: Engine) -> None:
    """One that lacks what its text tells by now stays owed and is told of; the next customer's goes out."""
    owe(engine, "ann", {})
    owe(engine, "bob", FACTS)
    with capture_logs() as lines:
        box.send_late()
    assert server.taken == ["bob@example.org"]
    assert [(each["customer"], each["log_level"]) for each in lines] == [("c-ann", "warning")]
