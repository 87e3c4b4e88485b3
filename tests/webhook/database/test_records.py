"""The tables' functions, on both databases: right when repeated, right when two do the same at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import IntegrityError, NoResultFound, StatementError
from sqlalchemy.orm import Session

from registry.customers import Customer, Status
from webhook.database import backups, customers, events, instances, ledger, mails, reservations, subscriptions
from webhook.database.backups import BackupKind
from webhook.database.event_intake import record_event
from webhook.database.events import EventRecord, EventState, NewEvent
from webhook.database.ledger import LedgerKind

NOW = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)
ENTRY = Customer(subdomain="acme", plan="team", status=Status.PENDING, cell="eu-1")


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A transaction of its own."""
    with Session(engine) as opened, opened.begin():
        yield opened


def new_event(event_id: str = "evt_1", **changes: object) -> NewEvent:
    """Return an event."""
    values: dict[str, object] = {
        "id": event_id,
        "type": "invoice.paid",
        "api_version": "2026-10-28.endive",
        "created": NOW - timedelta(seconds=2),
        "received_at": NOW,
        "payload": {"id": event_id, "data": {"object": {"id": "in_1", "amount": 799}}},
    }
    return NewEvent(**(values | changes))  # type: ignore[arg-type]


def at_once(engine: Engine, number: int, work: Callable[[Session, int], object]) -> list[object]:
    """Do something in that many transactions at the same time; return what each returned."""
    ready = threading.Barrier(number)

    def one(index: int) -> object:
        ready.wait()
        with Session(engine) as session, session.begin():
            return work(session, index)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


def test_moments_keep_their_zone(session: Session) -> None:
    """They come back in UTC, to the microsecond; one without a zone is refused."""
    there = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    customers.save_customer(session, email="ada@example.org", stripe_customer=None, now=there)
    session.expire_all()
    person = customers.find_by_email(session, "ada@example.org")
    assert person is not None
    assert (person.created_at, person.created_at.tzinfo) == (NOW, UTC)
    with pytest.raises(StatementError, match="without a time zone"), session.begin_nested():
        customers.save_customer(session, email="bob@example.org", stripe_customer=None, now=NOW.replace(tzinfo=None))


def test_a_person_is_one_row(session: Session) -> None:
    """An address, however it is written; whose address changes is another one, and nobody's is forgotten."""
    first = customers.save_customer(session, email=" Ada@Example.org ", stripe_customer=None, now=NOW)
    assert (first.email, first.stripe_customer) == ("ada@example.org", None)
    again = customers.save_customer(session, email="ADA@example.org", stripe_customer="cus_1", now=NOW)
    assert (again.id, again.stripe_customer) == (first.id, "cus_1")
    moved = customers.save_customer(session, email="ada@new.example.org", stripe_customer="cus_1", now=NOW)
    assert (moved.email, moved.stripe_customer) == ("ada@new.example.org", "cus_1")
    second = customers.save_customer(session, email="ada@new.example.org", stripe_customer="cus_2", now=NOW)
    assert (second.id, second.stripe_customer) == (moved.id, "cus_1")
    other = customers.save_customer(session, email="bob@example.org", stripe_customer="cus_3", now=NOW)
    assert other.id != moved.id
    assert customers.find_by_email(session, "ada@example.org") is None
    joined = customers.save_customer(session, email="bob@example.org", stripe_customer="cus_1", now=NOW)
    assert (joined.id, joined.stripe_customer) == (other.id, "cus_3")


def test_a_person_is_one_row_also_at_once(engine: Engine) -> None:
    """Ten checkouts with one address end at the same time."""
    ids = at_once(
        engine,
        10,
        lambda session, _: customers.save_customer(session, email="ada@example.org", stripe_customer=None, now=NOW).id,
    )
    assert len(set(ids)) == 1


