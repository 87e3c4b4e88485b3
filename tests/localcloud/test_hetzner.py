"""The simulated Hetzner Cloud, asked by the real `hcloud` client over HTTP."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Flask
from hcloud import APIException
from hcloud.actions import BoundAction
from hcloud.firewalls import FirewallResource, FirewallRule
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.server_types import ServerType
from hcloud.servers import ServerCreatePublicNetwork

from localcloud.faults import Fault, Faults, Mode
from localcloud.hetzner.app import hetzner_blueprint
from localcloud.hetzner.catalogue import SOLD_OUT
from localcloud.store import Store
from tests.localcloud.laptop import NBG1, TOKEN, Laptop, laptop

__all__ = ["laptop"]  # a fixture


def done(*actions: BoundAction) -> None:
    """Wait for actions."""
    for action in actions:
        action.wait_until_finished()


def refusal(call: Callable[[], object]) -> APIException:
    """Return what a call was refused with."""
    with pytest.raises(APIException) as caught:
        call()
    return caught.value


def public_key(seed: bytes = b"k") -> str:
    """Return a well-formed Ed25519 public key."""
    blob = b"\0\0\0\x0bssh-ed25519" + b"\0\0\0\x20" + seed * 32
    return f"ssh-ed25519 {base64.b64encode(blob).decode()} someone@example.org"


def test_the_catalogue_says_what_can_be_ordered_where(laptop: Laptop) -> None:
    """The CPX41 generation has left Europe, its successors are there, prices are those reported."""
    types = {each.name: each for each in laptop.client.server_types.get_all()}
    cpx41 = {each.location.name: each for each in types["cpx41"].locations or []}
    assert cpx41["nbg1"].deprecation is not None
    assert not cpx41["nbg1"].available
    assert cpx41["ash"].deprecation is None
    assert cpx41["ash"].available
    assert {each.location.name for each in types["cx43"].locations or []} == {"fsn1", "nbg1", "hel1"}
    month = {name: types[name].prices[0]["price_monthly"]["net"] for name in ("cpx42", "cx43")}
    assert month == {"cpx42": "69.4900000000", "cx43": "15.9900000000"}
    assert [each.name for each in laptop.client.locations.get_all()] == ["fsn1", "nbg1", "hel1", "ash", "hil", "sin"]
    image = laptop.client.images.get_by_name_and_architecture("debian-12", "x86")
    assert image is not None
    assert image.os_flavor == "debian"
    assert laptop.call("GET", "/pricing").json()["pricing"]["currency"] == "EUR"
    assert laptop.call("GET", "/datacenters?name=nbg1-dc3").json()["datacenters"][0]["location"]["name"] == "nbg1"


def test_a_server_is_created_started_rescaled_and_deleted(laptop: Laptop) -> None:
    """The life of a server with addresses that outlive it."""
    ipv4 = laptop.client.primary_ips.create("ipv4", "cell-1-v4", location=NBG1).primary_ip
    ipv6 = laptop.client.primary_ips.create("ipv6", "cell-1-v6", location=NBG1).primary_ip
    net = ServerCreatePublicNetwork(ipv4=ipv4, ipv6=ipv6)
    server = laptop.order(public_net=net, labels={"cell": "eu-1"}, user_data="#cloud-config\n")
    assert server.status == "running"
    assert server.public_net.ipv4.ip == ipv4.ip == "203.0.113.1"
    assert server.public_net.ipv6.ip == "2001:db8:0:1::/64"
    assert server.location.name == "nbg1"
    assert laptop.call("GET", f"/servers/{server.id}").json()["server"]["datacenter"]["name"] == "nbg1-dc3"

    bigger = ServerType(name="cx53")
    assert refusal(lambda: server.change_type(bigger, upgrade_disk=False)).code == "server_not_stopped"
    done(server.power_off())
    assert laptop.client.servers.get_by_id(server.id).status == "off"
    done(server.change_type(bigger, upgrade_disk=False))
    server.reload()
    assert (server.status, server.server_type.name, server.primary_disk_size) == ("running", "cx53", 160)

    done(server.shutdown())
    done(server.delete())
    assert refusal(lambda: laptop.client.servers.get_by_id(server.id)).code == "not_found"
    assert laptop.client.primary_ips.get_by_id(ipv4.id).assignee_id is None
    assert laptop.client.primary_ips.delete(ipv4)


def test_an_enlarged_disk_does_not_shrink(laptop: Laptop) -> None:
    """After upgrade_disk there is no way back to a smaller type."""
    server = laptop.order()
    done(server.power_off())
    done(server.change_type(ServerType(name="cx53"), upgrade_disk=True))
    done(server.power_off())
    smaller = ServerType(name="cx43")
    assert refusal(lambda: server.change_type(smaller, upgrade_disk=False)).code == "invalid_server_type"


def test_automatic_addresses_go_with_their_server(laptop: Laptop) -> None:
    """Addresses that nobody ordered are deleted with the server."""
    server = laptop.order()
    assert [each.auto_delete for each in laptop.client.primary_ips.get_all()] == [True, True]
    done(server.delete())
    assert laptop.client.primary_ips.get_all() == []


def test_an_action_takes_time_and_locks(laptop: Laptop) -> None:
    """While a server is created it is initializing and locked; then it is running."""
    body = {"name": "cell-1", "server_type": "cx43", "image": "debian-12", "location": "nbg1"}
    created = laptop.call("POST", "/servers", body, slow=True).json()
    path, action = f"/servers/{created['server']['id']}", created["action"]
    assert action["status"] == "running"
    assert action["finished"] is None
    assert created["server"]["status"] == "initializing"
    assert laptop.call("POST", f"{path}/actions/poweroff").status_code == 423
    assert laptop.call("DELETE", path).json()["error"]["code"] == "locked"
    laptop.clock.skipped += 61
    assert laptop.call("GET", path).json()["server"]["status"] == "starting"
    laptop.clock.skipped += 60
    assert laptop.call("GET", path).json()["server"]["status"] == "running"
    wanted = {action["id"], created["next_actions"][0]["id"]}
    listed = laptop.call("GET", "/actions?" + "&".join(f"id={key}" for key in wanted)).json()["actions"]
    assert {each["id"] for each in listed} == wanted
    assert {each["status"] for each in listed} == {"success"}
    commands = laptop.call("GET", f"{path}/actions?sort=id").json()["actions"]
    assert [each["command"] for each in commands] == ["create_server", "start_server"]


def test_networks_and_servers_in_them(laptop: Laptop) -> None:
    """Addresses are unique, in a subnet of the server's zone, and a subnet in use stays."""
    network = laptop.network()
    one, two = laptop.order("one"), laptop.order("two")
    done(one.attach_to_network(network, ip="10.0.0.10"))
    assert refusal(lambda: one.attach_to_network(network)).code == "server_already_attached"
    assert refusal(lambda: two.attach_to_network(network, ip="10.0.0.10")).code == "ip_not_available"
    assert refusal(lambda: two.attach_to_network(network, ip="10.0.9.10")).code == "ip_not_available"
    assert refusal(lambda: two.attach_to_network(network, ip="10.0.0.1")).code == "ip_not_available"
    done(two.attach_to_network(network))
    assert laptop.client.servers.get_by_id(two.id).private_net[0].ip == "10.0.0.2"
    network.reload()
    assert {each.id for each in network.servers} == {one.id, two.id}
    assert refusal(lambda: network.delete_subnet(network.subnets[0])).code == "service_error"
    done(one.detach_from_network(network))
    assert refusal(lambda: one.detach_from_network(network)).code == "not_found"
    far = laptop.order("far", server_type=ServerType(name="cpx41"), location=Location(name="ash"))
    assert refusal(lambda: far.attach_to_network(network)).code == "no_subnet_available"
    assert network.delete()
    assert laptop.client.servers.get_by_id(two.id).private_net == []


