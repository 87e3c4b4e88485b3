"""What our account at Stripe shall have: products, prices, the launch offer, the billing portal, the webhook endpoint.

Made of the plans, as data; ``stripe_differences.py`` holds an account to it. Why each choice:
docs/adr/0015-stripe-follows-the-plans.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from registry.plans import PLANS
from webhook.event_types import API_VERSION, HANDLED
from webhook.subscriptions import lookup_key

OURS = {"managed-by": "markitup-hosting"}
PART = "part"
"""Metadata by which an object of ours is found again: ``price team_month``."""
PRODUCTS, PRICES, COUPONS, CODES = "products", "prices", "coupons", "promotion_codes"
PORTALS, ENDPOINTS = "billing_portal/configurations", "webhook_endpoints"
RESOURCES = (PRODUCTS, PRICES, COUPONS, CODES, PORTALS, ENDPOINTS)
CURRENCY = "usd"
LAUNCH_CODE = "LAUNCH50"
"""What customers type for the launch offer unless told otherwise."""
LAUNCH_PERCENT, LAUNCH_CUSTOMERS = 50, 20
"""The launch offer (REQUIREMENTS row 8)."""
LAUNCH_MONTHS = 12
"""A year for both intervals: by ``once`` a yearly customer would save ten times as much as a monthly one."""


@dataclass(frozen=True)
class Ref:
    """Stands for the id of a part that may still have to be made."""

    part: str


@dataclass(frozen=True, kw_only=True)
class Part:
    """One object that the account shall have.

    Attributes:
        name: What it is, such as ``price team_month``.
        resource: Where it is in the API.
        fixed: Parameters that Stripe never changes.
        fields: Parameters that can be changed.
        told: Metadata besides what marks it as ours.
    """

    name: str
    resource: str
    fields: Mapping[str, Any]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)

    @property
    def params(self) -> dict[str, Any]:
        """All that can be changed, with the metadata."""
        return {**self.fields, "metadata": {**OURS, PART: self.name, **self.told}}


def wanted(*, webhook_url: str, portal_url: str, launch_code: str | None) -> tuple[Part, ...]:
    """Return what the account shall have.

    Args:
        webhook_url: Where events go.
        portal_url: Where the billing portal leads back to.
        launch_code: What customers type for the launch offer; None ends the offer.
    """
    products = [
        Part(
            name=f"product {plan.name}",
            resource=PRODUCTS,
            fields={
                "name": f"MarkItUp {plan.name.title()}",
                "description": ", ".join(plan.features),
                "active": True,
            },
            told={"plan": plan.name},
        )
        for plan in PLANS.values()
    ]
    prices = [
        Part(
            name=f"price {lookup_key(plan.name, interval)}",
            resource=PRICES,
            fixed={
                "product": Ref(f"product {plan.name}"),
                "currency": CURRENCY,
                "unit_amount": cents,
                "recurring": {"interval": interval, "interval_count": 1},
            },
            fields={"lookup_key": lookup_key(plan.name, interval), "active": True},
            told={"plan": plan.name},
        )
        for plan in PLANS.values()
        for interval, cents in (("month", plan.monthly_cents), ("year", plan.yearly_cents))
    ]
    return (*products, *prices, _portal(portal_url), *_launch(launch_code), _endpoint(webhook_url))


def _portal(portal_url: str) -> Part:
    products = [
        {
            "product": Ref(f"product {name}"),
            "prices": [Ref(f"price {lookup_key(name, interval)}") for interval in ("month", "year")],
        }
        for name in PLANS
    ]
    features = {
        "invoice_history": {"enabled": True},
        "payment_method_update": {"enabled": True},
        "subscription_cancel": {"enabled": True, "mode": "at_period_end"},
        "subscription_update": {
            "enabled": True,
            "default_allowed_updates": ["price"],
            "products": products,
            "proration_behavior": "create_prorations",
        },
    }
    return Part(
        name="portal",
        resource=PORTALS,
        fields={"name": "MarkItUp hosting", "active": True, "default_return_url": portal_url, "features": features},
    )


def _launch(code: str | None) -> tuple[Part, ...]:
    if code is None:
        return ()
    coupon = Part(
        name="coupon launch",
        resource=COUPONS,
        fixed={
            "percent_off": LAUNCH_PERCENT,
            "duration": "repeating",
            "duration_in_months": LAUNCH_MONTHS,
            "max_redemptions": LAUNCH_CUSTOMERS,
        },
        fields={"name": "Launch offer"},
    )
    return coupon, Part(
        name="promotion code launch",
        resource=CODES,
        fixed={"code": code, "promotion": {"type": "coupon", "coupon": Ref(coupon.name)}},
        fields={"active": True},
    )


def _endpoint(url: str) -> Part:
    return Part(
        name="webhook endpoint",
        resource=ENDPOINTS,
        fixed={"api_version": API_VERSION},
        fields={
            "url": url,
            "enabled_events": sorted(HANDLED),
            "description": "Managed MarkItUp hosting: made by `hosting stripe sync`",
            "disabled": False,
        },
    )
