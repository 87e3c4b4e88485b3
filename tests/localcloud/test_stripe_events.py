"""The simulated Stripe's events on their way: signed, repeated, lost, doubled, disordered, kept over a restart."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe

from localcloud.stripe_api.courier import delay, signature
from tests.localcloud.stripe_world import DAY, World, a_world, period, until


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(tmp_path) as made:
        yield made


def customers(world: World, count: int) -> list[str]:
    """Make customers, each an event."""
    return [world.v1.customers.create({"name": str(number)}).id for number in range(count)]


def told(world: World) -> list[str]:
    """Return the ids of the customers that the receiver heard of, in order."""
    return [event["data"]["object"]["id"] for event in world.receiver.events]


def outcomes(world: World) -> list[str]:
    """Return what became of each attempt."""
    return [each["outcome"] for each in world.look("deliveries")["attempts"]]


def test_a_signature_is_what_the_sdk_expects() -> None:
    """Good now, bad with another secret, another body or another time."""
    payload = json.dumps({"id": "evt_1", "object": "event"})
    now = int(time.time())
    assert stripe.Webhook.construct_event(payload, signature(payload, "whsec_x", now), "whsec_x").id == "evt_1"
    for header, body in (
        (signature(payload, "whsec_y", now), payload),
        (signature(payload, "whsec_x", now), payload + " "),
        (signature(payload, "whsec_x", now - 301), payload),
    ):
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(body, header, "whsec_x")


def test_an_event_is_delivered_and_kept(world: World) -> None:
    """As it was when it happened, with the request that caused it; found by id and by type."""
    world.listen()
    customer = world.v1.customers.create({"name": "a"}, {"idempotency_key": "k-1"})
    world.v1.customers.update(customer.id, {"name": "b", "metadata": {"x": "1"}})
    world.v1.customers.update(customer.id, {"name": "b"})
    world.settle()
    created, updated = world.receiver.events
    assert (created["type"], created["data"]["object"]["name"]) == ("customer.created", "a")
    assert created["request"]["idempotency_key"] == "k-1"
    assert created["request"]["id"].startswith("req_")
    assert created["api_version"] == "2026-10-28.endive"
    assert updated["data"]["previous_attributes"] == {"name": "a", "metadata": {"x": None}}
    kept = world.v1.events.retrieve(created["id"])
    assert (kept.pending_webhooks, kept.data.object["name"]) == (0, "a")
    assert [each.id for each in world.v1.events.list({"type": "customer.updated"}).data] == [updated["id"]]
    assert len(world.v1.events.list({"types": ["customer.*"]}).data) == 2  # type: ignore[list-item]


def test_an_endpoint_gets_what_it_wants(world: World) -> None:
    """By type, while it is enabled; its secret is shown once."""
    endpoint = world.listen("customer.updated")
    assert "secret" not in world.v1.webhook_endpoints.retrieve(endpoint.id).to_dict()
    (customer,) = customers(world, 1)
    world.v1.customers.update(customer, {"name": "x"})
    world.settle()
    assert world.receiver.types() == ["customer.updated"]
    changed = world.v1.webhook_endpoints.update(endpoint.id, {"disabled": True})
    assert changed.status == "disabled"
    world.v1.customers.update(customer, {"name": "y"})
    world.v1.webhook_endpoints.update(endpoint.id, {"disabled": False, "enabled_events": ["*"]})
    world.v1.customers.update(customer, {"name": "z"})
    world.settle()
    assert [each["object"]["name"] for each in world.receiver.of("customer.updated")] == ["x", "z"]
    assert world.v1.webhook_endpoints.delete(endpoint.id).deleted
    customers(world, 1)
    world.settle()
    assert len(world.receiver.events) == 2


def test_two_endpoints_each_get_their_own(world: World) -> None:
    """Signed with their own secrets."""
    first, second = world.listen(), world.listen()
    assert first.secret != second.secret
    world.receiver.secrets.remove(first.secret)
    customers(world, 1)
    until(lambda: world.receiver.events and world.receiver.refused)
    assert len(world.receiver.events) == 1


def test_a_refused_event_comes_again(world: World) -> None:
    """With more and more time in between, and the log tells of each attempt."""
    world.listen()
    world.receiver.status = 500
    (customer,) = customers(world, 1)
    until(lambda: outcomes(world).count("failed") >= 2)
    assert world.v1.events.list({"delivery_success": False}).data[0].pending_webhooks == 1
    world.receiver.status = 200
    until(lambda: told(world) == [customer])
    attempts = world.look("deliveries")["attempts"]
    assert [each["attempts"] for each in attempts] == list(range(1, len(attempts) + 1))
    assert [each["status"] for each in attempts] == [500] * (len(attempts) - 1) + [200]
    times = [each["at"] for each in attempts]
    assert times[2] - times[1] > times[1] - times[0] >= delay(1) - 0.05
    assert [delay(number) for number in (1, 2, 3, 20)] == [0.5, 1, 2, 3600]


def test_nobody_tries_for_ever(world: World) -> None:
    """After three days an event is given up; a new one still comes, and the old one can be sent again."""
    world.listen()
    world.receiver.status = 503
    (lost,) = customers(world, 1)
    until(lambda: outcomes(world) == ["failed"])
    world.knob("advance", days=3, seconds=1)
    until(lambda: outcomes(world)[-1] == "given up")
    world.receiver.status = 200
    (fine,) = customers(world, 1)
    world.settle()
    assert told(world) == [fine]
    event = world.v1.events.list({"type": "customer.created"}).data[1]
    assert world.knob("resend", event=event.id) == {"deliveries": 1}
    world.settle()
    assert told(world) == [fine, lost]


def test_an_endpoint_that_is_not_there(world: World) -> None:
    """A refused connection is a failed attempt like any other."""
    world.listen(url="http://127.0.0.1:9/hook")
    customers(world, 1)
    until(lambda: "failed" in outcomes(world))
    attempt = world.look("deliveries")["attempts"][0]
    assert (attempt["status"], "ConnectError" in attempt["error"]) == (None, True)


def test_undelivered_events_come_after_a_restart(world: World) -> None:
    """And everything else is there again too: clock, subscription, what is due, idempotency keys."""
    world.listen()
    options: Any = {"idempotency_key": "once"}
    price = world.price()
    subscription = world.subscribed(price)
    world.knob("advance", days=3)
    world.settle()
    world.receiver.status = 500
    seen = len(world.receiver.events)
    customer = world.v1.customers.create({"name": "late"}, options)
    until(lambda: "failed" in outcomes(world))
    before = world.look("clock")["now"]
    world.stop()
    world.receiver.status = 200
    assert len(world.receiver.events) == seen
    world.start()
    until(lambda: len(world.receiver.events) == seen + 1)
    assert told(world)[-1] == customer.id
    assert world.look("clock")["now"] >= before
    assert world.v1.customers.create({"name": "late"}, options).id == customer.id
    assert world.subscription(subscription.id).latest_invoice.status == "paid"
    world.knob("next", type="finalize")
    renewed = world.subscription(subscription.id)
    assert (period(renewed)[0], renewed.latest_invoice.status) == (period(subscription)[1], "paid")


def test_events_come_twice(world: World) -> None:
    """The same one, or two of the same change, as often as ordered and of the type that was ordered."""
    world.listen()
    world.knob("duplicate", count=1)
    first, second = customers(world, 2)
    world.settle()
    assert told(world) == [first, first, second]
    assert world.receiver.events[0]["id"] == world.receiver.events[1]["id"]
    world.knob("duplicate", count=1, new_id=True, type="customer.updated")
    world.v1.customers.create({})
    world.v1.customers.update(first, {"name": "new"})
    world.settle()
    pair = world.receiver.events[-2:]
    assert (pair[0]["id"] != pair[1]["id"], pair[0]["data"] == pair[1]["data"]) == (True, True)
    assert world.receiver.types()[-3:] == ["customer.created", "customer.updated", "customer.updated"]


@pytest.mark.parametrize("how", ["reverse", "shuffle"])
def test_events_come_out_of_order(world: World, how: str) -> None:
    """All of them, each once, and afterwards in order again."""
    world.listen()
    world.knob("reorder", count=12, how=how, seconds=3600)
    made = customers(world, 12)
    assert told(world) == []
    world.settle()
    assert sorted(told(world)) == sorted(made)
    assert told(world) != made
    if how == "reverse":
        assert told(world) == made[::-1]
    more = customers(world, 3)
    world.settle()
    assert told(world)[12:] == more


def test_events_held_back_come_by_themselves(world: World) -> None:
    """When their time has come, without anybody asking."""
    world.listen()
    world.knob("reorder", count=3, seconds=0.5)
    made = customers(world, 3)
    until(lambda: sorted(told(world)) == sorted(made))


def test_events_are_lost(world: World) -> None:
    """For good, as many and of the type that was ordered; Stripe itself still has them."""
    world.listen()
    world.knob("lose", count=1, type="*.deleted")
    made = customers(world, 2)
    for each in made:
        world.v1.customers.delete(each)
    world.settle()
    assert world.receiver.types() == ["customer.created", "customer.created", "customer.deleted"]
    assert told(world)[-1] == made[1]
    assert len(world.v1.events.list({"type": "customer.deleted"}).data) == 2
    assert outcomes(world).count("lost") == 1


def test_signatures_can_lie_about_the_time(world: World) -> None:
    """Old ones are refused by the SDK; then they are good again."""
    world.listen()
    world.knob("clock", signature_skew=-3600)
    customers(world, 1)
    until(lambda: world.receiver.refused)
    assert "outside the tolerance" in world.receiver.refused[0]
    world.knob("clock", signature_skew=0)
    world.settle()
    assert len(world.receiver.events) == 1


def test_an_old_endpoint_gets_old_shapes(world: World) -> None:
    """Before 2025-03-31 periods were the subscription's and invoices knew theirs."""
    world.listen("customer.subscription.created", "invoice.paid", api_version="2024-06-20")
    subscription = world.subscribed(world.price())
    world.settle()
    (told_of,) = world.receiver.of("customer.subscription.created")
    assert told_of["object"]["current_period_end"] == period(subscription)[1]
    assert "current_period_end" not in told_of["object"]["items"]["data"][0]
    (paid,) = world.receiver.of("invoice.paid")
    assert (paid["object"]["subscription"], paid["object"]["paid"]) == (subscription.id, True)
    assert "parent" not in paid["object"]
    assert {event["api_version"] for event in world.receiver.events} == {"2024-06-20"}


