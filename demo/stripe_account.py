"""The demo's account at the simulated Stripe: prices, and the endpoint that gets its events."""

from __future__ import annotations

from collections.abc import Mapping

from stripe import StripeClient

from localcloud.serve import Endpoints
from registry.plans import PLANS
from webhook.subscriptions import lookup_key

SECRET = "HOSTING_STRIPE_WEBHOOK_SECRETS"  # noqa: S105 - a variable's name


def stripe_client(endpoints: Endpoints, api_key: str) -> StripeClient:
    """Return a client of the simulated Stripe."""
    return StripeClient(api_key, base_addresses={"api": endpoints.stripe})


def ensure_account(client: StripeClient, webhook_url: str, previous: Mapping[str, str]) -> str:
    """Make prices and the endpoint unless they are there; return the endpoint's secret."""
    _prices(client)
    there = [each for each in client.v1.webhook_endpoints.list().auto_paging_iter() if each.url == webhook_url]
    if there and previous.get(SECRET):
        return previous[SECRET]
    for each in there:  # its secret was told once and is lost
        client.v1.webhook_endpoints.delete(each.id)
    made = client.v1.webhook_endpoints.create({"url": webhook_url, "enabled_events": ["*"]})
    return str(made.secret)


def _prices(client: StripeClient) -> None:
    known = {price.lookup_key for price in client.v1.prices.list({"limit": 100}).auto_paging_iter()}
    for plan in PLANS.values():
        wanted = {"month": plan.monthly_cents, "year": plan.yearly_cents}
        missing = {
            interval: cents for interval, cents in wanted.items() if lookup_key(plan.name, interval) not in known
        }
        if not missing:
            continue
        product = client.v1.products.create({"name": f"MarkItUp {plan.name}", "metadata": {"plan": plan.name}})
        for interval, cents in missing.items():
            client.v1.prices.create(
                {
                    "product": product.id,
                    "currency": "usd",
                    "unit_amount": cents,
                    "recurring": {"interval": "month" if interval == "month" else "year"},
                    "lookup_key": lookup_key(plan.name, interval),
                    "metadata": {"plan": plan.name},
                }
            )