def test_two_changes_of_a_network_conflict(laptop: Laptop) -> None:
    """A network is changed by one action at a time; clients retry a conflict."""
    network = laptop.network()
    path = f"/networks/{network.id}/actions/add_subnet"
    assert laptop.call("POST", path, {"type": "cloud", "network_zone": "us-east"}, slow=True).status_code == 201
    answer = laptop.call("POST", path, {"type": "cloud", "network_zone": "us-west"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    laptop.clock.skipped += 61
    assert laptop.call("POST", path, {"type": "cloud", "network_zone": "us-west"}).status_code == 201
    network.reload()
    assert [each.ip_range for each in network.subnets] == ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"]


def test_firewalls_are_applied_and_in_use(laptop: Laptop) -> None:
    """By server and by label; a firewall in use can't be deleted."""
    rule = FirewallRule(direction="in", protocol="tcp", port="443", source_ips=["0.0.0.0/0", "::/0"])
    direct = laptop.client.firewalls.create("edge", rules=[rule]).firewall
    server = laptop.order(firewalls=[direct], labels={"cell": "eu-1"})
    assert [each.firewall.id for each in server.public_net.firewalls] == [direct.id]
    assert refusal(direct.delete).code == "resource_in_use"
    target = [FirewallResource(type="server", server=server)]
    assert refusal(lambda: direct.apply_to_resources(target)).code == "firewall_already_applied"
    done(*direct.remove_from_resources(target))
    done(*direct.set_rules([FirewallRule(direction="in", protocol="icmp", source_ips=["0.0.0.0/0"])]))
    direct.reload()
    assert [each.protocol for each in direct.rules] == ["icmp"]
    assert direct.delete()
    body = {"name": "by-label", "apply_to": [{"type": "label_selector", "label_selector": {"selector": "cell=eu-1"}}]}
    applied = laptop.call("POST", "/firewalls", body).json()["firewall"]["applied_to"]
    assert applied[0]["applied_to_resources"] == [{"type": "server", "server": {"id": server.id}}]


def test_a_placement_group_holds_ten_servers(laptop: Laptop) -> None:
    """The eleventh is refused, and a group in use stays."""
    group = laptop.client.placement_groups.create("spread-1", "spread").placement_group
    for number in range(10):
        laptop.order(f"cell-{number}", placement_group=group)
    assert refusal(lambda: laptop.order("cell-10", placement_group=group)).code == "placement_error"
    assert len(laptop.client.placement_groups.get_by_id(group.id).servers) == 10
    assert refusal(group.delete).code == "resource_in_use"


def test_protection_holds(laptop: Laptop) -> None:
    """What is protected is neither deleted nor rebuilt."""
    server = laptop.order()
    done(server.change_protection(delete=True, rebuild=True))
    assert refusal(server.delete).code == "protected"
    assert refusal(lambda: server.rebuild(Image(name="debian-13"))).code == "protected"
    assert laptop.call("DELETE", f"/servers/{server.id}").status_code == 403
    address = laptop.client.primary_ips.create("ipv4", "v4", location=NBG1).primary_ip
    done(address.change_protection(delete=True))
    assert refusal(address.delete).code == "protected"
    network = laptop.network()
    done(network.change_protection(delete=True))
    assert refusal(network.delete).code == "protected"
    done(server.change_protection(delete=False, rebuild=False))
    done(server.delete())


def test_addresses_move_between_stopped_servers(laptop: Laptop) -> None:
    """An address is assigned to a stopped server without one, at the same location."""
    address = laptop.client.primary_ips.create("ipv4", "v4", location=NBG1).primary_ip
    server = laptop.order(public_net=ServerCreatePublicNetwork(enable_ipv4=False))
    assert refusal(lambda: address.assign(server.id, "server")).code == "server_not_stopped"
    done(server.power_off())
    done(address.assign(server.id, "server"))
    assert refusal(lambda: address.assign(server.id, "server")).code == "primary_ip_already_assigned"
    server.reload()
    assert server.public_net.ipv4.ip == address.ip
    done(server.change_dns_ptr(address.ip, "edge.example.org"))
    assert laptop.client.primary_ips.get_by_id(address.id).dns_ptr[0]["dns_ptr"] == "edge.example.org"
    done(address.unassign())
    far = laptop.client.primary_ips.create("ipv4", "far", location=Location(name="hel1")).primary_ip
    assert refusal(lambda: far.assign(server.id, "server")).code == "primary_ip_datacenter_mismatch"


def test_names_and_keys_are_unique(laptop: Laptop) -> None:
    """A second thing with the same name is refused with 409."""
    laptop.client.ssh_keys.create("me", public_key())
    assert refusal(lambda: laptop.client.ssh_keys.create("me", public_key(b"l"))).code == "uniqueness_error"
    assert refusal(lambda: laptop.client.ssh_keys.create("you", public_key())).code == "uniqueness_error"
    laptop.network()
    body = {"name": "net", "ip_range": "10.0.0.0/8"}
    assert laptop.call("POST", "/networks", body).status_code == 409
    laptop.order("one")
    two = laptop.order("two")
    assert refusal(lambda: laptop.order("one")).code == "uniqueness_error"
    assert refusal(lambda: two.update(name="one")).code == "uniqueness_error"
    assert two.update(name="two", labels={"a": "b"}).labels == {"a": "b"}


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("/servers", {}, {"name", "server_type", "image"}),
        ("/servers", {"name": "a b", "server_type": 1.5, "image": ""}, {"name", "server_type", "image"}),
        ("/servers", {"user_data": "x" * 32769}, {"name", "server_type", "image", "user_data"}),
        ("/networks", {"name": "n", "ip_range": "10.0.0.1/16"}, {"ip_range"}),
        ("/networks", {"name": "n", "ip_range": "192.0.2.0/24"}, {"ip_range"}),
        ("/ssh_keys", {"name": "k", "public_key": "ssh-ed25519 AAAA"}, {"public_key"}),
        ("/placement_groups", {"name": "g", "type": "pack"}, {"type"}),
        ("/placement_groups", {"name": "g", "type": "spread", "labels": {"-": "x"}}, {"labels"}),
        ("/primary_ips", {"name": "p", "type": "ipv5"}, {"type", "location"}),
        (
            "/firewalls",
            {"name": "f", "rules": [{"direction": "in", "protocol": "tcp"}]},
            {"rules.0.port", "rules.0.source_ips"},
        ),
    ],
)
def test_wrong_input_is_named_field_by_field(laptop: Laptop, path: str, body: dict[str, Any], fields: set[str]) -> None:
    """422 with all the fields that are wrong."""
    answer = laptop.call("POST", path, body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "invalid_input")
    assert {each["name"] for each in error["details"]["fields"]} == fields


