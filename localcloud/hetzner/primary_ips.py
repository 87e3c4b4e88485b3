"""Primary IPs: public addresses that may outlive their server."""

from __future__ import annotations

from typing import ClassVar

from localcloud.hetzner.addresses import free_ipv4, free_ipv6, reverse_name
from localcloud.hetzner.cloud import Cloud
from localcloud.hetzner.errors import ApiError
from localcloud.hetzner.fields import MISSING, Fields
from localcloud.hetzner.resource import Answer, Call, Command, Resource
from localcloud.hetzner.reverse_dns import change_dns_ptr
from localcloud.store import Thing

TYPES = ("ipv4", "ipv6")


class PrimaryIps(Resource):
    """``/primary_ips``."""

    kind = "primary_ip"
    filters: ClassVar = ("name", "ip")

    @property
    def title(self) -> str:
        """The kind in messages."""
        return "Primary IP"

    def commands(self) -> dict[str, Command]:
        """Return the actions of an address."""
        return {
            "assign": self.assign,
            "unassign": self.unassign,
            "change_protection": self.change_protection,
            "change_dns_ptr": self.change_dns_ptr,
        }

    def create(self, call: Call) -> Answer:
        """Reserve an address, at a location or for a server."""
        fields = call.fields
        name = fields.name(required=True)
        kind = fields.text("type", required=True, choices=TYPES)
        labels = fields.labels()
        auto_delete = fields.flag("auto_delete") or False
        assignee = fields.number("assignee_id")
        fields.text("assignee_type", required=assignee is not None, choices={"server"})
        server = None if assignee is None else self.cloud.find("server", assignee)
        if assignee is not None and server is None:
            fields.problem("assignee_id", f"server with ID '{assignee}' not found")
        location = self._location(fields, server)
        fields.check()
        self.require_unique("name", str(name))
        if server is not None:
            self._require_assignable(str(kind), server)
        address = new_address(self.cloud, str(kind), location, name=str(name), auto_delete=auto_delete)
        address["labels"] = labels or {}
        action = None
        if server is not None:
            address["assignee_id"] = server["id"]
            action = self.cloud.action_view(self._assigning("assign_primary_ip", address, server["id"]))
        self.cloud.save(self.kind, address)
        return 201, {"primary_ip": self.view(address), "action": action}

    def view(self, thing: Thing) -> Thing:
        """Return an address with where it is."""
        shown = super().view(thing)
        shown["location"] = self.cloud.catalogue.location(thing["location"])
        shown["datacenter"] = self.cloud.catalogue.datacenter_at(thing["location"])
        return shown

    def change(self, fields: Fields, thing: Thing) -> None:
        """Change whether the address goes with its server."""
        auto_delete = fields.flag("auto_delete")
        if auto_delete is not None:
            thing["auto_delete"] = auto_delete

    def before_delete(self, thing: Thing) -> None:
        """Take the address from a stopped server; refuse for one that runs."""
        if thing["assignee_id"] is not None:
            self._require_stopped(self.cloud.need("server", thing["assignee_id"]))

    def assign(self, call: Call, thing: Thing) -> Answer:
        """Give the address to a stopped server."""
        fields = call.fields
        assignee = fields.number("assignee_id", required=True)
        fields.text("assignee_type", required=True, choices={"server"})
        server = None if assignee is None else self.cloud.find("server", assignee)
        if assignee is not None and server is None:
            fields.problem("assignee_id", f"server with ID '{assignee}' not found")
        fields.check()
        if server is None or thing["assignee_id"] is not None:
            raise ApiError("primary_ip_already_assigned", "primary ip is already assigned to a different server")
        if thing["location"] != server["location"]:
            raise ApiError("primary_ip_datacenter_mismatch", "primary ip is in a different location than the server")
        self._require_assignable(thing["type"], server)
        thing["assignee_id"] = server["id"]
        action = self._assigning("assign_primary_ip", thing, server["id"])
        self.cloud.save(self.kind, thing)
        return 201, {"action": self.cloud.action_view(action)}

    def unassign(self, call: Call, thing: Thing) -> Answer:  # noqa: ARG002 - all commands are called alike
        """Take the address from a stopped server."""
        if thing["assignee_id"] is None:
            raise ApiError("primary_ip_not_assigned", "primary ip is not assigned")
        server = self.cloud.need("server", thing["assignee_id"])
        self._require_stopped(server)
        thing["assignee_id"] = None
        action = self._assigning("unassign_primary_ip", thing, server["id"])
        self.cloud.save(self.kind, thing)
        return 201, {"action": self.cloud.action_view(action)}

    def change_dns_ptr(self, call: Call, thing: Thing) -> Answer:
        """Set the name that the address resolves to, or reset it."""
        change_dns_ptr(call.fields, thing)
        self.cloud.save(self.kind, thing)
        return self.started("change_dns_ptr", thing)

    def _location(self, fields: Fields, server: Thing | None) -> str:
        location = fields.reference("location")
        datacenter = fields.reference("datacenter")
        found = None
        if location is not None and (found := self.cloud.catalogue.location(location)) is None:
            fields.problem("location", f"location '{location}' not found")
        if datacenter is not None:
            where = self.cloud.catalogue.datacenter(datacenter)
            found = where["location"] if where else found
            if where is None:
                fields.problem("datacenter", f"datacenter '{datacenter}' not found")
        if server is not None:
            return str(server["location"])
        if location is None and datacenter is None and not fields.has("assignee_id"):
            fields.problem("location", MISSING)
        return str(found["name"]) if found else ""

    def _require_assignable(self, kind: str, server: Thing) -> None:
        self._require_stopped(server)
        if kind in addresses_of(self.cloud, server["id"]):
            raise ApiError(f"server_has_{kind}", f"server already has an {kind} address")

    def _require_stopped(self, server: Thing) -> None:
        self.cloud.require_idle("server", server)
        if server["status"] != "off":
            raise ApiError("server_not_stopped", "server must be powered off")

    def _assigning(self, command: str, thing: Thing, server: int) -> Thing:
        return self.cloud.start(command, (self.kind, thing["id"]), ("server", server))


def new_address(cloud: Cloud, kind: str, location: str, *, name: str | None = None, auto_delete: bool) -> Thing:
    """Return a new address, not saved yet."""
    key = cloud.new_id()
    ip = free_ipv4(cloud) if kind == "ipv4" else free_ipv6(cloud)
    return {
        "id": key,
        "name": name or f"primary_ip-{key}",
        "type": kind,
        "ip": ip,
        "dns_ptr": [{"ip": ip, "dns_ptr": reverse_name(ip)}] if kind == "ipv4" else [],
        "location": location,
        "assignee_id": None,
        "assignee_type": "server",
        "auto_delete": auto_delete,
        "blocked": False,
        "created": cloud.now(),
        "labels": {},
        "protection": {"delete": False},
    }


def addresses_of(cloud: Cloud, server: int) -> dict[str, Thing]:
    """Return a server's addresses by type."""
    return {address["type"]: address for address in cloud.all("primary_ip") if address["assignee_id"] == server}
