"""Placement groups: they spread servers over hosts."""

from __future__ import annotations

from typing import ClassVar

from localcloud.hetzner.cloud import Cloud
from localcloud.hetzner.errors import ApiError
from localcloud.hetzner.resource import Answer, Call, Resource
from localcloud.store import Thing

MOST_SERVERS = 10
"""So many servers fit in a group of type ``spread``."""


class PlacementGroups(Resource):
    """``/placement_groups``."""

    kind = "placement_group"
    filters: ClassVar = ("name", "type")
    has_actions = False

    def create(self, call: Call) -> Answer:
        """Create a group."""
        fields = call.fields
        name = fields.name(required=True)
        kind = fields.text("type", required=True, choices={"spread"})
        labels = fields.labels()
        fields.check()
        self.require_unique("name", str(name))
        group = {
            "id": self.cloud.new_id(),
            "name": name,
            "type": kind,
            "labels": labels or {},
            "created": self.cloud.now(),
        }
        self.cloud.save(self.kind, group)
        return 201, {"placement_group": self.view(group), "action": None}

    def view(self, thing: Thing) -> Thing:
        """Return a group with its servers."""
        return group_view(self.cloud, thing)

    def before_delete(self, thing: Thing) -> None:
        """Refuse to delete a group with servers in it."""
        if members(self.cloud, thing["id"]):
            raise ApiError("resource_in_use", "placement group is still in use")


def members(cloud: Cloud, group: int) -> list[int]:
    """Return the servers in a group."""
    return [server["id"] for server in cloud.all("server") if server["placement_group"] == group]


def require_room(cloud: Cloud, group: int) -> None:
    """Raise ApiError ``placement_error`` if a group is full."""
    if len(members(cloud, group)) >= MOST_SERVERS:
        raise ApiError("placement_error", f"placement group already has the maximum of {MOST_SERVERS} servers")


def group_view(cloud: Cloud, group: Thing) -> Thing:
    """Return a group as the API shows it."""
    return {**group, "servers": members(cloud, group["id"])}
