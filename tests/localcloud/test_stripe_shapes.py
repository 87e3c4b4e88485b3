"""The simulated Stripe's objects have what the SDK says they have, and many may call at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import stripe

from localcloud.store import Store
from tests.localcloud.stripe_world import World, a_world

KINDS: dict[str, Any] = {
    "billing_portal.configuration": stripe.billing_portal.Configuration,
    "billing_portal.session": stripe.billing_portal.Session,
    "charge": stripe.Charge,
    "checkout.session": stripe.checkout.Session,
    "coupon": stripe.Coupon,
    "customer": stripe.Customer,
    "discount": stripe.Discount,
    "dispute": stripe.Dispute,
    "event": stripe.Event,
    "invoice": stripe.Invoice,
    "invoice_payment": stripe.InvoicePayment,
    "payment_intent": stripe.PaymentIntent,
    "payment_method": stripe.PaymentMethod,
    "price": stripe.Price,
    "product": stripe.Product,
    "promotion_code": stripe.PromotionCode,
    "refund": stripe.Refund,
    "subscription": stripe.Subscription,
    "webhook_endpoint": stripe.WebhookEndpoint,
}
PARTS: dict[str, tuple[str, Any]] = {
    "invoice": ("lines", stripe.InvoiceLineItem),
    "subscription": ("items", stripe.SubscriptionItem),
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(tmp_path) as made:
        yield made


@pytest.fixture
def full(world: World) -> Store:
    """Make one of everything."""
    world.listen()
    coupon = world.v1.coupons.create({"percent_off": 50, "duration": "once"})
    world.v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}})
    subscription = world.subscribed(world.price(), discounts=[{"coupon": coupon.id}])
    world.v1.billing_portal.configurations.create({"features": {"invoice_history": {"enabled": True}}})
    world.v1.billing_portal.sessions.create({"customer": subscription.customer})
    charge = world.v1.charges.list().data[0].id
    world.v1.refunds.create({"charge": charge})
    world.knob("dispute", charge=charge)
    world.knob("fail_card", customer=subscription.customer)
    world.knob("next", type="finalize")
    world.v1.subscriptions.update(subscription.id, {"pause_collection": {"behavior": "void"}})
    world.v1.subscriptions.pause(subscription.id)
    return world.store


def problems(kind: Any, body: dict[str, Any], path: str) -> Iterator[str]:
    """Yield what an object lacks and what it has too much, with all that is in it."""
    fields = {name: str(hint) for name, hint in kind.__annotations__.items() if not name.startswith("_")}
    fields.pop("OBJECT_NAME", None)
    for name, hint in fields.items():
        if name not in body and "Optional" not in hint and "NoneType" not in hint:
            yield f"{path}.{name} is missing"
    yield from (f"{path}.{name} is unknown" for name in body if name not in fields and not name.startswith("_"))
    for name, inner in getattr(kind, "_inner_class_types", {}).items():
        value = body.get(name)
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict) and each:
                yield from problems(inner, each, f"{path}.{name}")


def test_every_object_is_as_the_sdk_describes_it(full: Store) -> None:
    """All required fields are there, none is invented, down to the last level."""
    found: set[str] = set()
    for name, kind in KINDS.items():
        things = full.all(f"stripe/{name}")
        assert things, name
        for thing in things:
            found.update(problems(kind, thing, name))
            if name in PARTS:
                part, inner = PARTS[name]
                for each in thing[part]["data"]:
                    found.update(problems(inner, each, f"{name}.{part}"))
    assert sorted(found) == []


def test_every_event_is_of_a_type_that_stripe_has(full: Store) -> None:
    """No type is invented."""
    known = str(stripe.Event.__annotations__["type"])
    kinds = {each["type"] for each in full.all("stripe/event")}
    assert len(kinds) > 20
    assert {kind for kind in kinds if f"'{kind}'" not in known} == set()


def test_many_pay_one_session_at_once(world: World) -> None:
    """One of them does; the others are told, and there is one subscription."""
    session = world.checkout(world.price())
    with ThreadPoolExecutor(max_workers=10) as threads:
        codes = list(threads.map(lambda _: world.press(session.url, "pay").status_code, range(10)))
    assert sorted(codes) == [303] + [400] * 9
    assert len(world.v1.subscriptions.list().data) == 1


def test_the_last_coupon_is_for_one(world: World) -> None:
    """However many press at once."""
    coupon = world.v1.coupons.create({"percent_off": 50, "duration": "once", "max_redemptions": 1})
    price = world.price()
    urls = [world.checkout(price, discounts=[{"coupon": coupon.id}]).url for _ in range(6)]
    with ThreadPoolExecutor(max_workers=6) as threads:
        codes = list(threads.map(lambda url: world.press(url, "pay").status_code, urls))
    assert sorted(codes) == [303] + [400] * 5
    assert world.v1.coupons.retrieve(coupon.id).times_redeemed == 1


def test_one_key_at_once_is_carried_out_once(world: World) -> None:
    """Concurrent repeats wait for the first and get its answer."""

    def create(_: int) -> str:
        return world.v1.customers.create({"name": "x"}, {"idempotency_key": "same"}).id

    with ThreadPoolExecutor(max_workers=8) as threads:
        assert len(set(threads.map(create, range(16)))) == 1
    assert len(world.v1.customers.list().data) == 1
