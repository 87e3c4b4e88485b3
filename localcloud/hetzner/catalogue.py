"""What can be ordered, in the shapes of the API: server types, locations, datacenters, images, prices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from localcloud.hetzner.errors import ApiError
from localcloud.hetzner.prices import pricing, server_price
from localcloud.store import Store, Thing

SOLD_OUT = "hetzner/sold_out"
"""Kind of things in the store, ``{"server_type", "location"}``: what can't be had now, beyond ``catalogue.yaml``."""


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """The catalogue of a moment.

    Attributes:
        store: Where it is noted what is sold out.
        clock: Seconds since 1970.
        raw: ``catalogue.yaml``.
    """

    store: Store
    clock: Callable[[], float]
    raw: Mapping[str, Any]

    @classmethod
    def load(cls, store: Store, clock: Callable[[], float]) -> Catalogue:
        """Return the catalogue of ``catalogue.yaml``."""
        text = Path(__file__).with_name("catalogue.yaml").read_text(encoding="utf-8")
        return cls(store=store, clock=clock, raw=yaml.safe_load(text))

    @cached_property
    def locations(self) -> list[Thing]:
        """All locations."""
        return [{k: v for k, v in location.items() if k != "datacenter"} for location in self.raw["locations"]]

    @property
    def server_types(self) -> list[Thing]:
        """All server types, with where they can be had right now."""
        sold_out = {(each["server_type"], each["location"]) for each in self.store.all(SOLD_OUT)}
        return [self._server_type(raw, sold_out) for raw in self.raw["server_types"]]

    @property
    def datacenters(self) -> list[Thing]:
        """All datacenters: one a location."""
        types = self.server_types
        return [self._datacenter(raw, types) for raw in self.raw["locations"]]

    @cached_property
    def images(self) -> list[Thing]:
        """All system images."""
        return [_image(raw) for raw in self.raw["images"]]

    @property
    def pricing(self) -> Thing:
        """The answer of ``/pricing``."""
        return pricing(self.raw, self.server_types)

    def location(self, reference: int | str) -> Thing | None:
        """Return a location by id or name."""
        return find(self.locations, reference)

    def datacenter(self, reference: int | str) -> Thing | None:
        """Return a datacenter by id or name."""
        return find(self.datacenters, reference)

    def datacenter_at(self, location: str) -> Thing:
        """Return the datacenter of a location."""
        return next(each for each in self.datacenters if each["location"]["name"] == location)

    def server_type(self, reference: int | str) -> Thing | None:
        """Return a server type by id or name."""
        return find(self.server_types, reference)

    def image(self, reference: int | str, architecture: str | None = None) -> Thing | None:
        """Return an image by id or name; one name may stand for one image an architecture."""
        return find([each for each in self.images if architecture in {None, each["architecture"]}], reference)

    def require_offer(self, server_type: Thing, location: str) -> None:
        """Raise ApiError unless a server of this type can be ordered at a location."""
        offer = find(server_type["locations"], location)
        if offer is None or self.has_left(offer):
            raise ApiError("invalid_input", "unsupported location for server type")
        if not offer["available"]:
            raise ApiError("resource_unavailable", "error during placement")

    def has_left(self, offer: Thing) -> bool:
        """Return whether a type can no longer be ordered at a location."""
        if offer["deprecation"] is None:
            return False
        return datetime.fromisoformat(offer["deprecation"]["unavailable_after"]) <= datetime.fromtimestamp(
            self.clock(), UTC
        )

    def _server_type(self, raw: Thing, sold_out: set[tuple[str, str]]) -> Thing:
        return {
            "id": raw["id"],
            "name": raw["name"],
            "description": raw["name"].upper(),
            "category": raw["category"],
            "cores": raw["cores"],
            "memory": raw["memory"],
            "disk": raw["disk"],
            "storage_type": "local",
            "cpu_type": "shared",
            "architecture": raw.get("architecture", "x86"),
            "included_traffic": None,
            "deprecated": False,
            "deprecation": None,
            "prices": [server_price(self.raw, location, net) for location, net in raw["prices"].items()],
            "locations": [self._offer(raw, name, sold_out) for name in raw["prices"]],
        }

    def _offer(self, raw: Thing, location: str, sold_out: set[tuple[str, str]]) -> Thing:
        left = location in raw.get("left", ())
        gone = location in raw.get("sold_out", ()) or (raw["name"], location) in sold_out
        return {
            "id": next(each["id"] for each in self.locations if each["name"] == location),
            "name": location,
            "deprecation": self.raw["left_the_catalogue"] if left else None,
            "available": not left and not gone,
            "recommended": not left and raw.get("recommended", False),
        }

    def _datacenter(self, raw: Thing, types: list[Thing]) -> Thing:
        offers = {each["id"]: find(each["locations"], raw["name"]) for each in types}
        available = [key for key, offer in offers.items() if offer is not None and offer["available"]]
        return {
            "id": raw["datacenter"]["id"],
            "name": raw["datacenter"]["name"],
            "description": f"{raw['city']} {raw['datacenter']['name'].split('-')[1].upper().replace('DC', 'DC ')}",
            "location": {key: value for key, value in raw.items() if key != "datacenter"},
            "server_types": {
                "supported": [key for key, offer in offers.items() if offer is not None],
                "available": available,
                "available_for_migration": available,
            },
        }


def find(things: list[Thing], reference: int | str) -> Thing | None:
    """Return the first thing with this id or name."""
    return next((thing for thing in things if reference in {thing["id"], thing["name"]}), None)


def _image(raw: Thing) -> Thing:
    deprecated = raw.get("deprecated")
    return {
        "id": raw["id"],
        "name": raw["name"],
        "type": "system",
        "status": "available",
        "description": raw["description"],
        "image_size": None,
        "disk_size": 5,
        "created": raw["created"],
        "created_from": None,
        "bound_to": None,
        "os_flavor": raw["flavor"],
        "os_version": raw["version"],
        "architecture": raw.get("architecture", "x86"),
        "rapid_deploy": True,
        "protection": {"delete": False},
        "deprecated": deprecated,
        "deprecation": {"announced": raw["created"], "unavailable_after": deprecated} if deprecated else None,
        "deleted": None,
        "labels": {},
    }
