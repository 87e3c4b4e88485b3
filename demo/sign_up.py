"""Signs one customer up through Stripe: paid on its page, provisioned by its signed event."""

from __future__ import annotations

import time
from http import HTTPStatus

import httpx
from stripe import StripeClient

from demo.say import say
from registry.customers import Status
from registry.errors import RegistryError
from registry.ids import new_customer_id
from scripts.context import Context
from webhook.subscriptions import lookup_key

SUBDOMAIN = "glade"
PLAN = "personal"
SECONDS = 120.0


class SignUpError(Exception):
    """The paid customer got no instance in time; the message says where to look."""


def sign_up_once(client: StripeClient, context: Context) -> None:
    """Sign a customer up unless that was done at an earlier run.

    Raises:
        SignUpError: there is no answering instance in time.
    """
    if any(entry.subdomain == SUBDOMAIN for entry in context.store().read().customers.values()):
        return
    say(f"signing {SUBDOMAIN} up through Stripe: checkout, payment, signed event")
    customer_id = new_customer_id()
    _pay(client, customer_id)
    start = time.monotonic()
    while time.monotonic() - start < SECONDS:
        try:
            entry = context.store().read().customers.get(customer_id)
        except RegistryError:
            entry = None
        if entry is not None and entry.status is Status.ACTIVE:
            answer = context.probe().wait(context.settings.url_of(entry), seconds=30)
            if answer.healthy:
                seconds = time.monotonic() - start
                say(f"[green]{context.settings.url_of(entry)} answers {seconds:.1f} s after the payment[/green]")
                return
        time.sleep(0.2)
    raise SignUpError(
        f"{SUBDOMAIN} paid and has no answering instance after {SECONDS:.0f} s. Look into .local/demo/logs/worker.log"
    )


def _pay(client: StripeClient, customer_id: str) -> None:
    (price,) = client.v1.prices.list({"lookup_keys": [lookup_key(PLAN, "month")]}).data
    metadata = {"customer_id": customer_id, "subdomain": SUBDOMAIN}
    session = client.v1.checkout.sessions.create(
        {
            "mode": "subscription",
            "line_items": [{"price": price.id, "quantity": 1}],
            "customer_email": "glade@example.org",
            "success_url": "https://portal.markitup.localhost/welcome",
            "cancel_url": "https://portal.markitup.localhost/pricing",
            "metadata": metadata,
            "subscription_data": {"metadata": metadata},
        }
    )
    page = httpx.post(str(session.url), data={"action": "pay", "name": "Gil Glade"}, timeout=30)
    if page.status_code != HTTPStatus.SEE_OTHER:
        raise SignUpError(f"the simulated Stripe's page answered {page.status_code}:\n{page.text[:500]}")
