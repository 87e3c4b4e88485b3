"""Reads an order for a server and checks it against the catalogue and the project."""

from __future__ import annotations

from dataclasses import dataclass

from localcloud.hetzner.cloud import Cloud
from localcloud.hetzner.errors import ApiError
from localcloud.hetzner.fields import Fields
from localcloud.store import Thing

MOST_USER_DATA = 32 * 1024
"""Bytes."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """An order with nothing wrong in it.

    Attributes:
        addresses: By type (``ipv4``) the primary IP to use, or None for a new one; no type, no address.
        ssh_keys: Ids.
        start: Power it on right away.
    """

    name: str
    server_type: Thing
    image: Thing
    location: str
    addresses: dict[str, Thing | None]
    firewalls: list[int]
    networks: list[Thing]
    placement_group: int | None
    ssh_keys: list[int]
    user_data: str
    labels: dict[str, str]
    start: bool


def read_order(fields: Fields, cloud: Cloud) -> Order:
    """Return the order in a body.

    Raises:
        ApiError: something is wrong with it, or it can't be had.
    """
    name = fields.name(required=True, hostname=True)
    server_type = _from_catalogue(fields, "server_type", cloud)
    image = _from_catalogue(fields, "image", cloud, (server_type or {}).get("architecture"))
    addresses = _addresses(fields.object("public_net"), cloud)
    networks = _existing(fields, "networks", "network", fields.values("networks", int), cloud)
    firewalls = [each.number("firewall", required=True) for each in fields.objects("firewalls")]
    group = fields.number("placement_group")
    groups = _existing(fields, "placement_group", "placement_group", [] if group is None else [group], cloud)
    user_data = fields.text("user_data", limit=MOST_USER_DATA)
    start = fields.flag("start_after_create")
    fields.flag("automount")
    for key in fields.values("volumes", int):
        fields.problem("volumes", f"volume with ID '{key}' not found")
    if start is not False and not addresses and not networks:
        fields.problem("public_net", "A server needs a public or a private network to be started.")
    location = _location(fields, cloud, server_type, [each for each in addresses.values() if each])
    labels = fields.labels()
    ssh_keys = _ssh_keys(fields, cloud)
    known_firewalls = _existing(fields, "firewalls", "firewall", [key for key in firewalls if key is not None], cloud)
    fields.check()
    if server_type is None or image is None or name is None:
        raise ApiError("invalid_input", "invalid input")
    return Order(
        name=name,
        server_type=server_type,
        image=image,
        location=location,
        addresses=addresses,
        firewalls=[each["id"] for each in known_firewalls],
        networks=networks,
        placement_group=groups[0]["id"] if groups else None,
        ssh_keys=ssh_keys,
        user_data=user_data or "",
        labels=labels or {},
        start=start is not False,
    )


def _from_catalogue(fields: Fields, name: str, cloud: Cloud, architecture: str | None = None) -> Thing | None:
    reference = fields.reference(name, required=True)
    if reference is None:
        return None
    catalogue = cloud.catalogue
    found = catalogue.image(reference, architecture) if name == "image" else catalogue.server_type(reference)
    if found is None:
        fields.problem(name, f"{name.replace('_', ' ')} '{reference}' not found")
    return found


def _existing(fields: Fields, name: str, kind: str, keys: list[int], cloud: Cloud) -> list[Thing]:
    found = [(key, cloud.find(kind, key)) for key in keys]
    for key, thing in found:
        if thing is None:
            fields.problem(name, f"{kind.replace('_', ' ')} with ID '{key}' not found")
    return [thing for _, thing in found if thing is not None]


def _ssh_keys(fields: Fields, cloud: Cloud) -> list[int]:
    known = cloud.all("ssh_key")
    chosen: list[int] = []
    for reference in fields.values("ssh_keys", (int, str)):
        key = next((each["id"] for each in known if str(reference) in {str(each["id"]), each["name"]}), None)
        if key is None:
            fields.problem("ssh_keys", f"SSH key '{reference}' not found")
        else:
            chosen.append(key)
    return chosen


def _addresses(fields: Fields, cloud: Cloud) -> dict[str, Thing | None]:
    chosen: dict[str, Thing | None] = {}
    for kind in ("ipv4", "ipv6"):
        enabled = fields.flag(f"enable_{kind}") is not False
        key = fields.number(kind)
        if key is not None and not enabled:
            fields.problem(kind, f"Must not be given if enable_{kind} is false.")
        if not enabled:
            continue
        address = cloud.find("primary_ip", key) if key is not None else None
        if key is not None and address is None:
            fields.problem(kind, f"primary ip with ID '{key}' not found")
        if address is not None and address["type"] != kind:
            raise ApiError("primary_ip_version_mismatch", "primary ip has the wrong IP version")
        if address is not None and address["assignee_id"] is not None:
            raise ApiError("primary_ip_assigned", "primary ip is already assigned to a server")
        chosen[kind] = address
    return chosen


def _location(fields: Fields, cloud: Cloud, server_type: Thing | None, addresses: list[Thing]) -> str:
    """Return where the server goes: as ordered, else where its addresses are, else where its type is to be had."""
    location, datacenter = fields.reference("location"), fields.reference("datacenter")
    if location is not None and datacenter is not None:
        fields.problem("location", "Must not be given together with datacenter.")
    found: Thing | None = None
    if location is not None and (found := cloud.catalogue.location(location)) is None:
        fields.problem("location", f"location '{location}' not found")
    if datacenter is not None:
        where = cloud.catalogue.datacenter(datacenter)
        found = where["location"] if where else None
        if where is None:
            fields.problem("datacenter", f"datacenter '{datacenter}' not found")
    if found is None and location is None and datacenter is None:
        offers = [offer["name"] for offer in (server_type or {}).get("locations", ()) if offer["available"]]
        return str(addresses[0]["location"] if addresses else next(iter(offers), "fsn1"))
    name = str(found["name"]) if found else ""
    if found and any(address["location"] != name for address in addresses):
        raise ApiError("primary_ip_datacenter_mismatch", "primary ip is in a different location than the server")
    return name
