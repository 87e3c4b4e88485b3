"""The simulated Stripe's catalogue, coupons and Checkout: from a price to a paying customer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe

from tests.localcloud.stripe_world import DAY, World, a_world, period

SIGNED_UP = {
    "checkout.session.completed",
    "customer.created",
    "customer.subscription.created",
    "customer.subscription.updated",
    "invoice.created",
    "invoice.finalized",
    "invoice.paid",
    "invoice.payment_succeeded",
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(tmp_path) as made:
        yield made


def test_a_price_is_found_by_its_lookup_key(world: World) -> None:
    """A key belongs to one price at a time and moves when that is asked for."""
    old = world.price(cents=799)
    with pytest.raises(stripe.InvalidRequestError, match="already uses that lookup key"):
        world.price(cents=899)
    new = world.price(cents=899, transfer_lookup_key=True)
    assert [each.id for each in world.v1.prices.list({"lookup_keys": ["personal_monthly"]}).data] == [new.id]
    assert world.v1.prices.retrieve(old.id).lookup_key is None
    assert (new.recurring.interval, new.unit_amount, new.type) == ("month", 899, "recurring")
    world.v1.prices.update(old.id, {"active": False})
    assert [each.id for each in world.v1.prices.list({"active": True}).data] == [new.id]
    with pytest.raises(stripe.InvalidRequestError):
        world.v1.prices.update(new.id, {"unit_amount": 1})  # type: ignore[typeddict-unknown-key]
    with pytest.raises(stripe.InvalidRequestError, match="inactive"):
        world.checkout(old)


def test_a_product_has_an_id_of_our_choice(world: World) -> None:
    """It can be made once, is updated, and goes only without prices."""
    made = world.v1.products.create({"id": "personal", "name": "Personal", "marketing_features": [{"name": "1 user"}]})
    assert (made.id, made.active, made.marketing_features[0].name) == ("personal", True, "1 user")
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        world.v1.products.create({"id": "personal", "name": "x"})
    assert world.v1.products.update("personal", {"name": "Personal plan"}).name == "Personal plan"
    assert [each.id for each in world.v1.products.list({"ids": ["personal"]}).data] == ["personal"]
    assert world.v1.products.delete("personal").deleted


def test_somebody_signs_up_through_the_hosted_page(world: World) -> None:
    """The page is shown, paid and left for the success URL; subscription, invoice and events are as expected."""
    world.listen()
    price = world.price()
    session = world.checkout(price, client_reference_id="r-1")
    page = httpx.get(session.url)
    assert page.status_code == 200
    assert all(words in page.text for words in ("$7.99 per month", "Pay with a failing card", "Cancel", "TEST MODE"))
    answer = world.press(session.url, "pay", name="Ada")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"https://portal.example.org/done?session={session.id}"
    done: Any = world.v1.checkout.sessions.retrieve(session.id, {"expand": ["line_items"]})
    assert (done.status, done.payment_status, done.url) == ("complete", "paid", None)
    assert (done.metadata.subdomain, done.client_reference_id) == ("acme", "r-1")
    assert (done.customer_details.email, done.customer_details.name) == ("owner@acme.example", "Ada")
    assert done.line_items.data[0].price.id == price.id
    subscription = world.subscription(done.subscription)
    assert (subscription.status, subscription.metadata.subdomain) == ("active", "acme")
    start, end = period(subscription)
    assert 28 * DAY <= end - start <= 31 * DAY
    assert "current_period_end" not in subscription.to_dict()
    invoice = subscription.latest_invoice
    assert (invoice.status, invoice.amount_paid, invoice.attempt_count, invoice.billing_reason) == (
        "paid",
        799,
        1,
        "subscription_create",
    )
    assert invoice.parent.subscription_details.subscription == subscription.id
    world.settle()
    assert set(world.receiver.types()) >= SIGNED_UP
    completed = world.receiver.of("checkout.session.completed")[0]["object"]
    assert (completed["subscription"], completed["metadata"]) == (subscription.id, {"subdomain": "acme"})
    updated = world.receiver.of("customer.subscription.updated")[0]
    assert (updated["previous_attributes"], updated["object"]["status"]) == ({"status": "incomplete"}, "active")
    assert world.press(session.url, "pay").status_code == 400


def test_a_failing_card_leaves_the_session_open(world: World) -> None:
    """The page says why, nothing exists, and another card pays."""
    session = world.checkout(world.price())
    refused = world.press(session.url, "pay_failing")
    assert refused.status_code == 402
    assert "Your card was declined." in refused.text
    assert "owner@acme.example" in refused.text
    assert world.v1.customers.list().data == []
    assert world.v1.subscriptions.list().data == []
    assert world.v1.checkout.sessions.retrieve(session.id).status == "open"
    assert world.press(session.url, "pay").status_code == 303


def test_cancel_leads_back_and_leaves_the_session_open(world: World) -> None:
    """Whoever comes back may still pay."""
    session = world.checkout(world.price())
    left = world.press(session.url, "cancel")
    assert (left.status_code, left.headers["location"]) == (303, "https://portal.example.org/cancelled")
    assert world.v1.checkout.sessions.retrieve(session.id).status == "open"


def test_a_session_expires_after_its_time(world: World) -> None:
    """By the clock or on request; an expired one can't be paid."""
    world.listen()
    price = world.price()
    now = world.look("clock")["now"]
    session = world.checkout(price, expires_at=now + 1800)
    other = world.checkout(price)
    world.knob("advance", minutes=29)
    assert world.v1.checkout.sessions.retrieve(session.id).status == "open"
    world.knob("advance", minutes=2)
    assert world.v1.checkout.sessions.retrieve(session.id).status == "expired"
    assert world.v1.checkout.sessions.expire(other.id).status == "expired"
    with pytest.raises(stripe.InvalidRequestError):
        world.v1.checkout.sessions.expire(other.id)
    assert world.press(f"{world.base}/pay/{session.id}", "pay").status_code == 400
    assert "This session is expired" in httpx.get(f"{world.base}/pay/{session.id}").text
    world.settle()
    assert [each["object"]["id"] for each in world.receiver.of("checkout.session.expired")] == [session.id, other.id]


