"""An event of the usual size and shape, signed as Stripe signs."""

from __future__ import annotations

import hmac
import json
import time
from hashlib import sha256
from typing import Any

from webhook.event_types import API_VERSION

SECRET = "whsec_bench_0123456789abcdef"  # noqa: S105 - nobody's


def signed_event(event_id: str) -> tuple[bytes, str]:
    """Return the body of a changed subscription's event, 4 KB as Stripe writes it, and its ``Stripe-Signature``."""
    body = json.dumps(_event(event_id), indent=2).encode()
    stamp = str(int(time.time()))
    signature = hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, sha256).hexdigest()
    return body, f"t={stamp},v1={signature}"


def _event(event_id: str) -> dict[str, Any]:
    now = int(time.time())
    price: dict[str, Any] = {
        "id": "price_1QbenchPersonalMonthly",
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "created": now - 900_000,
        "currency": "eur",
        "custom_unit_amount": None,
        "livemode": True,
        "lookup_key": "personal_month",
        "metadata": {},
        "nickname": None,
        "product": "prod_QbenchPersonal",
        "recurring": {"interval": "month", "interval_count": 1, "meter": None, "usage_type": "licensed"},
        "tax_behavior": "inclusive",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring",
        "unit_amount": 799,
        "unit_amount_decimal": "799",
    }
    item: dict[str, Any] = {
        "id": "si_QbenchItem",
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": now - 800_000,
        "current_period_end": now + 1_000_000,
        "current_period_start": now - 800_000,
        "discounts": [],
        "metadata": {},
        "price": price,
        "quantity": 1,
        "subscription": "sub_1QbenchSubscription",
        "tax_rates": [],
    }
    subscription: dict[str, Any] = {
        "id": "sub_1QbenchSubscription",
        "object": "subscription",
        "application": None,
        "automatic_tax": {"disabled_reason": None, "enabled": True, "liability": {"type": "self"}},
        "billing_cycle_anchor": now - 800_000,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "created": now - 800_000,
        "currency": "eur",
        "customer": "cus_QbenchCustomer",
        "days_until_due": None,
        "default_payment_method": "pm_1QbenchMethod",
        "description": "Ada Lovelace's notes",
        "discounts": ["di_1QbenchLaunch"],
        "ended_at": None,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": {"object": "list", "data": [item], "has_more": False, "total_count": 1},
        "latest_invoice": "in_1QbenchInvoice",
        "livemode": True,
        "metadata": {"subdomain": "ada", "customer_id": "c-bench"},
        "next_pending_invoice_item_invoice": None,
        "payment_settings": {"payment_method_types": ["card", "sepa_debit"], "save_default_payment_method": "off"},
        "pending_setup_intent": None,
        "schedule": None,
        "start_date": now - 800_000,
        "status": "active",
        "trial_end": None,
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
    }
    return {
        "id": event_id,
        "object": "event",
        "api_version": API_VERSION,
        "created": now,
        "data": {"object": subscription, "previous_attributes": {"status": "past_due"}},
        "livemode": True,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": "customer.subscription.updated",
    }