def test_what_an_order_refers_to_must_exist(laptop: Laptop) -> None:
    """All references are checked, and all that are wrong are named."""
    body = {
        "server_type": "cx99",
        "image": "debian-1",
        "location": "mars1",
        "ssh_keys": [1],
        "networks": [2],
        "firewalls": [{"firewall": 3}],
        "placement_group": 4,
        "volumes": [5],
        "public_net": {"ipv4": 6},
    }
    error = laptop.call("POST", "/servers", {"name": "s", **body}).json()["error"]
    assert {each["name"] for each in error["details"]["fields"]} == {*body} - {"public_net"} | {"public_net.ipv4"}


def test_what_cannot_be_had_is_refused(laptop: Laptop) -> None:
    """A type that left a location, one that was never there, and one that is sold out."""
    old = ServerType(name="cpx41")
    assert refusal(lambda: laptop.order(server_type=old)).message.startswith("unsupported location")
    assert refusal(lambda: laptop.order(location=Location(name="ash"))).code == "invalid_input"
    laptop.store.put(SOLD_OUT, "cx43@nbg1", {"server_type": "cx43", "location": "nbg1"})
    assert refusal(laptop.order).code == "resource_unavailable"
    assert not next(
        each.available
        for each in laptop.client.server_types.get_by_name("cx43").locations
        if each.location.name == "nbg1"
    )


