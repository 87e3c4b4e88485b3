"""Our account at Stripe against the plans: what is made, changed, switched off, and left alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from registry.plans import PLANS
from tests.localcloud.stripe_world import World, a_world
from webhook import stripe_catalogue
from webhook.event_types import API_VERSION, HANDLED
from webhook.stripe_catalogue import CODES, ENDPOINTS, OURS, PORTALS, PRICES, PRODUCTS, RESOURCES, Part, wanted
from webhook.stripe_differences import Change, Differences, differences
from webhook.stripe_sync import apply, read_account
from webhook.subscriptions import reduced

URL, PORTAL = "https://portal.example.org/webhooks/stripe", "https://portal.example.org/portal"
CODE = "LAUNCH50"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(tmp_path) as made:
        yield made


def parts(code: str | None = CODE, url: str = URL) -> tuple[Part, ...]:
    """Return what is wanted."""
    return wanted(webhook_url=url, portal_url=PORTAL, launch_code=code)


def found(world: World, code: str | None = CODE, url: str = URL) -> Differences:
    """Return what differs at the simulated Stripe."""
    return differences(read_account(world.client), parts(code, url))


def synchronised(world: World, code: str | None = CODE, url: str = URL) -> list[Change]:
    """Apply all changes, see that nothing is left to do, and return them."""
    result = found(world, code, url)
    assert result.conflicts == ()
    done: list[Change] = []
    apply(world.client, result.changes, done.append)
    assert found(world, code, url).changes == ()
    return done


def names(changes: list[Change]) -> list[str]:
    """Return what changes are about, without ids."""
    return [change.part.split(", ")[0].replace(" (former", ", former") for change in changes]


def dearer(monkeypatch: pytest.MonkeyPatch, cents: int) -> None:
    """Change what team costs a month."""
    plan = PLANS["team"].model_copy(update={"monthly_cents": cents})
    monkeypatch.setattr(stripe_catalogue, "PLANS", {**PLANS, "team": plan})


def price(world: World, key: str = "team_month") -> Any:
    """Return the price that has a lookup key."""
    (one,) = world.v1.prices.list({"lookup_keys": [key]}).data
    return one


def test_an_empty_account_gets_all_of_it(world: World) -> None:
    """Three products, six prices with their plan, portal, offer and endpoint; and a second run finds nothing to do."""
    assert len(synchronised(world)) == 3 + 6 + 1 + 2 + 1
    for plan in PLANS.values():
        month, year = price(world, f"{plan.name}_month"), price(world, f"{plan.name}_year")
        assert (month.unit_amount, year.unit_amount) == (plan.monthly_cents, plan.yearly_cents)
        assert (month.recurring.interval, year.recurring.interval) == ("month", "year")
        assert month.product == year.product
        product = world.v1.products.retrieve(month.product)
        assert {each.metadata["plan"] for each in (month, year, product)} == {plan.name}
        assert product.name == f"MarkItUp {plan.name.title()}"
    (coupon,) = world.v1.coupons.list().data
    assert (coupon.percent_off, coupon.duration, coupon.duration_in_months, coupon.max_redemptions) == (
        50,
        "repeating",
        12,
        20,
    )
    (code,) = world.v1.promotion_codes.list().data
    assert (code.code, code.promotion.coupon, code.active) == (CODE, coupon.id, True)
    (endpoint,) = world.v1.webhook_endpoints.list().data
    assert (endpoint.url, endpoint.api_version, set(endpoint.enabled_events)) == (URL, API_VERSION, HANDLED)


def test_the_portal_lets_customers_do_what_we_want(world: World) -> None:
    """Change among all our prices, cancel at the period's end, see invoices, change the payment method."""
    synchronised(world)
    (portal,) = world.v1.billing_portal.configurations.list().data
    features = portal.features
    offered = {key for product in features.subscription_update.products for key in product.prices}
    assert offered == {price(world, f"{plan}_{interval}").id for plan in PLANS for interval in ("month", "year")}
    assert features.subscription_update.default_allowed_updates == ["price"]
    assert features.subscription_cancel.mode == "at_period_end"
    assert features.invoice_history.enabled
    assert features.payment_method_update.enabled


