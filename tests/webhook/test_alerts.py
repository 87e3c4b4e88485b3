"""Calls for a person: in the ledger, and by mail where somebody is named for it."""

from __future__ import annotations

from sqlalchemy.orm import Session

from registry.wishes import Alert, AlertKind
from tests.webhook.test_settlement import ID, Company, company
from webhook.alerts import Alerts, Desk
from webhook.database.mails import owed_alerts

__all__ = ["company"]  # a fixture: pytest finds it here

FULL = Alert(kind=AlertKind.NO_CAPACITY, cause="no-capacity:sub_1", text="No cell has room. Fix: add a cell.")


def at_desk(company: Company) -> Alerts:
    """Return alerts that somebody reads."""
    settlement = company.settlement
    assert settlement.letterbox.post is not None
    desk = Desk(post=settlement.letterbox.post, sender="hosting@markitup.io", to="ops@markitup.io")
    return Alerts(engine=company.engine, clock=settlement.clock, desk=desk)


def test_a_person_is_written_to_once(company: Company) -> None:
    """However often the cause comes and the mails are seen to."""
    alerts = at_desk(company)
    for _ in range(3):
        alerts.call(FULL, customer_id=ID, event_id=None)
        alerts.send()
    assert company.letters.subjects == [f"Alert no-capacity: {ID}"]
    assert company.letters.recipients == ["ops@markitup.io"]
    assert company.alerts() == ["no-capacity"]


def test_an_alert_waits_for_the_mail_server(company: Company) -> None:
    """It is sent when the server is back, and never to the customer whom it is about."""
    alerts = at_desk(company)
    company.letters.away = True
    alerts.call(FULL, customer_id=ID, event_id=None)
    alerts.send()
    company.letters.away = False
    company.settlement.letterbox.send(ID, None)
    company.pass_days(1)
    company.settlement.letterbox.send_late()
    assert company.letters.recipients == []
    alerts.send()
    assert company.letters.recipients == ["ops@markitup.io"]


def test_without_an_address_nothing_is_owed(company: Company) -> None:
    """The ledger and the log have it; an address that is set later is not sent what is old."""
    company.settlement.alerts.call(FULL, customer_id=ID, event_id=None)
    with Session(company.engine) as session:
        assert owed_alerts(session) == []
    at_desk(company).send()
    assert company.letters.subjects == []
    assert company.alerts() == ["no-capacity"]
