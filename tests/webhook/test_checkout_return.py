"""The ways back from Stripe: how a sign-up goes on, and what cancelling gives back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from registry.customers import Status
from tests.webhook.sign_up_desk import ORDER, PUBLIC_URL, SignUps, Visitor, query, sign_ups
from webhook.database.reservations import release
from webhook.database.subscriptions import save_subscription


@pytest.fixture
def desk(tmp_path: Path, engine: Engine) -> Iterator[SignUps]:
    """The sign-up pages, on each database."""
    with sign_ups(engine, tmp_path) as opened:
        yield opened


@pytest.fixture
def visitor(desk: SignUps) -> Visitor:
    """Somebody."""
    return desk.visitor()


def state(visitor: Visitor, back: str) -> Any:
    """Return what the page's own question is answered."""
    answer = visitor.get(f"/checkout/progress?{query(back)}")
    assert answer.status_code == 200, answer.text
    return answer.json


def customer_id(desk: SignUps) -> str:
    """Return the id that the last visitor was promised."""
    return str(desk.sessions()[0].client_reference_id)


def refreshes(page: TestResponse) -> bool:
    """Whether a page looks again by itself where there is no JavaScript."""
    return '<noscript><meta http-equiv="refresh"' in page.text


def test_from_paid_to_live(desk: SignUps, visitor: Visitor) -> None:
    """Paid, being set up, answering: each told as the registry has it, with the address at the end."""
    back = desk.pay(visitor.send())
    page = visitor.get(back)
    assert page.status_code == 200
    assert refreshes(page)
    assert "payment has come" in page.text
    assert state(visitor, back)["state"] == "paid"
    desk.put(customer_id(desk), status=Status.PENDING)
    told = state(visitor, back)
    assert (told["state"], told["done"], told["url"], told["retry_seconds"]) == ("setting-up", 2, None, 2)
    desk.put(customer_id(desk))
    told = state(visitor, back)
    assert (told["state"], told["done"], told["retry_seconds"]) == ("live", 4, None)
    assert told["url"] == "https://glade.markitup.io:8443"
    page = visitor.get(back)
    assert 'href="https://glade.markitup.io:8443"' in page.text
    assert not refreshes(page)


def test_a_look_at_the_progress_asks_nobody_else(desk: SignUps, visitor: Visitor) -> None:
    """Neither Stripe, which is down here, nor anything that is written."""
    back = desk.pay(visitor.send())
    visitor.get(back)
    desk.world.stop()
    assert state(visitor, back)["state"] == "paid"
    assert visitor.get(back).status_code == 200
    desk.put(customer_id_kept(desk))
    assert state(visitor, back)["state"] == "live"
    desk.world.start()


def customer_id_kept(desk: SignUps) -> str:
    """Return the same from the database."""
    return desk.reservations()["glade"].customer_id


def test_not_paid_yet(desk: SignUps, visitor: Visitor) -> None:
    """Who opens the page without paying is told so, and can still pay."""
    visitor.send()
    back = f"{PUBLIC_URL}/checkout/success?session_id={desk.sessions()[0].id}"
    assert "not heard of a payment" in visitor.get(back).text
    assert state(visitor, back)["state"] == "reserved"
    assert desk.sessions()[0].status == "open"


def test_a_payment_that_takes_days(desk: SignUps, visitor: Visitor) -> None:
    """The name stays theirs for as long; then it goes on as usual, or is said to have failed."""
    back = desk.pay(visitor.send(), "pay_debit")
    page = visitor.get(back)
    assert "a few days" in page.text
    assert not refreshes(page)
    assert state(visitor, back)["state"] == "awaiting-payment"
    desk.clock.ahead = timedelta(days=3)
    assert desk.visitor().send().status_code == 422
    desk.world.knob("advance", days=3, minutes=1)
    visitor.get(back)
    assert state(visitor, back)["state"] in {"paid", "attention"}
    assert desk.reservations()["glade"].payment_status == "paid"


