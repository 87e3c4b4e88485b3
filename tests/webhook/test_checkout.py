"""The sign-up form: what it shows, what it refuses, and what it sells."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from html import unescape
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from localcloud.faults import Fault, Mode
from registry.plans import PLANS
from tests.webhook.sign_up_desk import SignUps, sign_ups
from webhook import checkout_booking
from webhook.checkout_booking import Booking, NameGoneError
from webhook.checkout_order import Order
from webhook.database.engine import open_database
from webhook.database.reservations import Claim, Reservation
from webhook.pages import visitor as visitor_key
from webhook.stripe_checkout import StripeRefusedError
from webhook.subscriptions import read


@pytest.fixture
def desk(engine: Engine, tmp_path: Path) -> Iterator[SignUps]:
    """The sign-up pages, on each database."""
    with sign_ups(engine, tmp_path) as opened:
        yield opened


@pytest.fixture
def light_desk(light_engine: Engine, tmp_path: Path) -> Iterator[SignUps]:
    """The sign-up pages on that."""
    with sign_ups(light_engine, tmp_path) as opened:
        yield opened


def problem(page: TestResponse, name: str) -> str:
    """Return what a page says beside a field."""
    found = re.search(rf'<p class="problem" id="{name}-problem">([^<]*)</p>', page.text)
    return unescape(found[1]) if found else ""


def test_the_form_shows_the_plans(light_desk: SignUps) -> None:
    """All of them with both prices and their features, what the query asks for chosen, one region or another."""
    page = light_desk.visitor().get("/checkout?plan=pro&interval=year&subdomain=glade&region=us")
    assert page.status_code == 200
    for plan in PLANS.values():
        assert f"<b>${plan.monthly_cents / 100:,.2f}</b> a month" in page.text
        assert f"<b>${plan.yearly_cents / 100:,.2f}</b> a year" in page.text
        assert all(f"<span>{feature}</span>" in page.text for feature in plan.features)
    for chosen in ('value="pro" checked', 'value="year" checked', 'value="glade"', 'value="us" selected'):
        assert chosen in page.text
    assert page.text.count(" checked") == 2


def test_there_is_no_choice_of_one_region(light_engine: Engine, tmp_path: Path) -> None:
    """Where all cells are in one, it is not asked for."""
    cells = {"eu-1": {"region": "eu", "location": "nbg1", "server_types": ["cx43"]}}
    with sign_ups(light_engine, tmp_path, cells=cells) as desk:
        assert 'name="region"' not in desk.visitor().get("/checkout").text


def test_an_order_is_all_that_the_lifecycle_reads(desk: SignUps) -> None:
    """The name is kept, and Stripe is told who gets what, twice: on the session and on its subscription."""
    sent = desk.visitor().send(region="us", plan="team", interval="year", subdomain=" Glade.markitup.io ")
    (session,) = desk.sessions()
    assert (sent.status_code, sent.headers["Location"]) == (303, session.url)
    kept = desk.reservations()["glade"]
    assert (kept.session_id, kept.customer_id) == (session.id, session.client_reference_id)
    assert re.fullmatch(r"c-[a-z0-9]{8}", kept.customer_id)
    metadata = {"customer_id": kept.customer_id, "subdomain": "glade", "region": "us"}
    assert session.metadata.to_dict() == metadata
    assert (session.customer_email, session.allow_promotion_codes, session.mode) == (
        "gil@example.org",
        True,
        "subscription",
    )
    items = desk.world.v1.checkout.sessions.line_items.list(session.id).data
    assert [item.price.lookup_key for item in items if item.price] == ["team_year"]
    # The name outlives the session, and the session has Stripe's least half hour.
    assert timedelta(minutes=29) < kept.expires_at - desk.clock() <= timedelta(minutes=40)
    ends = desk.clock().timestamp() + 30 * 60
    assert ends - 5 < session.expires_at < kept.expires_at.timestamp() - 60
    desk.pay(sent)
    (subscription,) = desk.world.v1.subscriptions.list().data
    found = read(desk.world.client, subscription.id).subscription
    assert (found.customer_id, found.subdomain, found.region) == (kept.customer_id, "glade", "us")
    assert (found.plan, found.interval, found.status) == ("team", "year", "active")


def test_without_a_region_none_is_told(light_desk: SignUps) -> None:
    """The lifecycle then places where there is room."""
    light_desk.visitor().send()
    (session,) = light_desk.sessions()
    assert set(session.metadata.to_dict()) == {"customer_id", "subdomain"}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("plan", "platinum", "Choose one of the plans."),
        ("interval", "week", "Choose monthly or yearly."),
        ("subdomain", "", "Choose a name"),
        ("subdomain", "ab", "“ab” is no subdomain"),
        ("subdomain", "a_b_c", "lower-case letters"),
        ("subdomain", "portal", "“portal” is reserved."),
        ("subdomain", "acme", "“acme” is taken."),
        ("subdomain", "birch", "“birch” is taken."),
        ("email", "", "Tell us where to write to"),
        ("email", "gil@localhost", "no e-mail address"),
        ("email", "gil@example.org, eve@example.org", "no e-mail address"),
        ("email", f"{'g' * 250}@example.org", "no e-mail address"),
        ("region", "mars", "Choose one of the regions."),
    ],
)
def test_a_problem_is_beside_its_field(light_desk: SignUps, name: str, value: str, words: str) -> None:
    """And at the top; all else stays as it was typed, nothing is kept and Stripe hears nothing."""
    page = light_desk.visitor().send(**{name: value})
    assert page.status_code == 422
    assert words in problem(page, name)
    assert words in unescape(page.text.partition("</form>")[0].partition("<form")[0])
    if name != "email":
        assert 'value="gil@example.org"' in page.text
    assert light_desk.reservations() == {}
    assert light_desk.sessions() == []


def test_all_problems_are_said_at_once(light_desk: SignUps) -> None:
    """Each beside its own field."""
    page = light_desk.visitor().send(subdomain="-", email="gil")
    assert problem(page, "subdomain")
    assert problem(page, "email")
    assert not problem(page, "plan")


def test_a_name_out_of_quarantine_can_be_had(light_desk: SignUps) -> None:
    """Once its last day has gone."""
    assert light_desk.visitor().send(subdomain="cedar").status_code == 303


def test_what_is_typed_is_never_markup(light_desk: SignUps) -> None:
    """In any field."""
    evil = '"><script>alert(1)</script>'
    page = light_desk.visitor().send(subdomain=evil, email=evil, plan=evil, region=evil)
    assert page.status_code == 422
    assert "<script>" not in page.text
    assert "<script>" not in light_desk.visitor().get(f"/checkout?subdomain={evil}&plan={evil}").text


def test_full_servers_sell_nothing(light_desk: SignUps) -> None:
    """The visitor is told so before paying, not after; in the region that still has room it goes on."""
    light_desk.fill()
    page = light_desk.visitor().send(region="eu")
    assert page.status_code == 422
    assert "sold out for the moment" in problem(page, "plan")
    assert light_desk.sessions() == []
    assert light_desk.visitor().send(region="us").status_code == 303


def test_no_order_while_the_registry_is_unreadable(light_desk: SignUps) -> None:
    """Nobody's name is known to be free then."""
    light_desk.registry.write_text("customers: [")
    page = light_desk.visitor().send()
    assert page.status_code == 503
    assert "can&#39;t take orders" in page.text


