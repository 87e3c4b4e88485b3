"""Servers in private networks."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from localcloud.hetzner.cloud import Cloud
from localcloud.hetzner.errors import ApiError
from localcloud.hetzner.fields import Fields
from localcloud.hetzner.resource import Answer, Call, Command
from localcloud.hetzner.subnets import free_address, is_assignable, subnet_of
from localcloud.store import Thing


@dataclass(frozen=True)
class PrivateNets:
    """``/servers/:id/actions/...`` that are about private networks."""

    cloud: Cloud

    def commands(self) -> dict[str, Command]:
        """Return the actions."""
        return {
            "attach_to_network": self.attach,
            "detach_from_network": self.detach,
            "change_alias_ips": self.change_alias_ips,
        }

    def attach(self, call: Call, server: Thing) -> Answer:
        """Attach a server to a network, with an address of its choice."""
        fields = call.fields
        network = self._network(fields)
        ip, wanted_range = _address(fields, "ip"), fields.text("ip_range")
        aliases = _aliases(fields)
        fields.check()
        self._require_idle(server, network)
        self.join(server, network, ip=ip, ip_range=wanted_range, alias_ips=aliases)
        return self._begin("attach_to_network", server, network)

    def detach(self, call: Call, server: Thing) -> Answer:
        """Detach a server from a network."""
        fields = call.fields
        network = self._network(fields)
        fields.check()
        self._require_idle(server, network)
        self._attachment(server, network)
        server["private_net"] = [net for net in server["private_net"] if net["network"] != network["id"]]
        return self._begin("detach_from_network", server, network)

    def change_alias_ips(self, call: Call, server: Thing) -> Answer:
        """Replace a server's further addresses in a network."""
        fields = call.fields
        network = self._network(fields)
        aliases = _aliases(fields, required=True)
        fields.check()
        self._require_idle(server, network)
        attachment = self._attachment(server, network)
        attachment["alias_ips"] = []
        self.cloud.save("server", server)
        for alias in aliases:
            self._require_free(network, server, alias)
        attachment["alias_ips"] = aliases
        return self._begin("change_alias_ips", server, network)

    def join(
        self,
        server: Thing,
        network: Thing,
        *,
        ip: str | None = None,
        ip_range: str | None = None,
        alias_ips: list[str] | None = None,
    ) -> None:
        """Attach a server without an action.

        Raises:
            ApiError: it is attached already, or there is no such address to be had.
        """
        if any(net["network"] == network["id"] for net in server["private_net"]):
            raise ApiError("server_already_attached", "server is already attached to network")
        subnets = [each for each in self._subnets(network, server) if ip_range in {None, each["ip_range"]}]
        if not subnets:
            raise ApiError("no_subnet_available", "no subnet is available for the server")
        taken = self._taken(network)
        if ip is None:
            free = (free_address(network, subnet, taken) for subnet in subnets)
            ip = next((each for each in free if each is not None), None)
            if ip is None:
                raise ApiError("no_subnet_available", "no free IP is left in the network")
        for each in (ip, *(alias_ips or [])):
            self._require_free(network, server, each)
        number = self.cloud.new_id()
        mac = f"86:00:00:{number >> 16 & 0xFF:02x}:{number >> 8 & 0xFF:02x}:{number & 0xFF:02x}"
        server["private_net"].append(
            {"network": network["id"], "ip": ip, "alias_ips": alias_ips or [], "mac_address": mac}
        )
        self.cloud.save("server", server)

    def _network(self, fields: Fields) -> Thing:
        key = fields.number("network", required=True)
        network = self.cloud.find("network", key) if key is not None else None
        if key is not None and network is None:
            fields.problem("network", f"network with ID '{key}' not found")
        return network or {}

    def _attachment(self, server: Thing, network: Thing) -> Thing:
        for attachment in server["private_net"]:
            if attachment["network"] == network["id"]:
                return attachment
        raise ApiError("not_found", "server is not attached to network")

    def _subnets(self, network: Thing, server: Thing) -> list[Thing]:
        zone = (self.cloud.catalogue.location(server["location"]) or {}).get("network_zone")
        return [each for each in network["subnets"] if each["network_zone"] == zone and each["type"] != "vswitch"]

    def _taken(self, network: Thing) -> set[str]:
        nets = [net for each in self.cloud.all("server") for net in each["private_net"]]
        mine = [net for net in nets if net["network"] == network["id"]]
        return {ip for net in mine for ip in (net["ip"], *net["alias_ips"])}

    def _require_free(self, network: Thing, server: Thing, ip: str) -> None:
        subnet = subnet_of(network, ip)
        if subnet not in self._subnets(network, server) or not is_assignable(network, subnet, ip):
            raise ApiError("ip_not_available", f"IP {ip} is not available in a subnet of the server's network zone")
        if ip in self._taken(network):
            raise ApiError("ip_not_available", f"IP {ip} is already in use")

    def _require_idle(self, server: Thing, network: Thing) -> None:
        self.cloud.require_idle("server", server)
        self.cloud.require_idle("network", network)

    def _begin(self, command: str, server: Thing, network: Thing) -> Answer:
        action = self.cloud.start(command, ("server", server["id"]), ("network", network["id"]))
        server["busy_until"] = action["ends"]
        self.cloud.save("server", server)
        return 201, {"action": self.cloud.action_view(action)}


def _address(fields: Fields, name: str) -> str | None:
    text = fields.text(name)
    return text if text is None or _is_address(fields, name, text) else None


def _aliases(fields: Fields, *, required: bool = False) -> list[str]:
    aliases: list[str] = fields.values("alias_ips", str, required=required)
    return [text for index, text in enumerate(aliases) if _is_address(fields, f"alias_ips.{index}", text)]


def _is_address(fields: Fields, name: str, text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        fields.problem(name, "Not a valid IPv4 address.")
        return False
    return True