@pytest.mark.parametrize("seconds", [-60, 60, 29 * 60, 25 * 3600])
def test_a_session_is_open_for_half_an_hour_to_a_day(world: World, seconds: int) -> None:
    """Other times are refused, by the simulated clock as by the wall's."""
    price = world.price()
    now = world.look("clock")["now"]
    with pytest.raises(stripe.InvalidRequestError, match="30 minutes"):
        world.checkout(price, expires_at=now + seconds)


def test_a_client_may_go_by_the_wall_clock(world: World) -> None:
    """Its half hour is one too after the simulated clock was moved far ahead."""
    price = world.price()
    before = world.look("clock")["now"]
    world.knob("advance", days=40)
    session = world.checkout(price, expires_at=before + 1800)
    assert 1790 <= session.expires_at - session.created <= 1810


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"mode": "payment"}, "mode"),
        ({"line_items": []}, "line_items"),
        ({"line_items": [{"price": "price_no"}]}, "line_items[0][price]"),
        ({"customer": "cus_no"}, "customer"),
        ({"discounts": [{"coupon": "no"}]}, "discounts"),
        ({"discounts": [{"coupon": "no"}], "allow_promotion_codes": True}, "allow_promotion_codes"),
        ({"sucess_url": "x"}, "sucess_url"),
    ],
)
def test_a_wrong_session_is_refused(world: World, change: dict[str, Any], param: str) -> None:
    """With the parameter's name."""
    with pytest.raises(stripe.InvalidRequestError) as caught:
        world.checkout(world.price(), **change)
    assert caught.value.param == param


def test_the_launch_coupon_is_for_the_first_twenty(world: World) -> None:
    """Half the price, twenty times; the twenty-first is told and pays without it."""
    coupon = world.v1.coupons.create({"id": "launch", "percent_off": 50, "duration": "once", "max_redemptions": 20})
    code = world.v1.promotion_codes.create({"code": "LAUNCH", "promotion": {"type": "coupon", "coupon": coupon.id}})
    price = world.price()
    for number in range(20):
        subscription = world.subscribed(price, code="launch", allow_promotion_codes=True)
        assert subscription.latest_invoice.amount_paid == 399, number
    used = world.v1.coupons.retrieve("launch")
    assert (used.times_redeemed, used.valid) == (20, False)
    used_code = world.v1.promotion_codes.retrieve(code.id)
    assert (used_code.times_redeemed, used_code.active) == (20, False)
    with pytest.raises(stripe.InvalidRequestError, match="no longer valid"):
        world.v1.promotion_codes.update(code.id, {"active": True})
    session = world.checkout(price, allow_promotion_codes=True)
    refused = world.press(session.url, "pay", promotion_code="LAUNCH")
    assert refused.status_code == 400
    assert "This code is invalid." in refused.text
    assert len(world.v1.customers.list({"limit": 100}).data) == 20
    assert "invalid" in world.press(session.url, "pay", promotion_code="NOSUCH").text
    assert world.press(session.url, "pay").status_code == 303
    with pytest.raises(stripe.InvalidRequestError, match="expired"):
        world.checkout(price, discounts=[{"coupon": "launch"}])


