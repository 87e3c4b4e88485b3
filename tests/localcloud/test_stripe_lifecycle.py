"""The simulated Stripe's subscriptions: renewals, dunning, changes, cancellations, pauses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stripe

from localcloud.stripe_api import lifecycle
from localcloud.stripe_api.periods import add, period_after
from tests.localcloud.stripe_world import DAY, World, a_world, period

JAN_31 = 1_801_353_600 + 0
"""2027-01-31 00:00:00 UTC."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(tmp_path) as made:
        yield made


def customer_with(world: World, card: str = "pm_card_visa") -> str:
    """Make a customer with a default card."""
    params: Any = {"payment_method": card, "invoice_settings": {"default_payment_method": card}}
    return world.v1.customers.create({"email": "a@b.example", **params}).id


def changed_to(world: World, subscription: Any, price: Any, **more: Any) -> Any:
    """Change the plan of a subscription."""
    item = subscription["items"].data[0]
    params: Any = {"items": [{"id": item.id, "price": price.id}], **more}
    world.v1.subscriptions.update(subscription.id, params)
    return world.subscription(subscription.id)


def test_months_end_on_their_anchors_day() -> None:
    """The 31st becomes the 28th of February and the 31st again in March; a leap day comes back."""
    ends = [JAN_31]
    for _ in range(3):
        ends.append(period_after(JAN_31, ends[-1], "month", 1))
    assert [(end - JAN_31) // DAY for end in ends] == [0, 28, 59, 89]
    assert (add(JAN_31, "year") - JAN_31) // DAY == 365
    assert (add(JAN_31, "week", 2) - JAN_31) // DAY == 14


@pytest.mark.parametrize(
    ("status", "owes", "after"),
    [
        ("incomplete", False, "active"),
        ("past_due", False, "active"),
        ("past_due", True, "past_due"),
        ("unpaid", False, "active"),
        ("trialing", False, "trialing"),
        ("canceled", False, "canceled"),
        ("paused", False, "paused"),
    ],
)
def test_what_a_payment_does(status: str, after: str, *, owes: bool) -> None:
    """It makes active what can be."""
    assert lifecycle.after_payment(status, owes_more=owes) == after


@pytest.mark.parametrize(
    ("status", "last", "after"),
    [
        ("active", False, "past_due"),
        ("active", True, "unpaid"),
        ("past_due", True, "unpaid"),
        ("incomplete", False, "incomplete"),
        ("canceled", True, "canceled"),
        ("unpaid", True, "unpaid"),
    ],
)
def test_what_a_failure_does(status: str, after: str, *, last: bool) -> None:
    """It makes past due what was fine, and the last one ends that."""
    assert lifecycle.after_failure(status, last=last, end="unpaid") == after


def test_a_subscription_renews_month_by_month(world: World) -> None:
    """A year's time brings twelve paid invoices, an hour after each period's start."""
    world.listen("invoice.paid", "customer.subscription.updated")
    subscription = world.subscribed(world.price())
    start, end = period(subscription)
    world.knob("advance", days=27)
    assert period(world.subscription(subscription.id)) == (start, end)
    draft = world.knob("next", type="period")
    assert abs(draft["now"] - end) <= 1
    renewed = world.subscription(subscription.id)
    assert period(renewed) == (end, period_after(start, end, "month", 1))
    assert (renewed.latest_invoice.status, renewed.latest_invoice.billing_reason) == ("draft", "subscription_cycle")
    world.knob("advance", hours=2)
    assert world.subscription(subscription.id).latest_invoice.status == "paid"
    world.knob("advance", days=339)
    invoices = world.v1.invoices.list({"subscription": subscription.id, "limit": 100}).data
    assert [each.status for each in invoices] == ["paid"] * 13
    assert [each.amount_paid for each in invoices] == [799] * 13
    world.settle()
    assert world.receiver.types().count("invoice.paid") == 13
    renewals = [
        each for each in world.receiver.of("customer.subscription.updated") if "items" in each["previous_attributes"]
    ]
    assert len(renewals) == 12
    first = next(each for each in renewals if period_of(each["previous_attributes"]) == (start, end))
    assert period_of(first["object"]) == period(renewed)


def period_of(thing: dict[str, Any]) -> tuple[int, int]:
    """Return the period of a subscription as plain data."""
    item = thing["items"]["data"][0]
    return item["current_period_start"], item["current_period_end"]


def test_dunning_ends_unpaid_and_a_payment_revives(world: World) -> None:
    """Four attempts over fifteen days, each with an event and the next one's time; then unpaid; then active again."""
    world.listen()
    subscription = world.subscribed(world.price(), action="pay_failing_later")
    assert subscription.status == "active"
    seen: list[tuple[str, int, bool]] = []
    for what in ("finalize", "retry", "retry", "retry"):
        world.knob("next", type=what)
        now = world.subscription(subscription.id)
        invoice = now.latest_invoice
        seen.append((now.status, invoice.attempt_count, invoice.next_payment_attempt is None))
        assert invoice.status == "open"
    assert seen == [("past_due", 1, False), ("past_due", 2, False), ("past_due", 3, False), ("unpaid", 4, True)]
    world.settle()
    failed = [each["object"] for each in world.receiver.of("invoice.payment_failed")]
    assert [each["attempt_count"] for each in failed] == [1, 2, 3, 4]
    gaps = [round((each["next_payment_attempt"] - each["created"]) / DAY) for each in failed[:3]]
    assert gaps == [3, 8, 15]
    assert all(each["parent"]["subscription_details"]["subscription"] == subscription.id for each in failed)
    statuses = [each["object"]["status"] for each in world.receiver.of("customer.subscription.updated")]
    assert [each for each in statuses if each in {"past_due", "unpaid"}] == ["past_due", "unpaid"]
    world.knob("next", type="period")
    silent = world.subscription(subscription.id).latest_invoice
    assert (silent.status, silent.auto_advance) == ("draft", False)
    card = world.v1.payment_methods.attach("pm_card_visa", {"customer": subscription.customer})
    world.v1.subscriptions.update(subscription.id, {"default_payment_method": card.id})
    assert world.v1.invoices.pay(failed[0]["id"]).status == "paid"
    assert world.subscription(subscription.id).status == "active"


def test_dunning_stops_when_a_retry_succeeds(world: World) -> None:
    """Two failures, then the card works: active, and no attempt more."""
    subscription = world.subscribed(world.price())
    world.knob("fail_card", customer=subscription.customer, times=2)
    world.knob("advance", days=35)
    assert world.subscription(subscription.id).status == "past_due"
    world.knob("advance", days=10)
    after = world.subscription(subscription.id)
    assert (after.status, after.latest_invoice.attempt_count, after.latest_invoice.status) == ("active", 3, "paid")
    assert not [each for each in world.look("next")["due"] if each["what"] == "retry"]


@pytest.mark.parametrize("end", ["canceled", "past_due", "paused"])
def test_dunning_ends_as_it_is_told(world: World, end: str) -> None:
    """Days between attempts and the end are settings of the account."""
    world.listen()
    world.knob("dunning", retry_days="1,1", end=end)
    subscription = world.subscribed(world.price(), action="pay_failing_later")
    world.knob("advance", days=35)
    after = world.subscription(subscription.id)
    assert (after.status, after.latest_invoice.attempt_count) == (end, 3)
    world.settle()
    if end == "canceled":
        (deleted,) = world.receiver.of("customer.subscription.deleted")
        assert deleted["object"]["cancellation_details"]["reason"] == "payment_failed"
    if end == "paused":
        assert after.status_details.paused.subscription.type == "final_payment_failure"


def test_an_upgrade_is_prorated_on_the_next_invoice(world: World) -> None:
    """Half a month of each: credit for the old, charge for the new, and the new price from then on."""
    world.listen("customer.subscription.updated")
    personal, team = world.price(), world.price("team_monthly", 1999)
    subscription = world.subscribed(personal)
    start, end = period(subscription)
    world.knob("advance", seconds=(end - start) / 2)
    changed = changed_to(world, subscription, team)
    assert changed["items"].data[0].price.lookup_key == "team_monthly"
    assert changed["items"].data[0].plan.amount == 1999
    assert (period(changed), changed.latest_invoice.id) == ((start, end), subscription.latest_invoice.id)
    world.settle()
    before = world.receiver.of("customer.subscription.updated")[-1]["previous_attributes"]
    assert before["items"]["data"][0]["price"]["lookup_key"] == "personal_monthly"
    world.knob("next", type="finalize")
    invoice = world.subscription(subscription.id).latest_invoice
    assert len(invoice.lines.data) == 3
    assert abs(invoice.amount_paid - (1999 + (1999 - 799) / 2)) <= 2
    assert [each.parent.subscription_item_details.proration for each in invoice.lines.data] == [True, True, False]


def test_an_upgrade_may_be_billed_at_once(world: World) -> None:
    """With always_invoice the difference is paid now."""
    subscription = world.subscribed(world.price())
    changed = changed_to(world, subscription, world.price("pro", 7999), proration_behavior="always_invoice")
    invoice = changed.latest_invoice
    assert (invoice.billing_reason, invoice.status) == ("subscription_update", "paid")
    assert abs(invoice.amount_paid - 7200) <= 1


def test_an_upgrade_that_cannot_be_paid(world: World) -> None:
    """By default the plan changes and is past due; with error_if_incomplete nothing changes."""
    personal, pro = world.price(), world.price("pro", 7999)
    subscription = world.subscribed(personal)
    world.knob("fail_card", customer=subscription.customer)
    with pytest.raises(stripe.CardError) as caught:
        changed_to(
            world, subscription, pro, proration_behavior="always_invoice", payment_behavior="error_if_incomplete"
        )
    assert (caught.value.code, caught.value.http_status) == ("card_declined", 402)
    same = world.subscription(subscription.id)
    assert (same["items"].data[0].price.id, same.status) == (personal.id, "active")
    changed = changed_to(world, subscription, pro, proration_behavior="always_invoice")
    assert (changed["items"].data[0].price.id, changed.status) == (pro.id, "past_due")


def test_a_downgrade_leaves_a_credit(world: World) -> None:
    """Billed at once it is to the customer's good and pays the next invoices."""
    subscription = world.subscribed(world.price("pro", 7999))
    changed = changed_to(world, subscription, world.price(), proration_behavior="always_invoice")
    assert (changed.latest_invoice.amount_due, changed.latest_invoice.status) == (0, "paid")
    credit = world.v1.customers.retrieve(subscription.customer).balance
    assert credit is not None
    assert abs(credit + 7200) <= 1
    world.knob("next", type="finalize")
    renewed = world.subscription(subscription.id).latest_invoice
    assert (renewed.total, renewed.amount_due, renewed.status) == (799, 0, "paid")
    assert world.v1.customers.retrieve(subscription.customer).balance == credit + 799


def test_a_change_without_proration(world: World) -> None:
    """Costs nothing until the next period."""
    subscription = world.subscribed(world.price())
    changed_to(world, subscription, world.price("team", 1999), proration_behavior="none")
    world.knob("next", type="finalize")
    assert world.subscription(subscription.id).latest_invoice.amount_paid == 1999


def test_from_monthly_to_yearly_and_back(world: World) -> None:
    """Another interval starts another period at once, and is paid at once."""
    monthly, yearly = world.price(), world.price("personal_yearly", 7990, "year")
    subscription = world.subscribed(monthly)
    world.knob("advance", days=10)
    changed = changed_to(world, subscription, yearly)
    start, end = period(changed)
    assert (end - start) // DAY in {365, 366}
    assert changed.billing_cycle_anchor == start
    assert changed.latest_invoice.status == "paid"
    assert 7990 - 799 < changed.latest_invoice.amount_paid < 7990
    back = changed_to(world, changed, monthly)
    assert (period(back)[1] - period(back)[0]) // DAY <= 31
    assert back.latest_invoice.amount_paid == 0
    assert (world.v1.customers.retrieve(subscription.customer).balance or 0) < -7000


def test_cancel_at_period_end(world: World) -> None:
    """Active until then, taken back at will, and deleted when the period ends."""
    world.listen("customer.subscription.updated", "customer.subscription.deleted")
    subscription = world.subscribed(world.price())
    end = period(subscription)[1]
    set_to: Any = world.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    assert (set_to.status, set_to.cancel_at, set_to.canceled_at is None) == ("active", end, False)
    assert set_to.cancellation_details.reason == "cancellation_requested"
    back = world.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": False})
    assert (back.cancel_at, back.canceled_at) == (None, None)
    world.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    world.knob("advance", days=32)
    gone = world.subscription(subscription.id)
    assert (gone.status, abs(gone.ended_at - end) <= 1) == ("canceled", True)
    world.settle()
    changes = [
        each["previous_attributes"].get("cancel_at_period_end")
        for each in world.receiver.of("customer.subscription.updated")
    ]
    assert changes[1:] == [False, True, False]
    (deleted,) = world.receiver.of("customer.subscription.deleted")
    assert deleted["object"]["status"] == "canceled"
    assert len(world.v1.invoices.list({"subscription": subscription.id}).data) == 1
    assert world.v1.subscriptions.list({"customer": subscription.customer}).data == []
    assert len(world.v1.subscriptions.list({"customer": subscription.customer, "status": "all"}).data) == 1


def test_cancel_at_a_time(world: World) -> None:
    """A time of one's own, the period's end by name, and none in the past."""
    subscription = world.subscribed(world.price())
    at = period(subscription)[1] + 5 * DAY
    assert world.v1.subscriptions.update(subscription.id, {"cancel_at": at}).cancel_at == at
    named = world.v1.subscriptions.update(subscription.id, {"cancel_at": "max_period_end"})
    assert (named.cancel_at, named.cancel_at_period_end) == (period(subscription)[1], False)
    with pytest.raises(stripe.InvalidRequestError):
        world.v1.subscriptions.update(subscription.id, {"cancel_at": 1})
    world.v1.subscriptions.update(subscription.id, {"cancel_at": at})
    world.knob("advance", days=32)
    assert world.subscription(subscription.id).status == "active"
    world.knob("advance", days=5)
    assert world.subscription(subscription.id).status == "canceled"


def test_cancel_now(world: World) -> None:
    """At once, with the customer's words; nothing but metadata can be changed after, and nothing comes any more."""
    world.listen("customer.subscription.deleted")
    subscription = world.subscribed(world.price())
    details: Any = {"cancellation_details": {"feedback": "too_complex", "comment": "bye"}}
    gone: Any = world.v1.subscriptions.cancel(subscription.id, details)
    assert (gone.status, gone.cancellation_details.feedback) == ("canceled", "too_complex")
    with pytest.raises(stripe.InvalidRequestError, match="canceled subscription"):
        world.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    assert world.v1.subscriptions.update(subscription.id, {"metadata": {"a": "b"}}).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError):
        world.v1.subscriptions.cancel(subscription.id)
    assert world.look("next")["due"] == []
    world.settle()
    assert world.receiver.types() == ["customer.subscription.deleted"]


