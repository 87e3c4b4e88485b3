"""Webhook endpoints and the events that they get."""

from __future__ import annotations

from typing import ClassVar

from localcloud.store import Thing
from localcloud.stripe_api.errors import invalid
from localcloud.stripe_api.resource import Call, Resource

MOST = 16
"""Endpoints of one account: https://docs.stripe.com/webhooks."""


class WebhookEndpoints(Resource):
    """``/v1/webhook_endpoints``."""

    kind = "webhook_endpoint"
    path = "webhook_endpoints"
    params = "WebhookEndpoint"
    prefix = "we_1"
    verbs: ClassVar[frozenset[str]] = frozenset({"create", "retrieve", "update", "list", "delete"})
    announce = False

    def make(self, params: Thing) -> Thing:
        """Return an endpoint's fields."""
        _check_url(params["url"])
        if len(self.account.all(self.kind)) >= MOST:
            raise invalid(f"You have reached the maximum of {MOST} test webhook endpoints.")
        if params.pop("connect", False):
            raise invalid("This simulated Stripe has no Connect.", "connect")
        return {
            "api_version": None,
            "application": None,
            "description": None,
            "status": "enabled",
            **params,
            "metadata": params.get("metadata") or {},
            "_secret": self.account.new_id("whsec_", 32),
        }

    def create(self, call: Call) -> Thing:
        """Create an endpoint; only this answer has its secret."""
        thing = super().create(call)
        return {**thing, "secret": thing["_secret"]}

    def apply(self, thing: Thing, params: Thing) -> None:
        """Change an endpoint."""
        _check_url(params.get("url", thing["url"]))
        if "disabled" in params:
            thing["status"] = "disabled" if params.pop("disabled") else "enabled"
        thing.update(params)


class Events(Resource):
    """``/v1/events``."""

    kind = "event"
    path = "events"
    params = "Event"
    prefix = "evt_1"
    filters = ("type",)
    verbs: ClassVar[frozenset[str]] = frozenset({"retrieve", "list"})

    def choose(self, thing: Thing, params: Thing) -> bool:
        """Return whether the list wants an event; ``types`` may end in a star."""
        if "delivery_success" in params and params["delivery_success"] != (thing["pending_webhooks"] == 0):
            return False
        kinds = params.get("types")
        named = kinds is None or any(
            thing["type"] == kind or (kind.endswith(".*") and thing["type"].startswith(kind[:-1])) for kind in kinds
        )
        return named and super().choose(thing, params)


def _check_url(url: str) -> None:
    if not url.startswith(("http://", "https://")):
        raise invalid("Invalid URL: An explicit scheme (such as https) must be provided.", "url", "url_invalid")