@pytest.mark.parametrize(("duration", "second"), [("once", 799), ("forever", 399), ("repeating", 399)])
def test_a_discount_lasts_as_long_as_its_coupon_says(world: World, duration: str, second: int) -> None:
    """Once, forever, or for some months; with a code that the session brings along."""
    months: Any = {"duration_in_months": 2} if duration == "repeating" else {}
    coupon = world.v1.coupons.create({"percent_off": 50, "duration": duration, **months})  # type: ignore[typeddict-item]
    subscription = world.subscribed(world.price(), discounts=[{"coupon": coupon.id}])
    assert subscription.latest_invoice.total == 399
    assert subscription.latest_invoice.total_discount_amounts[0].amount == 400
    world.knob("next", type="finalize")
    assert world.subscription(subscription.id).latest_invoice.amount_paid == second
    if duration == "repeating":
        world.knob("next", type="finalize")
        assert world.subscription(subscription.id).latest_invoice.amount_paid == 799


def test_a_coupon_says_what_it_is(world: World) -> None:
    """Either a part or an amount, once by its id; codes are unique among the active ones."""
    for wrong in ({"duration": "once"}, {"percent_off": 10, "amount_off": 5}, {"amount_off": 5}):
        with pytest.raises(stripe.InvalidRequestError):
            world.v1.coupons.create(wrong)  # type: ignore[arg-type]
    coupon = world.v1.coupons.create({"id": "five", "amount_off": 500, "currency": "usd", "duration": "once"})
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        world.v1.coupons.create({"id": "five", "percent_off": 5})
    promotion: Any = {"type": "coupon", "coupon": coupon.id}
    code = world.v1.promotion_codes.create({"code": "Five", "promotion": promotion})
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        world.v1.promotion_codes.create({"code": "FIVE", "promotion": promotion})
    assert [each.id for each in world.v1.promotion_codes.list({"code": "five"}).data] == [code.id]
    assert world.v1.promotion_codes.update(code.id, {"active": False}).active is False
    world.v1.promotion_codes.create({"code": "FIVE", "promotion": promotion})
    with pytest.raises(stripe.InvalidRequestError, match="already exists"):
        world.v1.promotion_codes.update(code.id, {"active": True})
    subscription = world.subscribed(world.price(), discounts=[{"coupon": "five"}])
    assert subscription.latest_invoice.amount_paid == 299


def test_a_known_customer_subscribes_again(world: World) -> None:
    """The session's customer is kept, with another subscription."""
    price = world.price()
    first = world.subscribed(price)
    second = world.subscribed(price, customer=first.customer)
    assert second.customer == first.customer
    assert second.id != first.id
    assert len(world.v1.customers.list().data) == 1


def test_a_trial_costs_nothing_at_first(world: World) -> None:
    """It warns three days before its end and is paid for after it."""
    world.listen()
    data = {"trial_period_days": 14, "metadata": {"subdomain": "acme"}}
    subscription = world.subscribed(world.price(), subscription_data=data)
    assert (subscription.status, subscription.latest_invoice.amount_paid) == ("trialing", 0)
    assert subscription.trial_end == period(subscription)[1]
    world.knob("next", type="trial_ending")
    world.settle()
    assert len(world.receiver.of("customer.subscription.trial_will_end")) == 1
    world.knob("next", type="finalize")
    after = world.subscription(subscription.id)
    assert (after.status, after.latest_invoice.amount_paid) == ("active", 799)


@pytest.mark.parametrize(("fails", "outcome"), [(False, "succeeded"), (True, "failed")])
def test_a_bank_debit_is_known_days_later(world: World, *, fails: bool, outcome: str) -> None:
    """The session is complete and unpaid until then."""
    world.listen()
    subscription = world.subscribed(world.price(), action="pay_debit")
    session = world.v1.checkout.sessions.list({"subscription": subscription.id}).data[0]
    assert (session.status, session.payment_status, subscription.status) == ("complete", "unpaid", "active")
    if fails:
        world.knob("fail_card", customer=subscription.customer)
    world.knob("advance", days=4)
    world.settle()
    told = world.receiver.of(f"checkout.session.async_payment_{outcome}")
    assert [each["object"]["id"] for each in told] == [session.id]
    after = world.subscription(subscription.id)
    assert (after.status, after.latest_invoice.status) == (("past_due", "open") if fails else ("active", "paid"))
