"""Products and prices."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from localcloud.store import Thing
from localcloud.stripe_api.errors import invalid
from localcloud.stripe_api.resource import Resource, blank


class Products(Resource):
    """``/v1/products``."""

    kind = "product"
    path = "products"
    params = "Product"
    prefix = "prod_"
    filters = ("active",)
    verbs: ClassVar[frozenset[str]] = frozenset({"create", "retrieve", "update", "list", "delete"})

    def make(self, params: Thing) -> Thing:
        """Return a product's fields; its id may be given."""
        if "default_price_data" in params:
            raise invalid("This simulated Stripe makes prices of their own only.", "default_price_data")
        if "id" in params and self.account.find("product", params["id"]):
            raise invalid("Product already exists.", "id", "resource_already_exists")
        return {
            "active": True,
            **blank("default_price description package_dimensions shippable statement_descriptor tax_code"),
            **blank("unit_label url"),
            "images": [],
            "marketing_features": [],
            "type": "service",
            "updated": self.account.now(),
            **params,
            "metadata": params.get("metadata") or {},
        }

    def apply(self, thing: Thing, params: Thing) -> None:
        """Change a product."""
        if params.get("default_price"):
            self.account.need("price", params["default_price"], "default_price")
        thing.update({name: [] if value is None and name == "images" else value for name, value in params.items()})
        if thing.get("marketing_features") is None:
            thing["marketing_features"] = []

    def before_delete(self, thing: Thing) -> None:
        """Refuse to delete a product that has prices."""
        if any(each["product"] == thing["id"] for each in self.account.all("price")):
            raise invalid("This product cannot be deleted because it has one or more user-created prices.", "id")

    def choose(self, thing: Thing, params: Thing) -> bool:
        """Return whether the list wants a product."""
        return super().choose(thing, params) and thing["id"] in (params.get("ids") or [thing["id"]])


class Prices(Resource):
    """``/v1/prices``: their amounts never change."""

    kind = "price"
    path = "prices"
    params = "Price"
    prefix = "price_1"
    filters = ("active", "currency", "product", "type")

    def make(self, params: Thing) -> Thing:
        """Return a price's fields."""
        if "product" not in params:
            raise invalid("You must specify `product`.", "product", "parameter_missing")
        self.account.need("product", params["product"], "product")
        amount = params.get("unit_amount", params.get("unit_amount_decimal"))
        if amount is None:
            raise invalid("Either `unit_amount` or `unit_amount_decimal` is required.", "unit_amount")
        if Decimal(amount) < 0:
            raise invalid("This value must be greater than or equal to 0.", "unit_amount")
        recurring = params.get("recurring")
        transfer = params.get("transfer_lookup_key", False)
        self._claim(params.get("lookup_key"), transfer=transfer)
        kept = {name: value for name, value in params.items() if name not in {"transfer_lookup_key", "recurring"}}
        return {
            "active": True,
            "billing_scheme": "per_unit",
            **blank("custom_unit_amount lookup_key nickname tiers_mode transform_quantity"),
            "tax_behavior": "unspecified",
            "type": "recurring" if recurring else "one_time",
            "recurring": _recurring(recurring) if recurring else None,
            **kept,
            "unit_amount": int(Decimal(amount)),
            "unit_amount_decimal": str(amount),
            "metadata": params.get("metadata") or {},
        }

    def apply(self, thing: Thing, params: Thing) -> None:
        """Change a price's name, lookup key or activity."""
        transfer = params.pop("transfer_lookup_key", False)
        key = params.get("lookup_key")
        if key and key != thing["lookup_key"]:
            self._claim(key, transfer=transfer)
        thing.update(params)

    def choose(self, thing: Thing, params: Thing) -> bool:
        """Return whether the list wants a price."""
        params = dict(params)
        keys = params.get("lookup_keys")
        recurring = params.get("recurring") or {}
        wanted = (thing["recurring"] or {}).items() >= recurring.items()
        return super().choose(thing, params) and wanted and (keys is None or thing["lookup_key"] in keys)

    def _claim(self, key: str | None, *, transfer: bool) -> None:
        holder = next((each for each in self.account.all("price") if key and each["lookup_key"] == key), None)
        if holder is None:
            return
        if not transfer:
            raise invalid(
                f"A price (`{holder['id']}`) already uses that lookup key. "
                "Set `transfer_lookup_key` to true to move it to this price.",
                "lookup_key",
            )
        holder["lookup_key"] = None
        self.account.change(holder, "price.updated")


def _recurring(given: Thing) -> Thing:
    if given.get("interval_count", 1) < 1:
        raise invalid("This value must be greater than or equal to 1.", "recurring[interval_count]")
    return {"interval_count": 1, "meter": None, "trial_period_days": None, "usage_type": "licensed", **given}