def test_lists_are_filtered_and_paged(laptop: Laptop) -> None:
    """By name and label selector, with what the client needs to go on."""
    for number in range(7):
        laptop.client.placement_groups.create(f"g{number}", "spread", labels={"n": str(number), "odd": str(number % 2)})
    groups = laptop.client.placement_groups
    assert [each.name for each in groups.get_list(page=2, per_page=3).placement_groups] == ["g3", "g4", "g5"]
    meta = groups.get_list(page=2, per_page=3).meta.pagination
    assert (meta.next_page, meta.last_page, meta.total_entries) == (3, 3, 7)
    assert [each.name for each in groups.get_all(label_selector="odd=1,n!=3")] == ["g1", "g5"]
    assert [each.name for each in groups.get_all(label_selector="n in (2, 4)")] == ["g2", "g4"]
    assert groups.get_by_name("g6").labels["n"] == "6"
    assert refusal(lambda: groups.get_all(label_selector="=x")).code == "invalid_input"
    backwards = laptop.call("GET", "/placement_groups?sort=name:desc").json()["placement_groups"]
    assert backwards[0]["name"] == "g6"


def test_only_a_good_token_opens(laptop: Laptop) -> None:
    """401 for none, 404 for what isn't there, 400 for what is no JSON."""
    answer = laptop.call("GET", "/servers", token="short")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
    assert laptop.call("GET", "/servers/99").json()["error"]["code"] == "not_found"
    assert laptop.call("GET", "/nothing/here").status_code == 404
    assert laptop.call("POST", "/servers", [1]).json()["error"]["code"] == "json_error"