def test_twenty_at_once_two_of_them_on_one_name(desk: SignUps) -> None:
    """Nineteen are sent to Stripe; of the two one, and the other is told that the name is being bought."""
    visitors = [desk.visitor() for _ in range(20)]
    for each in visitors:
        each.get("/checkout")
    names = [f"meadow-{number // 2 if number < 2 else number}" for number in range(20)]
    assert names[0] == names[1]
    assert len(set(names)) == 19
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda pair: pair[0].send(subdomain=pair[1]), zip(visitors, names, strict=True)))
    assert sorted(answer.status_code for answer in answers) == [303] * 19 + [422]
    (told,) = [answer for answer in answers if answer.status_code == 422]
    assert "is being bought by somebody else" in problem(told, "subdomain")
    assert {each.metadata["subdomain"] for each in desk.sessions()} == set(names) == set(desk.reservations())
    assert len(desk.sessions()) == 19
    assert len({each.client_reference_id for each in desk.sessions()}) == 19


def test_a_form_that_is_sent_twice_opens_one_session(desk: SignUps) -> None:
    """Eight times at once, and again later: the same page of Stripe each time."""
    visitor = desk.visitor()
    visitor.get("/checkout")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: visitor.send(), range(8)))
    answers.append(visitor.send())
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert len(desk.sessions()) == 1


