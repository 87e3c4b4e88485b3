"""What can be done to a server: power, size, image, placement, reverse DNS."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from localcloud.hetzner.cloud import Cloud
from localcloud.hetzner.errors import ApiError, invalid, protected
from localcloud.hetzner.placement_groups import require_room
from localcloud.hetzner.primary_ips import addresses_of
from localcloud.hetzner.resource import Answer, Call, Command
from localcloud.hetzner.reverse_dns import change_dns_ptr, owns
from localcloud.store import Thing


@dataclass(frozen=True)
class ServerActions:
    """``/servers/:id/actions/...``, but for private networks and protection."""

    cloud: Cloud

    def commands(self) -> dict[str, Command]:
        """Return the actions."""
        return {
            "poweron": lambda _, server: self._power(server, "start_server", "on"),
            "poweroff": lambda _, server: self._power(server, "stop_server", "off"),
            "shutdown": lambda _, server: self._power(server, "shutdown_server", "off"),
            "reboot": lambda _, server: self._power(server, "reboot_server", None),
            "reset": lambda _, server: self._power(server, "reset_server", None),
            "change_type": self.change_type,
            "rebuild": self.rebuild,
            "add_to_placement_group": self.add_to_placement_group,
            "remove_from_placement_group": self.remove_from_placement_group,
            "change_dns_ptr": self.change_dns_ptr,
        }

    def change_type(self, call: Call, server: Thing) -> Answer:
        """Rescale a stopped server, which starts it; the disk grows only if ``upgrade_disk``."""
        self.cloud.require_idle("server", server)
        fields = call.fields
        reference = fields.reference("server_type", required=True)
        upgrade = fields.flag("upgrade_disk", required=True)
        new = self.cloud.catalogue.server_type(reference) if reference is not None else None
        if reference is not None and new is None:
            fields.problem("server_type", f"server type '{reference}' not found")
        fields.check()
        if server["status"] != "off":
            raise ApiError("server_not_stopped", "server must be powered off")
        if new is None or new["name"] == server["server_type"]:
            raise ApiError("invalid_server_type", "server already has this server type")
        self._require_fitting(server, new)
        server["server_type"] = new["name"]
        if upgrade:
            server["primary_disk_size"] = new["disk"]
        return self._begin("change_server_type", server, status="running", during="migrating")

    def rebuild(self, call: Call, server: Thing) -> Answer:
        """Overwrite the disk with an image, which starts the server."""
        self.cloud.require_idle("server", server)
        fields = call.fields
        reference = fields.reference("image", required=True)
        fields.check()
        if server["protection"]["rebuild"]:
            raise protected("server", "rebuild")
        server_type = self.cloud.catalogue.server_type(server["server_type"]) or {}
        image = self.cloud.catalogue.image(reference or "", server_type["architecture"])
        if image is None:
            raise invalid({"image": [f"image '{reference}' not found"]})
        server["image"] = image["id"]
        status, answer = self._begin("rebuild_server", server, status="running", during="rebuilding")
        password = None if server["ssh_keys"] else secrets.token_urlsafe(15)
        return status, {**(answer or {}), "root_password": password}

    def add_to_placement_group(self, call: Call, server: Thing) -> Answer:
        """Put a stopped server in a placement group."""
        self.cloud.require_idle("server", server)
        fields = call.fields
        key = fields.number("placement_group", required=True)
        if key is not None and self.cloud.find("placement_group", key) is None:
            fields.problem("placement_group", f"placement group with ID '{key}' not found")
        fields.check()
        if server["status"] != "off":
            raise ApiError("server_not_stopped", "server must be powered off")
        if server["placement_group"] is not None or key is None:
            raise ApiError("server_already_added", "server is already in a placement group")
        require_room(self.cloud, key)
        server["placement_group"] = key
        return self._begin("add_to_placement_group", server)

    def remove_from_placement_group(self, call: Call, server: Thing) -> Answer:  # noqa: ARG002 - called alike
        """Take a server out of its placement group."""
        self.cloud.require_idle("server", server)
        if server["placement_group"] is None:
            raise ApiError("invalid_input", "server is not in a placement group")
        server["placement_group"] = None
        return self._begin("remove_from_placement_group", server)

    def change_dns_ptr(self, call: Call, server: Thing) -> Answer:
        """Set the name that one of the server's addresses resolves to, or reset it."""
        ip = call.fields.text("ip") or ""
        addresses = addresses_of(self.cloud, server["id"]).values()
        address = next((each for each in addresses if owns(each, ip)), None)
        if address is None:
            raise invalid({"ip": ["Not an address of this server."]})
        change_dns_ptr(call.fields, address)
        self.cloud.save("primary_ip", address)
        action = self.cloud.start("change_dns_ptr", ("server", server["id"]))
        return 201, {"action": self.cloud.action_view(action)}

    def _power(self, server: Thing, command: str, to: str | None) -> Answer:
        self.cloud.require_idle("server", server)
        before = server["status"]
        if to is None:
            return self._begin(command, server, status="running", during=before)
        status = "running" if to == "on" else "off"
        during = {"off": "starting", "running": "running"}[before] if to == "on" else before
        return self._begin(command, server, status=status, during=during)

    def _require_fitting(self, server: Thing, new: Thing) -> None:
        old = self.cloud.catalogue.server_type(server["server_type"]) or {}
        if new["architecture"] != old["architecture"]:
            raise ApiError("invalid_server_type", "server type has a different architecture")
        if new["disk"] < server["primary_disk_size"]:
            raise ApiError("invalid_server_type", "the disk of the server type is smaller than the server's disk")
        self.cloud.catalogue.require_offer(new, server["location"])

    def _begin(self, command: str, server: Thing, *, status: str | None = None, during: str | None = None) -> Answer:
        """Begin an action that locks the server, is in a status meanwhile and ends in another."""
        action = self.cloud.start(command, ("server", server["id"]))
        during = during or server["status"]
        server["phases"] = [{"until": action["ends"], "status": during}]
        server["status"] = status or server["status"]
        server["busy_until"] = action["ends"]
        self.cloud.save("server", server)
        return 201, {"action": self.cloud.action_view(action)}
