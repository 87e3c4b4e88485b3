"""The demo's account at the simulated Stripe: made by what `hosting stripe sync` is made of."""

from __future__ import annotations

from collections.abc import Mapping

from stripe import StripeClient

from demo.say import say
from localcloud.serve import Endpoints
from webhook.stripe_catalogue import ENDPOINTS, LAUNCH_CODE, wanted
from webhook.stripe_differences import differences, ours
from webhook.stripe_sync import apply, read_account

SECRET = "HOSTING_STRIPE_WEBHOOK_SECRETS"  # noqa: S105 - a variable's name


class AccountError(Exception):
    """The account has something that is in the way; the message says what to do."""


def stripe_client(endpoints: Endpoints, api_key: str) -> StripeClient:
    """Return a client of the simulated Stripe."""
    return StripeClient(api_key, base_addresses={"api": endpoints.stripe})


def ensure_account(client: StripeClient, *, webhook_url: str, portal_url: str, previous: Mapping[str, str]) -> str:
    """Make the account as the plans say; return the endpoint's secret.

    Raises:
        AccountError: somebody made something by hand that is in the way.
    """
    state = read_account(client)
    if not previous.get(SECRET):
        for each in ours(state[ENDPOINTS]):  # its secret was told once and is lost
            client.v1.webhook_endpoints.delete(each["id"])
        state = {**state, ENDPOINTS: [each for each in state[ENDPOINTS] if each not in ours(state[ENDPOINTS])]}
    found = differences(state, wanted(webhook_url=webhook_url, portal_url=portal_url, launch_code=LAUNCH_CODE))
    if found.conflicts:
        raise AccountError("\n".join([*found.conflicts, "Or begin anew: `make down`, then `make demo`."]))
    if found.changes:
        say(f"Stripe: making {len(found.changes)} of products, prices, launch offer, portal and webhook endpoint")
    return apply(client, found.changes, lambda _: None) or previous[SECRET]
