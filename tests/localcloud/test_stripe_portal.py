"""The simulated Stripe's billing portal: what its configuration allows and what its buttons do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe

from tests.localcloud.stripe_world import World, a_world, period

RETURN = "https://portal.example.org/account"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(tmp_path) as made:
        yield made


def configured(world: World, *prices: Any, **update: Any) -> Any:
    """Make a configuration that allows everything, with changes between the prices."""
    products = [{"product": price.product, "prices": [price.id]} for price in prices]
    rules = {
        "enabled": True,
        "default_allowed_updates": ["price"],
        "products": products,
        "proration_behavior": "always_invoice",
    }
    features: Any = {
        "subscription_update": {**rules, **update},
        "subscription_cancel": {"enabled": True, "mode": "at_period_end"},
        "payment_method_update": {"enabled": True},
        "invoice_history": {"enabled": True},
    }
    return world.v1.billing_portal.configurations.create({"features": features, "name": "plans"})


def portal(world: World, subscription: Any, **more: Any) -> str:
    """Let the subscription's customer in."""
    params: Any = {"customer": subscription.customer, "return_url": RETURN, **more}
    return world.v1.billing_portal.sessions.create(params).url


def press(world: World, url: str, action: str, subscription: Any = None, **fields: str) -> httpx.Response:
    """Press a button of the portal."""
    return world.press(url, action, **({"subscription": subscription.id} if subscription else {}), **fields)


def test_a_customer_changes_plan(world: World) -> None:
    """The page offers the plans, a press changes it, and the service hears of it."""
    world.listen("customer.subscription.updated")
    personal, team = world.price(), world.price("team_monthly", 1999)
    configured(world, personal, team)
    subscription = world.subscribed(personal)
    url = portal(world, subscription)
    page = httpx.get(url).text
    assert all(words in page for words in ("team_monthly: $19.99 per month", "Cancel plan", "Use a good card", RETURN))
    assert press(world, url, "change", subscription, price=team.id).status_code == 303
    changed = world.subscription(subscription.id)
    assert (changed["items"].data[0].price.id, changed.latest_invoice.status) == (team.id, "paid")
    world.settle()
    assert "items" in world.receiver.of("customer.subscription.updated")[-1]["previous_attributes"]
    assert press(world, url, "change", subscription, price="price_no").status_code == 403


@pytest.mark.parametrize("style", ["cancel_at_period_end", "cancel_at"])
def test_a_customer_cancels_and_thinks_again(world: World, style: str) -> None:
    """At the period's end, in the words of older and of newer accounts; then kept, then gone."""
    world.knob("portal", cancels_with=style)
    price = world.price()
    configured(world, price)
    subscription = world.subscribed(price)
    url = portal(world, subscription)
    end = period(subscription)[1]
    press(world, url, "cancel", subscription)
    cancelled = world.subscription(subscription.id)
    assert (cancelled.cancel_at, cancelled.cancel_at_period_end) == (end, style == "cancel_at_period_end")
    assert "ends 20" in httpx.get(url).text
    press(world, url, "resume", subscription)
    kept = world.subscription(subscription.id)
    assert (kept.cancel_at, kept.cancel_at_period_end, kept.status) == (None, False, "active")
    press(world, url, "cancel", subscription)
    world.knob("advance", days=32)
    assert world.subscription(subscription.id).status == "canceled"
    assert press(world, url, "resume", subscription).status_code == 403


def test_a_customer_cancels_now(world: World) -> None:
    """Where the configuration says so."""
    price = world.price()
    configuration = configured(world, price)
    features: Any = {"features": {"subscription_cancel": {"enabled": True, "mode": "immediately"}}}
    world.v1.billing_portal.configurations.update(configuration.id, features)
    subscription = world.subscribed(price)
    press(world, portal(world, subscription), "cancel", subscription)
    assert world.subscription(subscription.id).status == "canceled"