def test_a_form_that_is_sent_twice_is_its_own_rival_on_no_database(
    desk: SignUps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which of the two unique columns Postgres finds first is chance: by the holder's it refuses the same name too."""
    visitor = desk.visitor()
    visitor.get("/checkout")
    reserve = checkout_booking.reserve

    def beaten(session: Session, claim: Claim, *, now: datetime, until: datetime) -> bool:
        with Session(desk.engine) as other, other.begin():
            reserve(other, claim, now=now, until=until)
        raise IntegrityError("INSERT", {}, Exception("uq_reservations_holder"))

    def remove_nothing(*_: object, **__: object) -> None:
        """Begin no write on SQLite, which would keep the rival waiting."""

    monkeypatch.setattr(checkout_booking, "remove_expired", remove_nothing)
    monkeypatch.setattr(checkout_booking, "reserve", beaten)
    assert visitor.send().status_code == 303


def test_a_form_that_is_sent_with_two_names_at_once_keeps_one(desk: SignUps) -> None:
    """Eight times, every time with another name: at the end one session can be paid, or none."""
    visitor = desk.visitor()
    visitor.get("/checkout")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: visitor.send(subdomain=f"meadow-{number}"), range(8)))
    assert {answer.status_code for answer in answers} <= {303, 422}
    still_open = {each.metadata["subdomain"] for each in desk.sessions() if each.status == "open"}
    assert len(still_open) <= 1
    assert still_open <= set(desk.reservations())
    assert visitor.send().status_code == 303
    assert set(desk.reservations()) == {"glade"}