@pytest.mark.parametrize(
    ("status", "expected"),
    [("active", "paid"), ("incomplete_expired", "failed-payment"), ("incomplete", "awaiting-payment")],
)
def test_what_the_worker_noted_counts(desk: SignUps, visitor: Visitor, status: str, expected: str) -> None:
    """Of a payment that took days: the page needs no Stripe to know how it ended."""
    back = desk.pay(visitor.send(), "pay_debit")
    visitor.get(back)
    with Session(desk.engine) as session, session.begin():
        save_subscription(
            session,
            "sub_1",
            stripe_customer="cus_1",
            plan="personal",
            interval="month",
            status=status,
            current_period_end=None,
            now=desk.clock(),
            customer_id=customer_id(desk),
        )
    assert state(visitor, back)["state"] == expected
    assert ("Start again" in visitor.get(back).text) is (expected == "failed-payment")


def test_a_person_is_on_it(desk: SignUps, visitor: Visitor) -> None:
    """Name taken meanwhile, no room, or an update that fails: said in words that worry nobody."""
    back = desk.pay(visitor.send())
    visitor.get(back)
    desk.alert(customer_id(desk))
    told = state(visitor, back)
    assert told["state"] == "attention"
    page = visitor.get(back).text
    assert "one of us is looking after it" in page.replace("\n", " ")
    assert "error" not in page.lower()
    assert "name-taken" not in page


@pytest.mark.parametrize("status", [None, Status.PENDING])
def test_what_takes_too_long_is_a_person_s(desk: SignUps, visitor: Visitor, status: Status | None) -> None:
    """Ten minutes after the payment nobody is told to wait a minute any more."""
    back = desk.pay(visitor.send())
    visitor.get(back)
    if status is not None:
        desk.put(customer_id(desk), status=status)
    desk.clock.ahead = timedelta(minutes=9)
    assert state(visitor, back)["state"] in {"paid", "setting-up"}
    desk.clock.ahead = timedelta(minutes=11)
    assert state(visitor, back)["state"] == "attention"


def test_a_wiki_that_is_closed(desk: SignUps, visitor: Visitor) -> None:
    """The page of long ago does not say that it is coming."""
    back = desk.pay(visitor.send())
    visitor.get(back)
    for status in (Status.SUSPENDED, Status.DELETING):
        desk.put(customer_id(desk), status=status)
        assert state(visitor, back)["state"] == "closed"


def test_it_is_found_after_its_reservation(desk: SignUps, visitor: Visitor) -> None:
    """From what Stripe keeps; the page then does not poll."""
    back = desk.pay(visitor.send())
    desk.put(customer_id(desk))
    with Session(desk.engine) as session, session.begin():
        release(session, customer_id(desk))
    page = visitor.get(back)
    assert 'href="https://glade.markitup.io:8443"' in page.text
    assert "data-polls" not in page.text
    assert visitor.get(f"/checkout/progress?{query(back)}").status_code == 404
    desk.world.knob("outage", calls=100, status=503)
    page = visitor.get(back)
    assert page.status_code == 503
    assert "your payment is safe" in page.text


@pytest.mark.parametrize(
    "session_id",
    ["", "cs_test_", "cs_test_unknown0123456789", "sub_1234567890123", "cs_test_../../customers", "cs_test_a%0d%0ab"],
)
def test_an_unknown_session_is_nobody_s(desk: SignUps, visitor: Visitor, session_id: str) -> None:
    """404, on the page and for its question."""
    for path in ("success", "progress"):
        page = visitor.get(f"/checkout/{path}?session_id={session_id}")
        assert page.status_code == 404
        assert "know this sign-up" in page.text


def test_a_session_of_something_else_is_nobody_s(desk: SignUps, visitor: Visitor) -> None:
    """Made in Stripe's dashboard, say."""
    (price, *_) = desk.world.v1.prices.list().data
    session = desk.world.checkout(price)
    assert visitor.get(f"/checkout/success?session_id={session.id}").status_code == 404


