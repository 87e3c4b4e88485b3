"""Firewalls: their rules, and the servers they are in front of."""

from __future__ import annotations

from localcloud.hetzner.cloud import Cloud
from localcloud.hetzner.errors import ApiError
from localcloud.hetzner.fields import Fields
from localcloud.hetzner.firewall_rules import read_rules
from localcloud.hetzner.labels import selector
from localcloud.hetzner.primary_ips import addresses_of
from localcloud.hetzner.resource import Answer, Call, Command, Resource
from localcloud.store import Thing

Target = tuple[str, int | str]
"""``("server", id)`` or ``("label_selector", selector)``."""


class Firewalls(Resource):
    """``/firewalls``."""

    kind = "firewall"

    def commands(self) -> dict[str, Command]:
        """Return the actions of a firewall."""
        return {
            "set_rules": self.set_rules,
            "apply_to_resources": self.apply_to_resources,
            "remove_from_resources": self.remove_from_resources,
        }

    def create(self, call: Call) -> Answer:
        """Create a firewall, in front of servers already if wanted."""
        fields = call.fields
        name = fields.name(required=True)
        labels = fields.labels()
        rules = read_rules(fields)
        targets = self._targets(fields, "apply_to")
        fields.check()
        self.require_unique("name", str(name))
        firewall = {
            "id": self.cloud.new_id(),
            "name": name,
            "labels": labels or {},
            "created": self.cloud.now(),
            "rules": rules,
            "selectors": [],
        }
        self.cloud.save(self.kind, firewall)
        actions = [self._action("set_firewall_rules", firewall)] if rules else []
        actions += [self._apply(firewall, target) for target in targets]
        return 201, {"firewall": self.view(firewall), "actions": actions}

    def view(self, thing: Thing) -> Thing:
        """Return a firewall with what it is in front of."""
        servers = self.cloud.all("server")
        shown = {key: value for key, value in thing.items() if key != "selectors"}
        shown["applied_to"] = [
            {"type": "server", "server": {"id": server["id"]}}
            for server in servers
            if thing["id"] in server["firewalls"]
        ] + [
            {
                "type": "label_selector",
                "label_selector": {"selector": text},
                "applied_to_resources": [
                    {"type": "server", "server": {"id": server["id"]}}
                    for server in servers
                    if selector(text)(server["labels"])
                ],
            }
            for text in thing["selectors"]
        ]
        return shown

    def before_delete(self, thing: Thing) -> None:
        """Refuse to delete a firewall that is in front of something."""
        if self.view(thing)["applied_to"]:
            raise ApiError("resource_in_use", "firewall with ID '{}' is still in use".format(thing["id"]))

    def set_rules(self, call: Call, thing: Thing) -> Answer:
        """Replace all rules."""
        fields = call.fields
        rules = read_rules(fields, required=True)
        fields.check()
        thing["rules"] = rules
        self.cloud.save(self.kind, thing)
        servers = [each["server"]["id"] for each in self.view(thing)["applied_to"] if each["type"] == "server"]
        actions = [self._action("set_firewall_rules", thing)]
        actions += [self._action("apply_firewall", thing, server) for server in servers]
        return 201, {"actions": actions}

    def apply_to_resources(self, call: Call, thing: Thing) -> Answer:
        """Put a firewall in front of servers."""
        fields = call.fields
        targets = self._targets(fields, "apply_to", required=True)
        fields.check()
        return 201, {"actions": [self._apply(thing, target) for target in targets]}

    def remove_from_resources(self, call: Call, thing: Thing) -> Answer:
        """Take a firewall away from servers."""
        fields = call.fields
        targets = self._targets(fields, "remove_from", required=True)
        fields.check()
        return 201, {"actions": [self._remove(thing, target) for target in targets]}

    def _targets(self, fields: Fields, name: str, *, required: bool = False) -> list[Target]:
        targets: list[Target] = []
        for each in fields.objects(name, required=required):
            kind = each.text("type", required=True, choices={"server", "label_selector"})
            if kind == "server" and (key := each.object("server").number("id", required=True)) is not None:
                targets.append((kind, key))
            if kind == "label_selector" and (text := each.object("label_selector").text("selector", required=True)):
                selector(text)
                targets.append((kind, text))
        return targets

    def _apply(self, firewall: Thing, target: Target) -> Thing:
        kind, key = target
        if kind == "label_selector":
            if key in firewall["selectors"]:
                raise ApiError("firewall_already_applied", "firewall was already applied on resource")
            firewall["selectors"].append(key)
            self.cloud.save(self.kind, firewall)
            return self._action("apply_firewall", firewall)
        server = self._server(int(key))
        if firewall["id"] in server["firewalls"]:
            raise ApiError("firewall_already_applied", "firewall was already applied on resource")
        if not addresses_of(self.cloud, server["id"]):
            raise ApiError("private_net_only_server", "server has no public network interface")
        server["firewalls"].append(firewall["id"])
        self.cloud.save("server", server)
        return self._action("apply_firewall", firewall, server["id"])

    def _remove(self, firewall: Thing, target: Target) -> Thing:
        kind, key = target
        if kind == "label_selector":
            firewall["selectors"] = [text for text in firewall["selectors"] if text != key]
            self.cloud.save(self.kind, firewall)
            return self._action("remove_firewall", firewall)
        server = self._server(int(key))
        if firewall["id"] not in server["firewalls"] and firewall["id"] in firewalls_of(self.cloud, server):
            raise ApiError("firewall_managed_by_label_selector", "firewall is applied via a label selector")
        server["firewalls"] = [each for each in server["firewalls"] if each != firewall["id"]]
        self.cloud.save("server", server)
        return self._action("remove_firewall", firewall, server["id"])

    def _server(self, key: int) -> Thing:
        server = self.cloud.find("server", key)
        if server is None:
            raise ApiError("firewall_resource_not_found", f"server with ID '{key}' not found", status=404)
        return server

    def _action(self, command: str, firewall: Thing, server: int | None = None) -> Thing:
        others = [] if server is None else [("server", server)]
        return self.cloud.action_view(self.cloud.start(command, (self.kind, firewall["id"]), *others))


def firewalls_of(cloud: Cloud, server: Thing) -> list[int]:
    """Return the firewalls in front of a server, those by label selector too."""
    return [
        firewall["id"]
        for firewall in cloud.all("firewall")
        if firewall["id"] in server["firewalls"]
        or any(selector(text)(server["labels"]) for text in firewall["selectors"])
    ]
