"""What a visitor orders: read from a form, with each problem beside its field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Self

from registry.cells import Cell
from registry.errors import PlacementError
from registry.names import subdomain_problem
from registry.placement import place
from registry.plans import PLANS
from webhook.registry_view import RegistryView

INTERVALS = ("month", "year")
DEFAULT_PLAN = "team"
LONGEST_ADDRESS = 254
"""Characters of an e-mail address: RFC 5321 has 256 with its brackets."""
ADDRESS = re.compile(r"[^@\s<>\"',;:\\]+@[^@\s<>\"',;:\\]+\.[^@\s<>\"',;:\\]+")

TAKEN = "is taken. Try another name."
BEING_BOUGHT = "is being bought by somebody else right now. Try another name, or this one again in half an hour."
FULL = (
    "is sold out for the moment: our servers are full, and we are adding more. Nothing was charged."
    " Try a smaller plan, or come back in a day or two."
)


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a visitor asks for.

    Attributes:
        plan: Of the plans' names.
        interval: month or year.
        subdomain: First label of the address.
        email: Where Stripe and we write to. Never logged, and not in our database before it is a customer's.
        region: Where the wiki shall be; empty for wherever there is room.
    """

    plan: str = DEFAULT_PLAN
    interval: str = "month"
    subdomain: str = ""
    email: str = field(default="", repr=False)
    region: str = ""

    @classmethod
    def read(cls, fields: Mapping[str, str], *, domain: str, email: str = "") -> Self:
        """Return the order that a form or a query has; what it leaves away has its default.

        Args:
            fields: Of the form or the query.
            domain: Below which names are; some type it along.
            email: Address where the fields have none.
        """
        name = fields.get("subdomain", "").strip().lower().removesuffix(f".{domain}")
        return cls(
            plan=fields.get("plan", DEFAULT_PLAN),
            interval=fields.get("interval", "month"),
            subdomain=name[:100],
            email=fields.get("email", email).strip()[:1000],
            region=fields.get("region", ""),
        )


@dataclass(frozen=True, kw_only=True)
class Shop:
    """What can be ordered now.

    Attributes:
        view: The registry.
        cells: The environment's.
    """

    view: RegistryView
    cells: Mapping[str, Cell]

    @property
    def regions(self) -> tuple[str, ...]:
        """Regions that a visitor can choose from; none where there is no choice."""
        found = dict.fromkeys(cell.region for cell in self.cells.values())
        return tuple(found) if len(found) > 1 else ()

    def problems(self, order: Order, *, today: date) -> dict[str, str]:
        """Return field to what is wrong with it; empty where all is well."""
        found = {
            "plan": None if order.plan in PLANS else "Choose one of the plans.",
            "interval": None if order.interval in INTERVALS else "Choose monthly or yearly.",
            "subdomain": self.name_problem(order.subdomain, today=today),
            "email": _address_problem(order.email),
            "region": None if order.region in {"", *self.regions} else "Choose one of the regions.",
        }
        if not found["plan"] and not found["region"]:
            found["plan"] = self.room_problem(order)
        return {name: problem for name, problem in found.items() if problem}

    def name_problem(self, name: str, *, today: date) -> str | None:
        """Return why nobody can have a name now, or None; whether somebody is about to buy it is not looked at."""
        if not name:
            return "Choose a name: it becomes the address of your wiki."
        problem = subdomain_problem(name)
        if problem is not None:
            return re.sub(r"`([^`]*)`", r"“\1”", problem) + "."
        snapshot = self.view.snapshot()
        until = snapshot.registry.quarantine.get(name)
        if name in snapshot.by_subdomain or (until is not None and until >= today):
            return f"“{name}” {TAKEN}"
        return None

    def room_problem(self, order: Order) -> str | None:
        """Return why no server can take the order, or None."""
        try:
            place(
                plan=order.plan,
                region=order.region or None,
                registry=self.view.snapshot().registry,
                cells=self.cells,
            )
        except PlacementError:
            return f"The plan {order.plan} {FULL}"
        return None


def _address_problem(email: str) -> str | None:
    if not email:
        return "Tell us where to write to when your wiki is ready."
    if len(email) > LONGEST_ADDRESS or ADDRESS.fullmatch(email) is None:
        return "This is no e-mail address. Check it for typing errors."
    return None