def test_cancelling_gives_the_name_back(desk: SignUps, visitor: Visitor) -> None:
    """At once, for anybody; its session can't be paid any more, and the form comes back as it was."""
    back = desk.pay(visitor.send(region="us", interval="year"), "cancel")
    page = visitor.get(back)
    assert page.status_code == 200
    assert "glade.markitup.io</b> is free again" in page.text
    assert desk.reservations() == {}
    (session,) = desk.sessions()
    assert session.status == "expired"
    assert desk.world.press(f"{desk.world.base}/pay/{session.id}", "pay").status_code == 400
    again = page.text.partition('class="button" href="')[2].partition('"')[0]
    form = visitor.get(again.replace("&amp;", "&"))
    for kept in ('value="year" checked', 'value="personal" checked', 'value="glade"', '"us" selected', ORDER["email"]):
        assert kept in form.text
    assert desk.visitor().send().status_code == 303
    assert visitor.get(back).status_code == 200  # again, and the other one's name stays
    assert set(desk.reservations()) == {"glade"}


@pytest.mark.parametrize("change", ["", "x", "cut", "flip"])
def test_a_forged_link_gives_nothing_back(desk: SignUps, visitor: Visitor, change: str) -> None:
    """Neither a made-up one nor one that was changed."""
    back = desk.pay(visitor.send(), "cancel")
    token = query(back).removeprefix("token=")
    forged = {"cut": token[:-3], "flip": token.swapcase()}.get(change, change)
    page = visitor.get(f"/checkout/cancel?token={forged}")
    assert page.status_code == 400
    assert set(desk.reservations()) == {"glade"}
    assert desk.sessions()[0].status == "open"


def test_what_is_paid_can_t_be_cancelled(desk: SignUps, visitor: Visitor) -> None:
    """The old link leads to the wiki; the name stays."""
    sent = visitor.send()
    cancelled, back = desk.pay(sent, "cancel"), desk.pay(sent)
    page = visitor.get(cancelled)
    assert page.status_code == 303
    assert back.endswith(page.headers["Location"])
    assert set(desk.reservations()) == {"glade"}


def test_cancelling_while_stripe_is_away(desk: SignUps, visitor: Visitor) -> None:
    """The name stays kept, for its session could still be paid; the page says until when."""
    back = desk.pay(visitor.send(), "cancel")
    desk.world.knob("outage", calls=100, status=500)
    page = visitor.get(back)
    assert page.status_code == 200
    assert "half an hour" in page.text
    assert set(desk.reservations()) == {"glade"}


def test_a_name_that_was_given_up_while_stripe_was_asked(
    desk: SignUps, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its session is ended, so that nobody pays for it."""
    create = desk.stripe.create

    def slow(params: Any, *, idempotency_key: str) -> Any:
        session = create(params, idempotency_key=idempotency_key)
        with Session(desk.engine) as database, database.begin():
            release(database, params["client_reference_id"])
        return session

    with monkeypatch.context() as patched:
        patched.setattr(desk.stripe, "create", slow)
        assert visitor.send().status_code == 422
    assert [each.status for each in desk.sessions()] == ["expired"]
    assert visitor.send().status_code == 303


def test_links_lead_nowhere_else(desk: SignUps, visitor: Visitor) -> None:
    """Whatever a query or the Host header says."""
    visitor.get("/checkout")
    data = visitor.form | ORDER
    evil = "next=https://evil.example&success_url=https://evil.example&cancel_url=https://evil.example"
    visitor.client.post(f"/checkout?{evil}", data=data, headers={"Host": "evil.example"})
    for session in desk.sessions():
        assert session.success_url.startswith(f"{PUBLIC_URL}/checkout/success?")
        assert session.cancel_url.startswith(f"{PUBLIC_URL}/checkout/cancel?")