def test_calls_are_limited_and_refilled(laptop: Laptop) -> None:
    """Every answer says what is left; the fourth call of the hour is refused, until time goes on."""
    answers = [laptop.call("GET", "/servers", slow=True) for _ in range(4)]
    assert [each.status_code for each in answers] == [200, 200, 200, 429]
    assert [each.headers["RateLimit-Remaining"] for each in answers] == ["2", "1", "0", "0"]
    assert answers[0].headers["RateLimit-Limit"] == "3"
    assert int(answers[3].headers["RateLimit-Reset"]) == pytest.approx(time.time() + 3600, abs=30)
    assert answers[3].json()["error"]["code"] == "rate_limit_exceeded"
    laptop.clock.skipped += 1201
    assert laptop.call("GET", "/servers", slow=True).status_code == 200


@pytest.mark.parametrize(
    ("mode", "status", "code"),
    [(Mode.ERROR, 503, "service_error"), (Mode.RATE_LIMITED, 429, "rate_limit_exceeded")],
)
def test_a_fault_refuses_one_call(laptop: Laptop, mode: Mode, status: int, code: str) -> None:
    """The call named suffers, once, and nothing is done."""
    laptop.faults.order(Fault(cloud="hetzner", operation="POST /servers", mode=mode))
    assert laptop.call("GET", "/servers").status_code == 200
    body = {"name": "s", "server_type": "cx43", "image": "debian-12"}
    answer = laptop.call("POST", "/servers", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert laptop.client.servers.get_all() == []
    assert laptop.call("POST", "/servers", body).status_code == 201


@pytest.mark.parametrize(("mode", "names"), [(Mode.TIMEOUT, []), (Mode.CRASH_AFTER_CREATE, ["s"])])
def test_a_fault_drops_one_call(laptop: Laptop, mode: Mode, names: list[str]) -> None:
    """No answer at all; only a crash after the work leaves something behind."""
    laptop.faults.order(Fault(cloud="hetzner", operation="POST /servers", mode=mode, seconds=0.01))
    with pytest.raises(httpx.RemoteProtocolError):
        laptop.call("POST", "/servers", {"name": "s", "server_type": "cx43", "image": "debian-12"})
    assert [each.name for each in laptop.client.servers.get_all()] == names


def test_calls_are_counted_without_ids(laptop: Laptop) -> None:
    """An operation is a method and a path with its ids replaced."""
    server = laptop.order()
    done(server.power_off())
    calls = laptop.store.calls()
    assert calls["hetzner", "POST /servers"] == 1
    assert calls["hetzner", "POST /servers/:id/actions/poweroff"] == 1
    assert calls["hetzner", "GET /actions/:id"] >= 1


def test_what_exists_survives_a_restart(laptop: Laptop, tmp_path: Path) -> None:
    """Another process that opens the same file serves the same servers."""
    server = laptop.order()
    store = Store(tmp_path / "cloud.sqlite")
    app = Flask("restarted")
    app.register_blueprint(hetzner_blueprint(store, Faults(store), time.time), url_prefix="/hetzner/v1")
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = app.test_client().get(f"/hetzner/v1/servers/{server.id}", headers=headers)
    assert answer.json["server"]["name"] == "cell-1"
    store.close()