def test_an_instance_mirrors_the_registry(session: Session) -> None:
    """What the registry says is set anew; what only measuring or the sign-up tells stays."""
    owner = customers.save_customer(session, email="ada@example.org", stripe_customer="cus_1", now=NOW)
    instances.save_instance(session, "acme", ENTRY, now=NOW, owner_id=owner.id)
    instances.record_usage(session, "acme", used_bytes=5 * 2**40, users=7, at=NOW)
    instances.record_usage(session, "nobody", used_bytes=1, users=1, at=NOW)
    changed = ENTRY.model_copy(update={"plan": "pro", "status": Status.ACTIVE})
    instances.save_instance(session, "acme", changed, now=NOW + timedelta(hours=1))
    found = instances.find_instance(session, "acme")
    assert found is not None
    assert (found.plan, found.status, found.cell, found.subdomain) == ("pro", "active", "eu-1", "acme")
    assert (found.storage_used_bytes, found.users_count, found.storage_measured_at) == (5 * 2**40, 7, NOW)
    assert found.owner_id == owner.id
    assert found.updated_at == NOW + timedelta(hours=1)
    assert [each.customer_id for each in instances.instances_of(session, owner.id)] == ["acme"]
    session.delete(owner)
    session.flush()
    session.expire_all()
    assert found.owner_id is None
    instances.remove_instance(session, "acme")
    assert instances.find_instance(session, "acme") is None


def test_a_subdomain_is_one_instance(session: Session) -> None:
    """Who gets another one's name has it alone, negative numbers are refused; what was not measured is not known."""
    instances.save_instance(session, "other", ENTRY, now=NOW)
    instances.save_instance(session, "acme", ENTRY, now=NOW)
    outdated = instances.find_instance(session, "other")
    assert outdated is not None
    assert outdated.subdomain == "~other"
    for used, users in ((-1, 0), (0, -1)):
        with pytest.raises(IntegrityError), session.begin_nested():
            instances.record_usage(session, "acme", used_bytes=used, users=users, at=NOW)
    found = instances.find_instance(session, "acme")
    assert found is not None
    assert (found.storage_used_bytes, found.users_count, found.storage_measured_at) == (0, None, None)


def test_a_subscription_is_set_anew(session: Session) -> None:
    """One row an id; its instance stays known when it is not told again."""
    for status, customer_id in (("incomplete", None), ("active", "acme"), ("past_due", None)):
        subscriptions.save_subscription(
            session,
            "sub_1",
            stripe_customer="cus_1",
            plan="team",
            interval="month",
            status=status,
            current_period_end=NOW + timedelta(days=30),
            now=NOW,
            customer_id=customer_id,
        )
    found = subscriptions.find_subscription(session, "sub_1")
    assert found is not None
    assert (found.status, found.customer_id, found.current_period_end) == ("past_due", "acme", NOW + timedelta(days=30))
    for name, end in (("sub_0", None), ("sub_2", NOW + timedelta(days=60))):
        subscriptions.save_subscription(
            session,
            name,
            stripe_customer="cus_1",
            plan="pro",
            interval="year",
            status="active",
            current_period_end=end,
            now=NOW,
            customer_id="acme",
        )
    assert [each.stripe_subscription for each in subscriptions.subscriptions_of(session, "acme")] == [
        "sub_2",
        "sub_1",
        "sub_0",
    ]


def test_backups_are_listed_the_latest_first(session: Session) -> None:
    """Each once, whoever repeats its upload; old ones are found, and forgotten."""
    for day in (1, 3, 2):
        fields = {"customer_id": "acme", "filename": f"{day}.tar", "size_bytes": 2**33, "s3_key": f"acme/{day}"}
        fields |= {"kind": BackupKind.DAILY, "sha256": "0" * 64}
        at = NOW + timedelta(days=day)
        assert backups.record_backup(session, **fields, created_at=at)  # type: ignore[arg-type]
        assert not backups.record_backup(session, **fields, created_at=at)  # type: ignore[arg-type]
    assert [each.filename for each in backups.backups_of(session, "acme")] == ["3.tar", "2.tar", "1.tar"]
    old = backups.backups_before(session, NOW + timedelta(days=3))
    assert [each.filename for each in old] == ["1.tar", "2.tar"]
    backups.forget_backup(session, "acme/1")
    assert [each.s3_key for each in backups.backups_of(session, "acme")] == ["acme/3", "acme/2"]
    assert backups.backups_of(session, "birch") == []


