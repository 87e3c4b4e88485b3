"""``/v1/billing_portal``: what customers may do themselves, and their way in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from localcloud.store import Thing
from localcloud.stripe_api.account import Account
from localcloud.stripe_api.errors import invalid
from localcloud.stripe_api.resource import Call, Resource

_FEATURES: Mapping[str, Any] = {
    "customer_update": {"allowed_updates": [], "enabled": False},
    "invoice_history": {"enabled": False},
    "payment_method_update": {"enabled": False, "payment_method_configuration": None},
    "subscription_cancel": {
        "cancellation_reason": {"enabled": False, "options": []},
        "enabled": False,
        "mode": "at_period_end",
        "proration_behavior": "none",
    },
    "subscription_pause": {"duration": {"interval_options": [], "type": "indefinite"}, "enabled": False},
    "subscription_update": {
        "billing_cycle_anchor": None,
        "default_allowed_updates": [],
        "enabled": False,
        "products": [],
        "proration_behavior": "none",
        "schedule_at_period_end": {"conditions": []},
        "trial_update_behavior": "end_trial",
    },
}
"""What a configuration says of what it wasn't told of."""


class Configurations(Resource):
    """``/v1/billing_portal/configurations``."""

    kind = "billing_portal.configuration"
    path = "billing_portal/configurations"
    params = "billing_portal.Configuration"
    prefix = "bpc_1"
    filters = ("active", "is_default")

    def make(self, params: Thing) -> Thing:
        """Return a configuration's fields; the first one is the default."""
        profile = {"headline": None, "privacy_policy_url": None, "terms_of_service_url": None}
        return {
            "active": True,
            "application": None,
            "default_return_url": None,
            "is_default": not self.account.all(self.kind),
            "login_page": {"enabled": False, "url": None},
            "name": None,
            "updated": self.account.now(),
            **params,
            "business_profile": {**profile, **(params.get("business_profile") or {})},
            "features": self._features(_FEATURES, params["features"]),
            "metadata": params.get("metadata") or {},
        }

    def apply(self, thing: Thing, params: Thing) -> None:
        """Change a configuration; features that aren't named stay."""
        if "features" in params:
            thing["features"] = self._features(thing["features"], params.pop("features"))
        profile = params.pop("business_profile", {})
        thing["business_profile"].update(profile)
        thing.update(params)
        thing["updated"] = self.account.now()

    def _features(self, before: Mapping[str, Any], wish: Thing) -> Thing:
        features = {name: {**before.get(name, {}), **wish.get(name, {})} for name in {**before, **wish}}
        update = features["subscription_update"]
        for number, product in enumerate(update["products"] or []):
            where = f"features[subscription_update][products][{number}]"
            self.account.need("product", product["product"], f"{where}[product]")
            intervals: set[tuple[str, int]] = set()
            for key in product["prices"]:
                price = self.account.need("price", key, f"{where}[prices]")
                recurring = price["recurring"]
                span = (recurring["interval"], recurring["interval_count"])
                if price["product"] != product["product"]:
                    raise invalid(f"The price {key} is not of the product {product['product']}.", f"{where}[prices]")
                if span in intervals:
                    raise invalid("Prices of one product must have unique billing intervals.", f"{where}[prices]")
                intervals.add(span)
        if update["enabled"] and not (update["products"] and update["default_allowed_updates"]):
            message = "`products` and `default_allowed_updates` are required when subscription_update is enabled."
            raise invalid(message, "features[subscription_update][products]")
        return features


class PortalSessions(Resource):
    """``/v1/billing_portal/sessions``."""

    kind = "billing_portal.session"
    path = "billing_portal/sessions"
    params = "billing_portal.Session"
    prefix = "bps_1"
    verbs: ClassVar[frozenset[str]] = frozenset({"create"})

    def create(self, call: Call) -> Thing:
        """Let a customer in."""
        params = call.params
        if "customer" not in params:
            raise invalid("Missing required param: customer.", "customer", "parameter_missing")
        self.account.need("customer", params["customer"], "customer")
        configuration = self._configuration(params.get("configuration"))
        session = self.account.new(self.kind, self.prefix, customer=params["customer"])
        session.update(
            configuration=configuration["id"],
            flow=params.get("flow_data"),
            locale=params.get("locale"),
            on_behalf_of=None,
            return_url=params.get("return_url") or configuration["default_return_url"],
            url=f"{call.base}/portal/{session['id']}",
        )
        return self.account.add(session, "billing_portal.session.created")

    def _configuration(self, key: str | None) -> Thing:
        if key:
            return self.account.need("billing_portal.configuration", key, "configuration")
        default = default_configuration(self.account)
        if default is None:
            raise invalid(
                "No configuration provided and your test mode default configuration has not been created. Provide a "
                "configuration or create your default by saving your customer portal settings in test mode."
            )
        return default


def default_configuration(account: Account) -> Thing | None:
    """Return the configuration that sessions have unless told."""
    return next((each for each in account.all("billing_portal.configuration") if each["is_default"]), None)