def test_a_session_that_is_opened_meanwhile_is_ended(desk: SignUps, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is given back while another thread opens a session for it: that one can't be paid afterwards."""
    booking = Booking(engine=desk.engine, stripe=desk.stripe, secret_key="x" * 32)
    pages = {"success_url": "https://portal.example.org/done", "cancel_url": "https://portal.example.org/back"}
    order = Order(subdomain="glade", email="ash@example.org")
    first = booking._reserve(order, "form")
    seen = iter([first])

    def kept(holder: str) -> Reservation | None:
        stale = next(seen, None)
        if stale is None:
            return Booking._kept(booking, holder)
        booking.book(order, "form", **pages)
        return stale

    giver = Booking(engine=desk.engine, stripe=desk.stripe, secret_key="x" * 32)
    monkeypatch.setitem(giver.__dict__, "_kept", kept)
    giver.give_back("form")
    assert [each.status for each in desk.sessions()] == ["expired"]
    assert list(desk.reservations()) == []


def test_two_names_at_the_same_moment(desk: SignUps) -> None:
    """The database lets one of them in, when both have found nothing kept for the form."""
    booking = Booking(engine=desk.engine, stripe=desk.stripe, secret_key="x" * 32)
    booking._reserve(Order(subdomain="glade"), "form")
    with pytest.raises(NameGoneError):
        booking._reserve(Order(subdomain="meadow"), "form")
    with pytest.raises(NameGoneError):
        booking._reserve(Order(subdomain="glade", plan="pro"), "form")
    assert set(desk.reservations()) == {"glade"}


def test_who_comes_back_and_changes_the_order_has_one_session(light_desk: SignUps) -> None:
    """By the browser's own way back: the name is still theirs, and what they left can't be paid any more."""
    visitor = light_desk.visitor()
    visitor.send()
    visitor.get("/checkout")
    again = visitor.send(plan="pro")
    assert again.status_code == 303
    assert [each.status for each in light_desk.sessions()] == ["open", "expired"]
    assert visitor.send(subdomain="meadow").status_code == 303
    assert set(light_desk.reservations()) == {"meadow"}
    assert [each.status for each in light_desk.sessions()] == ["open", "expired", "expired"]


def test_what_is_paid_is_not_sold_again(light_desk: SignUps) -> None:
    """A form that was paid leads to its wiki; the next form of the same browser is another order."""
    visitor = light_desk.visitor()
    back = light_desk.pay(visitor.send())
    again = visitor.send(plan="team")
    assert again.status_code == 303
    assert back.endswith(again.headers["Location"])
    light_desk.put(light_desk.reservations()["glade"].customer_id)
    assert back.endswith(visitor.send().headers["Location"])  # rather than that the name is taken: by this visitor
    assert visitor.get(back).status_code == 200
    visitor.get("/checkout")
    assert visitor.send(subdomain="meadow").status_code == 303
    assert len(light_desk.sessions()) == 2


def test_an_expired_reservation_is_anybody_s(light_desk: SignUps) -> None:
    """Its row goes when the next name is kept; until then another one can't have it, and is told when."""
    first, second = light_desk.visitor(), light_desk.visitor()
    first.send()
    page = second.send()
    assert page.status_code == 422
    assert "half an hour" in problem(page, "subdomain")
    light_desk.clock.ahead = timedelta(minutes=41)
    light_desk.world.knob("advance", minutes=41)
    assert second.send(subdomain="meadow").status_code == 303
    assert set(light_desk.reservations()) == {"meadow"}
    assert light_desk.visitor().send().status_code == 303
    # The first one's old form starts anew and finds the name gone.
    assert first.send().status_code == 422


def test_an_expired_session_is_opened_anew(light_desk: SignUps) -> None:
    """For who dawdled at Stripe's page and sends the form again while the name is still kept."""
    visitor = light_desk.visitor()
    visitor.send()
    light_desk.clock.ahead = timedelta(minutes=35)
    light_desk.world.knob("advance", minutes=35)
    light_desk.clock.ahead = timedelta(minutes=33)
    assert visitor.send().status_code == 303
    assert [each.status for each in light_desk.sessions()] == ["open", "expired"]


def test_while_stripe_is_away_nothing_is_kept(light_desk: SignUps) -> None:
    """The page says so with all fields as they were; once Stripe is back the same form goes through."""
    visitor = light_desk.visitor()
    light_desk.world.knob("outage", calls=100, status=503)
    page = visitor.send()
    assert page.status_code == 503
    assert "does not answer right now" in page.text
    assert 'value="glade"' in page.text
    assert light_desk.reservations() == {}
    light_desk.world.knob("outage", calls=0)
    assert visitor.send().status_code == 303


def test_one_failure_of_stripe_is_not_noticed(light_desk: SignUps) -> None:
    """Also where the answer is lost after the session was opened: the second try finds that one."""
    light_desk.world.knob("outage", calls=1, status=500)
    assert light_desk.visitor().send().status_code == 303
    fault = Fault(cloud="stripe", operation="POST /v1/checkout/sessions", mode=Mode.CRASH_AFTER_CREATE)
    light_desk.world.faults.order(fault)
    assert light_desk.visitor().send(subdomain="meadow").status_code == 303
    assert len(light_desk.sessions()) == 2


def test_an_address_that_stripe_does_not_take(light_desk: SignUps, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is a problem of that field; the simulated Stripe takes all, so its refusal is played."""

    def refuse(_params: object, *, idempotency_key: str) -> None:
        raise StripeRefusedError(idempotency_key, code=400, param="customer_email")

    monkeypatch.setattr(light_desk.stripe, "create", refuse)
    page = light_desk.visitor().send()
    assert page.status_code == 422
    assert "does not take this address" in problem(page, "email")
    assert light_desk.reservations() == {}


def test_while_the_database_is_locked(light_engine: Engine, tmp_path: Path) -> None:
    """The page says so, and all that was typed is there."""
    url = light_engine.url.render_as_string()
    impatient = open_database(url, wait_seconds=0.05)
    with sign_ups(impatient, tmp_path) as desk:
        visitor = desk.visitor()
        visitor.get("/checkout")
        with light_engine.begin() as writing:
            writing.exec_driver_sql("UPDATE customers SET email = email")
            page = visitor.send()
        assert page.status_code == 503
        assert "try again in a few minutes" in page.text
        assert 'value="glade"' in page.text
        assert desk.sessions() == []
        assert visitor.send().status_code == 303
    impatient.dispose()


def test_a_form_without_its_token_is_refused(light_desk: SignUps) -> None:
    """A forged one sells nothing; who kept the form open for too long finds it as it was."""
    visitor = light_desk.visitor()
    visitor.get("/checkout")
    stranger = light_desk.visitor()
    stranger.get("/checkout")
    for token in ("", "forged", stranger.form["csrf_token"]):
        page = visitor.send(csrf_token=token)
        assert page.status_code == 400
        assert "open for too long" in page.text
        assert 'value="glade"' in page.text
    assert light_desk.sessions() == []
    assert visitor.send().status_code == 303  # the page that was shown has a new one


def test_too_many_orders_are_slowed_down(light_desk: SignUps) -> None:
    """Of one visitor; others go on, and so do Stripe's events."""
    visitor = light_desk.visitor()
    answers = [visitor.send(subdomain="ab") for _ in range(11)]
    assert [answer.status_code for answer in answers] == [422] * 10 + [429]
    assert answers[-1].headers["Retry-After"] == "60"
    assert "too fast" in answers[-1].text
    assert light_desk.visitor().send(subdomain="ab").status_code == 422
    asked = [visitor.get("/checkout/availability?subdomain=glade").status_code for _ in range(91)]
    assert asked == [200] * 90 + [429]
    event = visitor.client.post("/webhooks/stripe", data="{}", environ_base={"REMOTE_ADDR": visitor.address})
    assert (event.status_code, event.text) != (429, "")
    assert "Stripe-Signature" in event.text


def test_a_network_of_many_addresses_is_one_visitor(light_desk: SignUps) -> None:
    """As IPv6 gives them out."""

    def key(address: str) -> str:
        with light_desk.app.test_request_context(environ_base={"REMOTE_ADDR": address}):
            return visitor_key()

    assert key("2001:db8:1:2::1") == key("2001:db8:1:2:ffff::7") != key("2001:db8:1:3::1")
    assert key("192.0.2.1") != key("192.0.2.2")


def test_availability_is_told_while_typing(light_desk: SignUps) -> None:
    """Taken, reserved, bad or free; one's own reservation is no obstacle."""
    visitor, other = light_desk.visitor(), light_desk.visitor()
    visitor.send()

    def ask(who: str, name: str) -> object:
        return light_desk.visitor().get(f"/checkout/availability?subdomain={name}&form={who}").json

    mine, theirs = visitor.form.get("form", ""), other.form.get("form", "")
    assert ask(theirs, "Meadow") == {"subdomain": "meadow", "available": True, "problem": None}
    assert ask(mine, "glade") == {"subdomain": "glade", "available": True, "problem": None}
    for name, words in (("glade", "being bought"), ("acme", "is taken"), ("x", "is no subdomain"), ("", "Choose")):
        told = ask(theirs, name)
        assert isinstance(told, dict)
        assert not told["available"]
        assert words in told["problem"]


def test_browsers_are_told_to_run_nothing_else(light_desk: SignUps) -> None:
    """No inline script or style is on any page, and the policy forbids them; forms lead here and to Stripe."""
    visitor = light_desk.visitor()
    back = light_desk.pay(visitor.send())
    for path in ("/checkout", back, "/checkout/cancel?token=x", "/checkout/success?session_id=cs_test_0123456789"):
        page = visitor.get(path)
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        stripe = light_desk.world.base.removesuffix("/stripe")
        assert f"form-action 'self' {stripe};" in policy
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["Referrer-Policy"] == "same-origin"
        assert not re.search(r"<style|\sstyle=|<script(?! src=)|\son\w+=", page.text)


def test_cookies_are_the_host_s_own_behind_https(light_engine: Engine, tmp_path: Path) -> None:
    """No sibling subdomain can set them; the form then works only with the proxy's word that it is HTTPS."""
    with sign_ups(light_engine, tmp_path, public_url="https://portal.markitup.io") as desk:
        client = desk.app.test_client()
        proxy = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
        page = client.get("/checkout", base_url="http://portal.markitup.io", headers=proxy)
        cookie = page.headers["Set-Cookie"]
        assert cookie.startswith("__Host-hosting=")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= {part.strip() for part in cookie.split(";")}
        assert "Domain" not in cookie
        form = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]+)">', page.text))
        order = {"plan": "team", "interval": "month", "subdomain": "glade", "email": "gil@example.org"}
        cookies = {"Cookie": cookie.partition(";")[0]}

        def send(referrer: str) -> int:
            headers = proxy | cookies | {"Referer": referrer}
            return client.post(
                "/checkout", base_url="http://portal.markitup.io", data=form | order, headers=headers
            ).status_code

        assert send("https://evil.markitup.io/") == 400
        assert send("https://portal.markitup.io/checkout") == 303
        (session,) = desk.sessions()
        assert session.success_url.startswith("https://portal.markitup.io/checkout/success?session_id={")


def test_no_address_is_logged(light_desk: SignUps, capfd: pytest.CaptureFixture[str]) -> None:
    """Nor is it in the database before somebody is a customer."""
    light_desk.world.knob("outage", calls=2, status=503)
    visitor = light_desk.visitor()
    visitor.send()
    visitor.send()
    out, err = capfd.readouterr()
    assert "no checkout session" in out + err
    assert "gil@" not in out + err
    kept = light_desk.reservations()["glade"]
    assert "gil" not in "".join(str(value) for value in vars(kept).values())