def test_a_refused_invoice_holds_the_renewal_up(world: World) -> None:
    """As long as an endpoint doesn't take `invoice.created`, up to three days."""
    subscription = world.subscribed(world.price())
    world.listen("invoice.created")
    world.receiver.status = 500
    world.knob("next", type="period")
    until(lambda: "failed" in outcomes(world))
    world.knob("advance", hours=5)
    assert world.subscription(subscription.id).latest_invoice.status == "draft"
    world.receiver.status = 200
    world.settle()
    world.knob("advance", hours=2)
    assert world.subscription(subscription.id).latest_invoice.status == "paid"


def test_time_stops_where_something_happens(world: World) -> None:
    """`next` goes to what is due, `settle` waits there for the events, `clock` goes to a time; never back."""
    world.listen("invoice.payment_failed", "customer.subscription.updated")
    subscription = world.subscribed(world.price(), action="pay_failing_later")
    due = world.look("next")["due"][0]
    assert (due["what"], due["at"]) == ("period", period(subscription)[1])
    done = world.knob("advance", days=60, settle=10)["done"]
    assert [each["what"] for each in done] == ["period", "finalize", "retry", "retry", "retry"]
    assert world.receiver.types().count("invoice.payment_failed") == 4
    now = world.look("clock")["now"]
    assert now - time.time() > 59 * DAY
    assert world.knob("clock", now=now + DAY)["now"] >= now + DAY
    assert world.knob("clock", now=5)["now"] >= now + DAY
    for name, wish in (("advance", {"days": -1}), ("reorder", {"how": "x"}), ("dunning", {"end": "x"}), ("resend", {})):
        assert httpx.post(f"{world.base}/_test/{name}", json=wish).status_code == 400
    assert httpx.post(f"{world.base}/_test/advance", data={"minutes": "1"}).json()["now"] >= now + DAY