def test_an_event_is_recorded_once(engine: Engine) -> None:
    """Its first form is kept; of twenty at once one is told that it is new."""
    done = at_once(
        engine,
        20,
        lambda _, index: record_event(engine, new_event(received_at=NOW + timedelta(seconds=index))),
    )
    assert sorted(map(str, done)) == ["False"] * 19 + ["True"]
    with Session(engine) as session:
        found = events.find_event(session, "evt_1")
        assert found is not None
        assert (found.state, found.attempts, found.applied_at, found.reason) == (EventState.RECEIVED, 0, None, None)
        assert found.payload["data"]["object"]["amount"] == 799
    assert not record_event(engine, new_event(type="other"))
    with Session(engine) as session:
        assert session.scalars(select(EventRecord.type)).all() == ["invoice.paid"]


def test_an_event_goes_its_way(engine: Engine, session: Session) -> None:
    """Tries are counted, a failure may be followed by success, and what is settled stays so."""
    record_event(engine, new_event())
    assert [events.begin_attempt(session, "evt_1") for _ in range(2)] == [1, 2]
    assert events.settle_event(session, "evt_1", EventState.FAILED, now=NOW, reason="Stripe was down")
    found = events.find_event(session, "evt_1")
    assert found is not None
    assert (found.state, found.reason, found.applied_at) == (EventState.FAILED, "Stripe was down", None)
    assert events.settle_event(session, "evt_1", EventState.APPLIED, now=NOW)
    assert not events.settle_event(session, "evt_1", EventState.FAILED, now=NOW, reason="a late second run")
    assert not events.settle_event(session, "evt_nobody", EventState.APPLIED, now=NOW)
    session.expire_all()
    assert (found.state, found.reason, found.applied_at, found.attempts) == (EventState.APPLIED, None, NOW, 2)
    with pytest.raises(NoResultFound):
        events.begin_attempt(session, "evt_nobody")


def test_only_a_parked_event_is_retried(engine: Engine, session: Session) -> None:
    """It waits again, as if it had come now; one that was applied stays so."""
    for name, state in (("evt_1", EventState.PARKED), ("evt_2", EventState.APPLIED)):
        record_event(engine, new_event(name, state=state, reason="because"))
    later = NOW + timedelta(hours=1)
    assert events.retry_event(session, "evt_1", now=later)
    assert not events.retry_event(session, "evt_1", now=later)
    assert not events.retry_event(session, "evt_2", now=later)
    assert not events.retry_event(session, "evt_3", now=later)
    event = events.find_event(session, "evt_1")
    assert event is not None
    assert (event.state, event.reason, event.received_at) == (EventState.RECEIVED, None, later)


def test_a_mail_is_begun_by_one(engine: Engine) -> None:
    """Of those who want to send it at once, one does; what a server refused is owed again, what it took is not."""
    with Session(engine) as opened, opened.begin():
        mails.claim_mail(opened, "welcome:acme", template="welcome", customer_id="acme", now=NOW)
    begun = at_once(engine, 8, lambda opened, _: mails.begin_mail(opened, "welcome:acme", now=NOW))
    assert sorted(map(bool, begun)) == [False] * 7 + [True]
    with Session(engine) as opened, opened.begin():
        assert mails.owed_mails(opened, "acme") == []
        mails.give_back_mail(opened, "welcome:acme")
        assert [each.cause for each in mails.owed_mails(opened, "acme")] == ["welcome:acme"]
        assert mails.begin_mail(opened, "welcome:acme", now=NOW)
        assert (mails.sent_at(opened, "welcome:acme"), mails.sent_at(opened, "welcome:nobody")) == (None, None)
        mails.mark_sent(opened, "welcome:acme", now=NOW)
        assert mails.sent_at(opened, "welcome:acme") == NOW
        assert mails.owed_mails(opened, "acme") == []
        assert not mails.begin_mail(opened, "welcome:acme", now=NOW)


