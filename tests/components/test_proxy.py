"""Caddy's container on the recording mock."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pulumi

from components.proxy import Proxy, ProxyArgs
from tests.conftest import Declare, Declared, Recorded

LABELS = {"managed-by": "pulumi", "markitup.cell": "eu-1"}


def declared_with(declare: Declare, **changes: Any) -> Declared:
    """Declare a proxy with some arguments changed."""

    def program() -> None:
        args = ProxyArgs(
            image="ghcr.io/example/caddy:2.11.9",
            caddyfile="# the configuration\n",
            files={"/etc/caddy/fallback.html": "<p>back soon"},
            environment={"CLOUDFLARE_API_TOKEN": pulumi.Output.secret("cf-token"), "A": "plain"},
            edge_network_name="edge-eu-1",
            inner_network_name="tenants-eu-1",
            inner_address="172.30.1.2",
            volume_name="caddy-eu-1",
            publish_address="0.0.0.0",
            http_port=8080,
            https_port=8443,
            labels=LABELS,
            protect=True,
        )
        Proxy("eu-1", replace(args, **changes))

    return declare(program)


def container(declare: Declare, **changes: Any) -> Recorded:
    """Return the container."""
    return declared_with(declare, **changes).one("Container")


def labels_of(resource: Recorded) -> dict[str, str]:
    """Return a resource's labels as one mapping."""
    return {each["label"]: each["value"] for each in resource.inputs["labels"]}


def test_a_proxy_is_four_resources(declare: Declare) -> None:
    """An image, a network with published ports, a volume and a container, all children of the component."""
    declared = declared_with(declare)
    assert declared.kinds == [
        ("docker:index/container:Container", "eu-1"),
        ("docker:index/network:Network", "eu-1-edge"),
        ("docker:index/remoteImage:RemoteImage", "eu-1-image"),
        ("docker:index/volume:Volume", "eu-1-data"),
    ]
    component = declared.one("hosting:cell:Proxy")
    assert {each.parent for each in declared.custom} == {component.urn}
    assert declared.component_outputs[component.urn] == {"container_name": declared_name(declared)}


def declared_name(declared: Declared) -> str:
    """Return the name that the mock chose for the container."""
    name = declared.component_outputs[declared.one("Proxy").urn]["container_name"]
    assert name.startswith("eu-1-")
    return str(name)


def test_the_pinned_image_is_kept(declare: Declare) -> None:
    """The container runs what was pulled, and the way back needs no network."""
    declared = declared_with(declare)
    image = declared.one("RemoteImage")
    assert image.inputs == {"name": "ghcr.io/example/caddy:2.11.9", "keepLocally": True}
    assert declared.one("Container").inputs["image"] == "sha256:eu-1-image"


def test_it_stands_in_two_networks(declare: Declare) -> None:
    """The one with published ports, and the tenants' at the address that the firewall rules name."""
    assert container(declare).inputs["networksAdvanced"] == [
        {"name": "edge-eu-1"},
        {"name": "tenants-eu-1", "ipv4Address": "172.30.1.2"},
    ]


def test_its_ports_are_http_https_and_http3(declare: Declare) -> None:
    """Exactly 80, 443 TCP and 443 UDP of the container, at the address and ports that were asked for."""
    assert container(declare).inputs["ports"] == [
        {"internal": 80, "external": 8080, "protocol": "tcp", "ip": "0.0.0.0"},
        {"internal": 443, "external": 8443, "protocol": "tcp", "ip": "0.0.0.0"},
        {"internal": 443, "external": 8443, "protocol": "udp", "ip": "0.0.0.0"},
    ]


def test_a_third_port_is_for_other_servers(declare: Declare) -> None:
    """At the private address only: nobody on the internet can send a packet there."""
    ports = container(declare, private_port=("10.0.0.2", 8301)).inputs["ports"]
    assert ports[:3] == container(declare).inputs["ports"]
    assert ports[3:] == [{"internal": 8300, "external": 8301, "protocol": "tcp", "ip": "10.0.0.2"}]


def test_certificates_are_on_a_protected_volume(declare: Declare) -> None:
    """They are mounted where Caddy keeps them, and outlive the container and mistakes."""
    declared = declared_with(declare)
    volume = declared.one("Volume")
    assert volume.inputs["name"] == "caddy-eu-1"
    assert (volume.protect, volume.retain_on_delete) == (True, True)
    assert set(volume.ignore_changes) == {"driverOpts", "labels"}
    assert declared.one("Container").inputs["volumes"] == [{"volumeName": "caddy-eu-1", "containerPath": "/data"}]


def test_the_volume_can_be_given_up(declare: Declare) -> None:
    """A demo's certificates go with the demo."""
    volume = declared_with(declare, protect=False).one("Volume")
    assert (volume.protect, volume.retain_on_delete) == (False, False)


def test_it_has_no_privileges(declare: Declare) -> None:
    """Every capability is dropped, none can be gained, and what is in memory takes no set-user-id program."""
    inputs = container(declare).inputs
    assert inputs["capabilities"] == {"drops": ["ALL"]}
    assert inputs["securityOpts"] == ["no-new-privileges:true"]
    assert set(inputs["tmpfs"]) == {"/tmp", "/run/caddy", "/config"}
    assert all("size=" in options for options in inputs["tmpfs"].values())
    assert not {"privileged", "networkMode", "devices", "user"} & set(inputs)


def test_its_configuration_is_inside(declare: Declare) -> None:
    """The Caddyfile and the other files are uploaded, in an order that doesn't change."""
    assert container(declare).inputs["uploads"] == [
        {"file": "/etc/caddy/Caddyfile", "content": "# the configuration\n"},
        {"file": "/etc/caddy/fallback.html", "content": "<p>back soon"},
    ]


def test_the_token_is_marked_secret(declare: Declare) -> None:
    """The environment keeps its order, and the value from a secret Output stays one."""
    resource = container(declare)
    assert resource.inputs["envs"] == ["A=plain", "CLOUDFLARE_API_TOKEN=cf-token"]
    assert resource.secrets == {"envs.1"}


def test_logs_are_rotated(declare: Declare) -> None:
    """At most 250 MB of them are kept."""
    inputs = container(declare).inputs
    assert inputs["logDriver"] == "json-file"
    assert inputs["logOpts"] == {"max-size": "50m", "max-file": "5"}


def test_the_old_one_goes_first(declare: Declare) -> None:
    """Two containers can't hold one port: a replacement deletes before it creates, and a crash restarts."""
    resource = container(declare)
    assert resource.delete_before_replace
    assert resource.inputs["restart"] == "unless-stopped"
    assert resource.inputs["mustRun"] is True


def test_everything_is_labelled(declare: Declare) -> None:
    """Network, volume and container carry the cell's labels; the container also says that it is the proxy."""
    declared = declared_with(declare)
    assert labels_of(declared.one("Network")) == LABELS
    assert labels_of(declared.one("Volume")) == LABELS
    assert labels_of(declared.one("Container")) == {**LABELS, "markitup.role": "proxy"}
