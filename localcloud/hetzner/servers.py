"""Servers: ordered, shown, renamed, deleted."""

from __future__ import annotations

import secrets
from typing import ClassVar

from localcloud.hetzner.placement_groups import require_room
from localcloud.hetzner.primary_ips import addresses_of, new_address
from localcloud.hetzner.private_nets import PrivateNets
from localcloud.hetzner.resource import Answer, Call, Command, Resource
from localcloud.hetzner.server_actions import ServerActions
from localcloud.hetzner.server_order import Order, read_order
from localcloud.hetzner.server_view import server_view
from localcloud.store import Thing


class Servers(Resource):
    """``/servers``."""

    kind = "server"
    filters: ClassVar = ("name", "status")

    def commands(self) -> dict[str, Command]:
        """Return the actions of a server."""
        return {
            **ServerActions(self.cloud).commands(),
            **PrivateNets(self.cloud).commands(),
            "change_protection": self.change_protection,
        }

    def create(self, call: Call) -> Answer:
        """Order a server: it is created, then started."""
        order = read_order(call.fields, self.cloud)
        self.require_unique("name", order.name)
        self.cloud.catalogue.require_offer(order.server_type, order.location)
        if order.placement_group is not None:
            require_room(self.cloud, order.placement_group)
        server = self._server(order)
        self._give_addresses(server, order)
        creating = self.cloud.start("create_server", ("server", server["id"]))
        actions = [creating]
        server["phases"] = [{"until": creating["ends"], "status": "initializing"}]
        if order.start:
            starting = self.cloud.start("start_server", ("server", server["id"]), after=creating["ends"])
            server["phases"].append({"until": starting["ends"], "status": "starting"})
            actions.append(starting)
        server["busy_until"] = actions[-1]["ends"]
        self.cloud.save(self.kind, server)
        for network in order.networks:
            PrivateNets(self.cloud).join(server, network)
            actions.append(self.cloud.start("attach_to_network", ("server", server["id"]), ("network", network["id"])))
        views = [self.cloud.action_view(action) for action in actions]
        return 201, {
            "server": self.view(server),
            "action": views[0],
            "next_actions": views[1:],
            "root_password": None if order.ssh_keys else secrets.token_urlsafe(15),
        }

    def view(self, thing: Thing) -> Thing:
        """Return a server as the API shows it."""
        return server_view(self.cloud, thing)

    def delete(self, call: Call, key: int) -> Answer:
        """Delete a server; it is gone at once, unlike the action."""
        super().delete(call, key)
        action = self.cloud.start("delete_server", ("server", key))
        return 200, {"action": self.cloud.action_view(action)}

    def before_delete(self, thing: Thing) -> None:
        """Let go of the server's addresses."""
        self.cloud.require_idle(self.kind, thing)
        for address in addresses_of(self.cloud, thing["id"]).values():
            if address["auto_delete"]:
                self.cloud.remove("primary_ip", address["id"])
            else:
                self.cloud.save("primary_ip", {**address, "assignee_id": None})

    def change_protection(self, call: Call, thing: Thing) -> Answer:
        """Protect a server from deletion and rebuilding: from both or none."""
        fields = call.fields
        if fields.flag("delete") is not fields.flag("rebuild"):
            fields.problem("rebuild", "Must have the same value as delete.")
        fields.check()
        return super().change_protection(call, thing)

    def _server(self, order: Order) -> Thing:
        return {
            "id": self.cloud.new_id(),
            "name": order.name,
            "status": "running" if order.start else "off",
            "phases": [],
            "busy_until": 0,
            "created": self.cloud.now(),
            "server_type": order.server_type["name"],
            "primary_disk_size": order.server_type["disk"],
            "image": order.image["id"],
            "location": order.location,
            "firewalls": order.firewalls,
            "private_net": [],
            "placement_group": order.placement_group,
            "protection": {"delete": False, "rebuild": False},
            "labels": order.labels,
            "ssh_keys": order.ssh_keys,
            "user_data": order.user_data,
        }

    def _give_addresses(self, server: Thing, order: Order) -> None:
        for kind, address in order.addresses.items():
            chosen = address or new_address(self.cloud, kind, order.location, auto_delete=True)
            self.cloud.save("primary_ip", {**chosen, "assignee_id": server["id"]})