def test_pending_events_are_those_that_wait(engine: Engine) -> None:
    """Received before a moment and not touched since; the oldest first, no more than asked for."""
    for index, name in enumerate(["evt_c", "evt_a", "evt_b", "evt_late"]):
        record_event(engine, new_event(name, received_at=NOW + timedelta(seconds=index)))
    for state in set(EventState) - {EventState.RECEIVED}:
        record_event(engine, new_event(f"evt_{state}", state=state))
    found = events.pending_events(engine, NOW + timedelta(seconds=3))
    assert found == [(name, NOW + timedelta(seconds=index)) for index, name in enumerate(("evt_c", "evt_a", "evt_b"))]
    assert events.pending_events(engine, NOW + timedelta(seconds=9), limit=2) == found[:2]
    assert events.pending_events(engine, NOW) == []
    assert events.count_events(engine) == {
        ("invoice.paid", state): 4 if state is EventState.RECEIVED else 1 for state in EventState
    }
    with Session(engine) as session:
        assert [each.id for each in events.events_in_state(session, EventState.PARKED)] == ["evt_parked"]


def claim(number: int, subdomain: str = "acme") -> reservations.Claim:
    """Return what one of several visitors asks for."""
    return reservations.Claim(
        subdomain=subdomain, holder=f"form-{number}", customer_id=f"c-{number}", idempotency_key=f"key-{number}"
    )


def test_a_name_is_kept_for_one(session: Session) -> None:
    """Until it expires or is given up; asking twice changes nothing of what was promised first."""

    def reserve(number: int, minutes: int) -> bool:
        now = NOW + timedelta(minutes=minutes)
        return reservations.reserve(session, claim(number), now=now, until=now + timedelta(minutes=30))

    def holder(minutes: int) -> str | None:
        return reservations.holder_of(session, "acme", now=NOW + timedelta(minutes=minutes))

    assert reserve(1, 0)
    assert not reserve(1, 10)
    assert not reserve(2, 29)
    assert holder(29) == "form-1"
    assert holder(30) is None
    assert reserve(2, 30)
    found = reservations.reservation_of(session, "form-2", now=NOW + timedelta(minutes=31))
    assert found is not None
    assert (found.customer_id, found.idempotency_key, found.session_id) == ("c-2", "key-2", None)
    reservations.release(session, "c-1")
    assert holder(31) == "form-2"
    reservations.release(session, "c-2")
    assert reserve(3, 31)
    reservations.remove_expired(session, now=NOW + timedelta(minutes=60))
    assert holder(60) == "form-3"
    reservations.remove_expired(session, now=NOW + timedelta(minutes=61))
    assert holder(0) is None


def test_a_form_has_one_name(session: Session) -> None:
    """The database refuses a second one at the same time."""
    until = NOW + timedelta(minutes=30)
    assert reservations.reserve(session, claim(1), now=NOW, until=until)
    with pytest.raises(IntegrityError), session.begin_nested():
        reservations.reserve(session, claim(1, "birch"), now=NOW, until=until)