def test_another_amount_is_another_price(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key moves on, the portal offers the new one, then the old one is switched off; who has it keeps it."""
    synchronised(world)
    old = price(world)
    metadata = {"customer_id": "c-glade234", "subdomain": "glade"}
    subscription = world.subscribed(old, metadata=metadata, subscription_data={"metadata": metadata})
    dearer(monkeypatch, 2499)
    done = synchronised(world)
    assert names(done) == ["price team_month", "portal", "price team_month, former"]
    assert done[2].key == old.id
    new = price(world)
    assert (new.unit_amount, new.product) == (2499, old.product)
    gone = world.v1.prices.retrieve(old.id)
    assert (gone.active, gone.lookup_key, gone.metadata["plan"]) == (False, None, "team")
    kept = reduced(world.subscription(subscription.id).to_dict())
    assert (kept.plan, kept.interval) == ("team", "month")


def test_an_amount_can_come_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old price is switched on again, with its key; no third one is made."""
    synchronised(world)
    old = price(world).id
    dearer(monkeypatch, 2499)
    synchronised(world)
    monkeypatch.undo()
    synchronised(world)
    assert (price(world).id, price(world).active) == (old, True)
    prices = [each for each in read_account(world.client)[PRICES] if each["metadata"]["part"] == "price team_month"]
    assert [each["active"] for each in prices].count(True) == 1
    assert len(prices) == 2


@pytest.mark.parametrize("after", range(13))
def test_a_run_that_is_cut_off_is_continued(world: World, after: int) -> None:
    """Wherever it stopped, the next one makes the rest and nothing twice."""
    changes = found(world).changes
    apply(world.client, changes[:after], lambda _: None)
    assert len(synchronised(world)) == len(changes) - after


def test_what_a_person_changed_is_put_right(world: World) -> None:
    """Names, switches, features, events: only what differs is sent, with what it was."""
    synchronised(world)
    state = read_account(world.client)
    (pro,) = [each for each in state[PRODUCTS] if each["metadata"]["plan"] == "pro"]
    world.v1.products.update(pro["id"], {"name": "Gold", "active": False})
    (portal,) = state[PORTALS]
    world.v1.billing_portal.configurations.update(portal["id"], {"features": {"invoice_history": {"enabled": False}}})
    (endpoint,) = state[ENDPOINTS]
    world.v1.webhook_endpoints.update(endpoint["id"], {"enabled_events": ["*"], "disabled": True})
    done = {change.part: change for change in synchronised(world)}
    assert set(done) == {"product pro", "portal", "webhook endpoint"}
    assert done["product pro"].now == {"name": "Gold", "active": False}
    assert done["product pro"].params == {"name": "MarkItUp Pro", "active": True}
    assert done["webhook endpoint"].now == {"enabled_events": ["*"], "disabled": True}
    assert done["webhook endpoint"].key == endpoint["id"]


def test_others_objects_are_left_alone(world: World) -> None:
    """Whatever they are called; one that has our key or code is a conflict with its fix, a like endpoint a note."""
    stranger = world.price("team_month", 5)
    world.v1.coupons.create({"percent_off": 10, "duration": "once", "id": "SPRING"})
    promotion: Any = {"promotion": {"type": "coupon", "coupon": "SPRING"}, "code": CODE.lower()}
    code = world.v1.promotion_codes.create(promotion)
    endpoint = world.v1.webhook_endpoints.create({"url": URL, "enabled_events": ["*"]})
    result = found(world)
    key, name = result.conflicts
    assert f"price {stranger.id} is not ours but has the lookup key team_month" in key
    assert f"promotion code {code.id} is not ours" in name
    assert all("Fix: " in each for each in result.conflicts)
    assert endpoint.id in result.notes[0]
    world.v1.prices.update(stranger.id, {"lookup_key": "x"})
    world.v1.promotion_codes.update(code.id, {"active": False})
    before = {resource: _strangers(world, resource) for resource in RESOURCES}
    synchronised(world)
    assert {resource: _strangers(world, resource) for resource in RESOURCES} == before


def _strangers(world: World, resource: str) -> list[Any]:
    return [each for each in read_account(world.client)[resource] if "managed-by" not in (each.get("metadata") or {})]


def test_a_used_up_offer_stays_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last customer switches the code off at Stripe, and no run makes another one."""
    monkeypatch.setattr(stripe_catalogue, "LAUNCH_CUSTOMERS", 1)
    synchronised(world)
    world.subscribed(price(world), code=CODE, allow_promotion_codes=True)
    (code,) = read_account(world.client)[CODES]
    assert not code["active"]
    assert found(world).changes == ()


def test_the_offer_is_renamed_and_ended(world: World) -> None:
    """Another code takes the place of the old one, none switches it off, and the first one can come back."""
    synchronised(world)
    (code,) = read_account(world.client)[CODES]
    first, second = synchronised(world, "FIRST20")
    assert (first.key, first.params, second.params["code"]) == (code["id"], {"active": False}, "FIRST20")
    (ended,) = synchronised(world, None)
    assert ended.params == {"active": False}
    assert not any(each["active"] for each in read_account(world.client)[CODES])
    (back,) = synchronised(world)
    assert (back.key, back.params) == (code["id"], {"active": True})


def test_another_coupon_gets_another_code(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its terms never change at Stripe: the old code goes first, as two can't have one name."""
    synchronised(world)
    monkeypatch.setattr(stripe_catalogue, "LAUNCH_PERCENT", 40)
    assert [change.key is None for change in synchronised(world)] == [False, True, True]
    (active,) = [each for each in read_account(world.client)[CODES] if each["active"]]
    assert world.v1.coupons.retrieve(active["promotion"]["coupon"]).percent_off == 40


def test_an_endpoint_moves_but_its_version_does_not(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another address keeps the secret; another version is a new endpoint, and the next run ends the old one."""
    synchronised(world)
    (moved,) = synchronised(world, url="https://elsewhere.example.org")
    assert moved.params == {"url": "https://elsewhere.example.org"}
    monkeypatch.setattr(stripe_catalogue, "API_VERSION", "2026-08-26.dahlia")
    secrets = [apply(world.client, found(world).changes, lambda _: None)]
    old, new = sorted(read_account(world.client)[ENDPOINTS], key=lambda each: each["api_version"], reverse=True)
    assert (old["id"], old["status"], new["status"]) == (moved.key, "enabled", "enabled")
    assert str(secrets[0]).startswith("whsec_")
    (ended,) = synchronised(world)
    assert (ended.key, ended.params) == (moved.key, {"disabled": True})


def test_twins_of_ours_are_switched_off(world: World) -> None:
    """Two operators at once made two of each: one stays."""
    synchronised(world)
    world.knob("advance", days=1)
    twin: Any = {"name": "MarkItUp Team", "metadata": {**OURS, "part": "product team", "plan": "team"}}
    made = world.v1.products.create(twin)
    (change,) = synchronised(world)
    assert (change.key, change.params) == (made.id, {"active": False})


def test_a_plan_that_is_gone_is_switched_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its prices, then its product; the portal offers it no more, and nothing is deleted."""
    synchronised(world)
    rest = {name: plan for name, plan in PLANS.items() if name != "pro"}
    monkeypatch.setattr(stripe_catalogue, "PLANS", rest)
    portal, *off = synchronised(world)
    assert portal.part == "portal"
    assert sorted(names(off)) == ["price pro_month, former", "price pro_year, former", "product pro, former"]
    assert all(change.params == {"active": False} for change in off)