def test_cancel_while_past_due_ends_dunning(world: World) -> None:
    """Nobody tries the card again."""
    subscription = world.subscribed(world.price(), action="pay_failing_later")
    world.knob("next", type="finalize")
    world.v1.subscriptions.cancel(subscription.id)
    assert world.look("next")["due"] == []
    invoice = world.subscription(subscription.id).latest_invoice
    assert (invoice.status, invoice.auto_advance, invoice.next_payment_attempt) == ("open", False, None)


def test_a_first_payment_that_fails_is_incomplete(world: World) -> None:
    """Twenty-three hours to pay, then it is over; or it is paid and active."""
    price = world.price()
    customer = customer_with(world, "pm_card_chargeCustomerFail")
    params: Any = {"customer": customer, "items": [{"price": price.id}]}
    first, second = world.v1.subscriptions.create(params), world.v1.subscriptions.create(params)
    assert first.status == second.status == "incomplete"
    good = world.v1.payment_methods.attach("pm_card_visa", {"customer": customer})
    world.v1.subscriptions.update(second.id, {"default_payment_method": good.id})
    assert world.v1.invoices.pay(str(second.latest_invoice)).status == "paid"
    world.knob("advance", hours=24)
    expired = world.subscription(first.id)
    assert (expired.status, expired.latest_invoice.status) == ("incomplete_expired", "void")
    assert world.subscription(second.id).status == "active"
    with pytest.raises(stripe.CardError):
        world.v1.subscriptions.create({**params, "payment_behavior": "error_if_incomplete"})
    with pytest.raises(stripe.CardError):
        customer_with(world, "pm_card_visa_chargeDeclined")
    open_one = world.v1.subscriptions.create({**params, "payment_behavior": "default_incomplete"})
    assert world.subscription(open_one.id).latest_invoice.attempt_count == 0