def test_a_reservation_with_its_session(session: Session) -> None:
    """Found by it, kept longer once it is complete; a name that was given up takes no session any more."""
    until, later = NOW + timedelta(minutes=30), NOW + timedelta(days=7)
    reservations.reserve(session, claim(1), now=NOW, until=until)
    assert reservations.attach(session, customer_id="c-1", session_id="cs_1")
    reservations.release(session, "c-1", only_without_session=True)
    for status, minutes in (("unpaid", 5), ("paid", 9)):
        at = NOW + timedelta(minutes=minutes)
        reservations.complete(session, "cs_1", payment_status=status, now=at, until=later)
        session.expire_all()
        found = reservations.reservation_paid_by(session, "cs_1")
        assert found is not None
        assert (found.payment_status, found.completed_at) == (status, NOW + timedelta(minutes=5))
        assert found.expires_at == later
    reservations.release(session, "c-1")
    assert reservations.reservation_paid_by(session, "cs_1") is None
    assert not reservations.attach(session, customer_id="c-1", session_id="cs_2")


def test_of_twenty_at_once_one_gets_the_name(engine: Engine) -> None:
    """And is the one that the database names."""
    until = NOW + timedelta(minutes=30)
    done = at_once(engine, 20, lambda session, index: reservations.reserve(session, claim(index), now=NOW, until=until))
    assert sum(map(bool, done)) == 1
    with Session(engine) as session:
        assert reservations.holder_of(session, "acme", now=NOW) == f"form-{done.index(True)}"


def test_the_ledger_tells_why(engine: Engine, session: Session) -> None:
    """From a mail back to the event, in order; each with one cause that exists."""
    record_event(engine, new_event())
    first = ledger.append(session, LedgerKind.EVENT, "evt_1", at=NOW, customer_id="acme", cause="evt_1")
    commit = ledger.append(session, LedgerKind.COMMIT, "abc", at=NOW, customer_id="acme", cause=first.id)
    other = ledger.append(session, LedgerKind.ALERT, "disk", at=NOW)
    mail = ledger.append(
        session, LedgerKind.MAIL, "welcome", at=NOW, customer_id="acme", cause=commit.id, detail={"seconds": 2.5}
    )
    session.expire_all()
    assert (first.cause_event_id, first.cause_id, mail.detail) == ("evt_1", None, {"seconds": 2.5})
    assert (mail.cause_id, commit.cause_id, other.cause_id) == (commit.id, first.id, None)
    assert [each.kind for each, _ in ledger.history(session, "acme")] == ["event", "commit", "mail"]
    for cause in (10**6, "evt_nobody"):
        with pytest.raises(IntegrityError), session.begin_nested():
            ledger.append(session, LedgerKind.COMMIT, "x", at=NOW, cause=cause)
    with pytest.raises(IntegrityError), session.begin_nested():
        session.execute(text("UPDATE ledger SET cause_event_id = 'evt_1'"))


def test_an_event_of_the_ledger_stays(engine: Engine, session: Session) -> None:
    """It can't be removed while something is told to have happened because of it."""
    record_event(engine, new_event())
    ledger.append(session, LedgerKind.EVENT, "evt_1", at=NOW, cause="evt_1")
    with pytest.raises(IntegrityError), session.begin_nested():
        session.execute(text("DELETE FROM events"))


def test_a_mail_is_claimed_once(engine: Engine) -> None:
    """Of ten that would send it one does; what was begun and whose end nobody knows is found."""
    done = at_once(
        engine,
        10,
        lambda session, _: mails.claim_mail(session, "welcome:acme", template="welcome", customer_id="acme", now=NOW),
    )
    assert sum(map(bool, done)) == 1
    later = NOW + timedelta(minutes=5)
    with Session(engine) as session, session.begin():
        assert mails.in_doubt(session, begun_before=later) == []
        mails.begin_mail(session, "welcome:acme", now=NOW)
        assert [each.cause for each in mails.in_doubt(session, begun_before=later)] == ["welcome:acme"]
        assert mails.in_doubt(session, begun_before=NOW) == []
        mails.mark_sent(session, "welcome:acme", now=later)
        session.expire_all()
        assert mails.in_doubt(session, begun_before=later) == []
        assert not mails.claim_mail(session, "welcome:acme", template="welcome", customer_id="acme", now=later)
