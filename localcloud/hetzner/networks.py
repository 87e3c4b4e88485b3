"""Private networks: their ranges, subnets and routes."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from localcloud.hetzner.errors import ApiError
from localcloud.hetzner.fields import Fields
from localcloud.hetzner.resource import Answer, Call, Command, Resource
from localcloud.hetzner.subnets import as_range, read_subnet, subnet_of
from localcloud.store import Thing

PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
SMALLEST = 24
"""Longest prefix of a network."""


class Networks(Resource):
    """``/networks``."""

    kind = "network"

    def commands(self) -> dict[str, Command]:
        """Return the actions of a network."""
        return {
            "add_subnet": self.add_subnet,
            "delete_subnet": self.delete_subnet,
            "add_route": self.add_route,
            "delete_route": self.delete_route,
            "change_ip_range": self.change_ip_range,
            "change_protection": self.change_protection,
        }

    def create(self, call: Call) -> Answer:
        """Create a network."""
        fields = call.fields
        name = fields.name(required=True)
        whole = _network_range(fields)
        labels = fields.labels()
        expose = fields.flag("expose_routes_to_vswitch") or False
        subnets: list[Thing] = []
        for each in fields.objects("subnets"):
            if (subnet := read_subnet(each, whole, subnets, self.cloud.catalogue.locations)) is not None:
                subnets.append(subnet)
        routes = [_route(each) for each in fields.objects("routes")]
        fields.check()
        self.require_unique("name", str(name))
        network = {
            "id": self.cloud.new_id(),
            "name": name,
            "created": self.cloud.now(),
            "ip_range": str(whole),
            "subnets": subnets,
            "routes": routes,
            "protection": {"delete": False},
            "labels": labels or {},
            "expose_routes_to_vswitch": expose,
        }
        self.cloud.save(self.kind, network)
        return 201, {"network": self.view(network)}

    def view(self, thing: Thing) -> Thing:
        """Return a network with the servers in it."""
        return {**super().view(thing), "servers": self._servers(thing), "load_balancers": []}

    def change(self, fields: Fields, thing: Thing) -> None:
        """Change whether routes reach a vSwitch."""
        expose = fields.flag("expose_routes_to_vswitch")
        if expose is not None:
            thing["expose_routes_to_vswitch"] = expose

    def before_delete(self, thing: Thing) -> None:
        """Detach the servers in it."""
        for key in self._servers(thing):
            server = self.cloud.need("server", key)
            server["private_net"] = [net for net in server["private_net"] if net["network"] != thing["id"]]
            self.cloud.save("server", server)

    def add_subnet(self, call: Call, thing: Thing) -> Answer:
        """Add a subnet; without a range it is the next free /24."""
        self.cloud.require_idle(self.kind, thing)
        fields = call.fields
        whole = IPv4Network(thing["ip_range"])
        subnet = read_subnet(fields, whole, thing["subnets"], self.cloud.catalogue.locations)
        fields.check()
        if subnet is None:
            raise ApiError("invalid_input", "no free range for another subnet")
        thing["subnets"].append(subnet)
        return self._changed("add_subnet", thing)

    def delete_subnet(self, call: Call, thing: Thing) -> Answer:
        """Delete a subnet that no server is in."""
        self.cloud.require_idle(self.kind, thing)
        fields = call.fields
        text = fields.text("ip_range", required=True)
        fields.check()
        subnet = next((each for each in thing["subnets"] if each["ip_range"] == text), None)
        if subnet is None:
            raise ApiError("not_found", f"subnet '{text}' not found")
        for key in self._servers(thing):
            ips = [net["ip"] for net in self.cloud.need("server", key)["private_net"] if net["network"] == thing["id"]]
            if any(subnet_of(thing, ip) == subnet for ip in ips):
                raise ApiError("service_error", "cannot remove subnet because servers are attached to it")
        thing["subnets"].remove(subnet)
        return self._changed("delete_subnet", thing)

    def add_route(self, call: Call, thing: Thing) -> Answer:
        """Add a route."""
        self.cloud.require_idle(self.kind, thing)
        fields = call.fields
        route = _route(fields)
        if route in thing["routes"]:
            fields.problem("destination", "Already has a route.")
        fields.check()
        thing["routes"].append(route)
        return self._changed("add_route", thing)

    def delete_route(self, call: Call, thing: Thing) -> Answer:
        """Delete a route."""
        self.cloud.require_idle(self.kind, thing)
        fields = call.fields
        route = _route(fields)
        fields.check()
        if route not in thing["routes"]:
            raise ApiError("not_found", "route not found")
        thing["routes"].remove(route)
        return self._changed("delete_route", thing)

    def change_ip_range(self, call: Call, thing: Thing) -> Answer:
        """Extend the range of a network."""
        self.cloud.require_idle(self.kind, thing)
        fields = call.fields
        whole = _network_range(fields)
        if not IPv4Network(thing["ip_range"]).subnet_of(whole):
            fields.problem("ip_range", "Must contain the current range.")
        fields.check()
        thing["ip_range"] = str(whole)
        return self._changed("change_ip_range", thing)

    def _changed(self, command: str, thing: Thing) -> Answer:
        thing["busy_until"] = self.cloud.clock() + self.cloud.action_seconds
        self.cloud.save(self.kind, thing)
        return self.started(command, thing)

    def _servers(self, thing: Thing) -> list[int]:
        return [
            server["id"]
            for server in self.cloud.all("server")
            if any(net["network"] == thing["id"] for net in server["private_net"])
        ]


def _network_range(fields: Fields) -> IPv4Network:
    text = fields.text("ip_range", required=True)
    whole = as_range(fields, text)
    if text is not None and whole is not None:
        if not any(whole.subnet_of(private) for private in PRIVATE):
            fields.problem("ip_range", "Must be a private range of RFC 1918.")
        if whole.prefixlen > SMALLEST:
            fields.problem("ip_range", f"Must be /{SMALLEST} or larger.")
    return whole or PRIVATE[0]


def _route(fields: Fields) -> Thing:
    destination = as_range(fields, fields.text("destination", required=True), "destination")
    gateway = fields.text("gateway", required=True)
    try:
        IPv4Address(gateway or "127.0.0.1")
    except ValueError:
        fields.problem("gateway", "Not a valid IPv4 address.")
    return {"destination": str(destination), "gateway": gateway}