def test_time_passes_by_itself(world: World) -> None:
    """What the clock reaches is done without a knob."""
    session = world.checkout(world.price(), expires_at=world.look("clock")["now"] + 1800)
    world.store.put("stripe/setting", "clock", {"ahead": 1801.0})
    until(lambda: world.v1.checkout.sessions.retrieve(session.id).status == "expired")


def test_a_card_fails_as_often_as_ordered(world: World) -> None:
    """One customer's, or the next charges of anybody; then it works again."""
    price = world.price()
    first, second = world.subscribed(price), world.subscribed(price)
    told_of = world.knob("fail_card", customer=first.customer, code="expired_card", times=1)
    assert (told_of["cards"], told_of["times"]) == ([first.default_payment_method], 1)
    world.knob("advance", days=33)
    assert [world.subscription(each.id).status for each in (first, second)] == ["past_due", "active"]
    world.knob("advance", days=5)
    assert world.subscription(first.id).status == "active"
    world.knob("fail_card", times=1)
    session = world.checkout(price)
    assert world.press(session.url, "pay").status_code == 402
    world.knob("fail_card", times=0)
    assert world.press(session.url, "pay").status_code == 303


def test_the_local_cloud_has_a_stripe(tmp_path: Path) -> None:
    """It is served with the others and says where."""
    from localcloud.serve import local_cloud  # noqa: PLC0415 - starts the engine's protocol, which most tests don't need

    with local_cloud(tmp_path / "cloud") as endpoints:
        answer = httpx.get(f"{endpoints.stripe}/v1/customers", headers={"Authorization": "Bearer sk_test_x"})
        assert answer.json()["data"] == []