def test_a_declined_payment_leaves_its_trace(world: World) -> None:
    """The refusal is an answer, what happened stays, and repeating the key repeats the refusal."""
    subscription = world.subscribed(world.price(), action="pay_failing_later")
    world.knob("next", type="finalize")
    invoice = world.subscription(subscription.id).latest_invoice.id
    for _ in range(2):
        with pytest.raises(stripe.CardError) as caught:
            world.v1.invoices.pay(invoice, options={"idempotency_key": "pay-1"})
        assert caught.value.code == "card_declined"
    assert world.v1.invoices.retrieve(invoice).attempt_count == 2
    assert world.v1.invoices.pay(invoice, {"paid_out_of_band": True}).status == "paid"
    with pytest.raises(stripe.InvalidRequestError, match="already paid"):
        world.v1.invoices.pay(invoice)


@pytest.mark.parametrize(
    ("behavior", "status"), [("void", "void"), ("mark_uncollectible", "uncollectible"), ("keep_as_draft", "draft")]
)
def test_collection_is_paused(world: World, behavior: str, status: str) -> None:
    """The subscription stays active and its invoices are not collected, until the time that was set."""
    subscription = world.subscribed(world.price())
    until = period(subscription)[1] + DAY
    wish: Any = {"pause_collection": {"behavior": behavior, "resumes_at": until}}
    world.v1.subscriptions.update(subscription.id, wish)
    world.knob("next", type="period")
    world.knob("advance", hours=3)
    paused = world.subscription(subscription.id)
    assert (paused.status, paused.latest_invoice.status) == ("active", status)
    world.knob("advance", days=2)
    assert world.subscription(subscription.id).pause_collection is None
    world.v1.subscriptions.update(subscription.id, wish | {"pause_collection": {"behavior": "void"}})
    assert world.v1.subscriptions.update(subscription.id, {"pause_collection": ""}).pause_collection is None