def test_a_customer_brings_a_better_card(world: World) -> None:
    """Past due with a bad card, active after a good one and the press on pay."""
    price = world.price()
    configured(world, price)
    subscription = world.subscribed(price)
    url = portal(world, subscription)
    press(world, url, "card_failing")
    world.knob("next", type="finalize")
    overdue = world.subscription(subscription.id)
    assert overdue.status == "past_due"
    refused = press(world, url, "pay", invoice=overdue.latest_invoice.id)
    assert refused.status_code == 402
    assert "declined" in refused.text
    assert world.subscription(subscription.id).latest_invoice.attempt_count == 2
    press(world, url, "card_good")
    assert press(world, url, "pay", invoice=overdue.latest_invoice.id).status_code == 303
    assert world.subscription(subscription.id).status == "active"


def test_a_downgrade_waits_for_the_period_to_end(world: World) -> None:
    """Where the configuration says so."""
    personal, team = world.price(), world.price("team_monthly", 1999)
    configured(world, personal, team, schedule_at_period_end={"conditions": [{"type": "decreasing_item_amount"}]})
    subscription = world.subscribed(team)
    press(world, portal(world, subscription), "change", subscription, price=personal.id)
    assert world.subscription(subscription.id)["items"].data[0].price.id == team.id
    world.knob("next", type="finalize")
    renewed = world.subscription(subscription.id)
    assert (renewed["items"].data[0].price.id, renewed.latest_invoice.amount_paid) == (personal.id, 799)


def test_only_what_is_allowed_and_one_s_own(world: World) -> None:
    """No button for what is off, and no way around that; nobody else's subscription or invoice."""
    price = world.price()
    features: Any = {"features": {"invoice_history": {"enabled": True}}}
    bare = world.v1.billing_portal.configurations.create(features)
    mine, other = world.subscribed(price), world.subscribed(price)
    url = portal(world, mine, configuration=bare.id)
    page = httpx.get(url).text
    assert not any(words in page for words in ("Cancel plan", "Change plan", "Use a good card"))
    assert press(world, url, "cancel", mine).status_code == 403
    assert press(world, url, "card_good").status_code == 403
    assert press(world, url, "change", mine, price=price.id).status_code == 403
    full = configured(world, price)
    url = portal(world, mine, configuration=full.id)
    assert press(world, url, "cancel", other).status_code == 403
    assert press(world, url, "pay", invoice=other.latest_invoice.id).status_code == 403
    assert press(world, url, "nonsense", mine).status_code == 403
    assert httpx.get(f"{world.base}/portal/bps_no").status_code == 404


def test_a_configuration_is_checked(world: World) -> None:
    """Prices belong to their product, one for each interval; the first configuration is the default."""
    price, other = world.price(), world.price("team", 1999)
    subscription = world.subscribed(price)
    with pytest.raises(stripe.InvalidRequestError, match="default configuration"):
        portal(world, subscription)
    first = configured(world, price)
    second = configured(world, price)
    assert (first.is_default, second.is_default) == (True, False)
    twin = world.v1.prices.create(
        {"product": price.product, "unit_amount": 1, "currency": "usd", "recurring": {"interval": "month"}}
    )
    for prices in ([other.id], ["price_no"], [price.id, twin.id]):
        with pytest.raises(stripe.InvalidRequestError):
            configured(world, products=[{"product": price.product, "prices": prices}])
    with pytest.raises(stripe.InvalidRequestError, match="required when"):
        configured(world, products="")
    listed = world.v1.billing_portal.configurations.list({"is_default": True}).data
    assert [each.id for each in listed] == [first.id]
    profile: Any = {"business_profile": {"headline": "Plans"}, "metadata": {"managed": "yes"}}
    changed = world.v1.billing_portal.configurations.update(first.id, profile)
    assert (changed.business_profile.headline, changed.features.subscription_cancel.enabled) == ("Plans", True)