def test_a_subscription_is_paused_and_resumed(world: World) -> None:
    """Paused it doesn't renew; resumed it starts a period and pays for it."""
    world.listen("customer.subscription.paused", "customer.subscription.resumed")
    subscription = world.subscribed(world.price())
    assert world.v1.subscriptions.pause(subscription.id).status == "paused"
    world.knob("advance", days=70)
    assert len(world.v1.invoices.list({"subscription": subscription.id}).data) == 1
    resumed = world.v1.subscriptions.resume(subscription.id)
    assert (resumed.status, abs(period(resumed)[0] - world.look("clock")["now"]) <= 2) == ("active", True)
    assert world.subscription(subscription.id).latest_invoice.status == "paid"
    with pytest.raises(stripe.InvalidRequestError):
        world.v1.subscriptions.resume(subscription.id)
    world.settle()
    assert world.receiver.types() == ["customer.subscription.paused", "customer.subscription.resumed"]


@pytest.mark.parametrize(
    ("without", "status"), [("pause", "paused"), ("cancel", "canceled"), ("create_invoice", "past_due")]
)
def test_a_trial_without_a_card_ends_as_was_chosen(world: World, without: str, status: str) -> None:
    """Paused, canceled, or with an invoice that nobody can pay."""
    customer = world.v1.customers.create({})
    params: Any = {
        "customer": customer.id,
        "items": [{"price": world.price().id}],
        "trial_period_days": 7,
        "trial_settings": {"end_behavior": {"missing_payment_method": without}},
    }
    subscription = world.v1.subscriptions.create(params)
    assert subscription.status == "trialing"
    world.knob("advance", days=7, hours=2)
    assert world.subscription(subscription.id).status == status


def test_a_deleted_customer_has_no_subscription(world: World) -> None:
    """It ends at once."""
    subscription = world.subscribed(world.price())
    assert world.v1.customers.delete(subscription.customer).deleted
    assert world.subscription(subscription.id).status == "canceled"


def test_refunds_and_disputes_are_told(world: World) -> None:
    """In part and in full, never more than was paid; a dispute comes from outside."""
    world.listen("charge.refunded", "refund.created", "charge.dispute.created")
    subscription = world.subscribed(world.price())
    charge = world.v1.charges.list({"customer": subscription.customer}).data[0]
    assert world.v1.refunds.create({"charge": charge.id, "amount": 300}).status == "succeeded"
    assert world.v1.charges.retrieve(charge.id).refunded is False
    world.v1.refunds.create({"payment_intent": str(charge.payment_intent)})
    assert world.v1.charges.retrieve(charge.id).refunded is True
    with pytest.raises(stripe.InvalidRequestError, match="already been refunded"):
        world.v1.refunds.create({"charge": charge.id})
    assert world.knob("dispute", charge=charge.id)["status"] == "needs_response"
    world.settle()
    assert sorted(world.receiver.types()) == [
        "charge.dispute.created",
        *["charge.refunded"] * 2,
        *["refund.created"] * 2,
    ]
