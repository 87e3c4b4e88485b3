"""A whole cell on the recording mock, from configuration and registry to the engine's requests."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pulumi import RunError

from stacks.cell import content_tag
from stacks.program import CONFIRM_REMOVALS, program
from stacks.tenant_secrets import derive
from tests.conftest import Declare, Declared
from tests.stacks.estate import MASTER_KEY, PLATFORM, SECRETS, configured, entry, registry_file, the_program

EVERYBODY = (
    entry("acme", plan="pro", domain="wiki.example.org"),
    entry("birch", "pending"),
    entry("cobalt", "suspended"),
    entry("dune", "deleting"),
    entry("ember", "purging"),
    entry("faraway", cell="us-1"),
)


def declared_with(
    declare: Declare,
    folder: Path,
    *entries: str,
    stack: str = "test-eu-1",
    secrets: Mapping[str, Any] = SECRETS,
    stacks: Mapping[str, Mapping[str, Any]] = PLATFORM,
    confirmed: int = 0,
    fails: bool = False,
    **changes: object,
) -> Declared:
    """Declare the cell eu-1 of an environment with these customers."""
    return declare(
        the_program(confirmed),
        stack=stack,
        config=configured(registry_file(folder, *(entries or EVERYBODY)), **changes),
        secret_config=secrets,
        stacks=stacks,
        fails_with=RunError if fails else None,
    )


def refusal(declared: Declared) -> str:
    """Return why nothing was declared, and make sure that nothing was."""
    assert declared.resources == []
    assert declared.outputs == {}
    return str(declared.error)


def environment(declared: Declared, customer: str) -> dict[str, str]:
    """Return a container's environment."""
    return dict(each.split("=", 1) for each in declared.one("Container", customer).inputs["envs"])


@pytest.fixture
def cell(declare: Declare, tmp_path: Path) -> Declared:
    """A declared cell with a customer in each status, and one elsewhere."""
    return declared_with(declare, tmp_path)


def test_it_is_exactly_these_resources(cell: Declared) -> None:
    """The tenants' network and image, Caddy, and of each customer what its status leaves of it."""
    assert [f"{kind.rsplit(':', 1)[-1]} {name}" for kind, name in cell.kinds] == [
        "DnsRecord acme",
        "DnsRecord birch",
        "DnsRecord cobalt",
        "DnsRecord dune",
        "Container acme",
        "Container birch",
        "Container eu-1",
        "Network eu-1",
        "Network eu-1-edge",
        "RemoteImage eu-1",
        "RemoteImage eu-1-base",
        "RemoteImage eu-1-image",
        "Volume acme-data",
        "Volume birch-data",
        "Volume cobalt-data",
        "Volume dune-data",
        "Volume ember-data",
        "Volume eu-1-data",
    ]


def test_only_a_purging_customers_volume_can_go(cell: Declared) -> None:
    """All others are protected and retained."""
    loose = {each.name for each in cell.all("Volume") if not (each.protect and each.retain_on_delete)}
    assert loose == {"ember-data"}


def test_outputs(cell: Declared) -> None:
    """Names in snake_case; a purging customer has a status but no address; nothing in them is secret."""
    assert cell.outputs == {
        "customers": {
            "acme": "active",
            "birch": "pending",
            "cobalt": "suspended",
            "dune": "deleting",
            "ember": "purging",
        },
        "urls": {key: f"https://{key}.markitup.io" for key in ("acme", "birch", "cobalt", "dune")},
        "server_ipv4": "203.0.113.1",
        "tenant_image": "sha256:eu-1",
    }
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in cell.outputs)
    assert cell.secret_outputs == frozenset()


def test_a_port_of_its_own_is_in_the_addresses(declare: Declare, tmp_path: Path) -> None:
    """A cell of the demo doesn't have 443 for itself."""
    cells = {"eu-1": {"region": "eu", "location": "nbg1", "server_types": ["cx43"], "https_port": 8443}}
    declared = declared_with(declare, tmp_path, entry("acme"), cells=cells)
    assert declared.outputs["urls"] == {"acme": "https://acme.markitup.io:8443"}
    assert [each["external"] for each in declared.one("Container", "eu-1").inputs["ports"]] == [80, 8443, 8443]


def test_everything_has_its_provider(cell: Declared) -> None:
    """Docker's things are on the cell's own Engine over SSH, records at Cloudflare; no default provider is used."""
    for each in cell.custom:
        assert each.provider == ("cloudflare" if each.type.startswith("cloudflare:") else "docker"), each.name
    docker = cell.one("pulumi:providers:docker")
    assert docker.inputs["host"] == "ssh://markitup@203.0.113.1"
    assert "ControlMaster=auto" in docker.inputs["sshOpts"]


def test_an_engine_can_be_named(declare: Declare, tmp_path: Path) -> None:
    """The demo's cells share the local one."""
    cells = {
        "eu-1": {"region": "eu", "location": "nbg1", "server_types": ["cx43"], "docker_host": "unix:///run/docker.sock"}
    }
    declared = declared_with(declare, tmp_path, entry("acme"), cells=cells)
    assert declared.one("pulumi:providers:docker").inputs["host"] == "unix:///run/docker.sock"


def test_plans_set_the_limits(cell: Declared) -> None:
    """Memory, CPU and what the app is told are the plan's."""
    acme, birch = cell.one("Container", "acme").inputs, cell.one("Container", "birch").inputs
    assert (acme["memory"], acme["memorySwap"], acme["cpus"]) == (2048, 2048, "2.0")
    assert (birch["memory"], birch["memorySwap"], birch["cpus"]) == (1024, 1024, "1.0")
    told = environment(cell, "acme")
    assert (told["PLAN"], told["STORAGE_LIMIT"], told["USER_LIMIT"]) == ("pro", str(100 * 1024), "20")


def test_the_app_is_told_what_it_needs(cell: Declared) -> None:
    """Its secrets have the lengths that it takes, and they are this customer's own."""
    told = environment(cell, "acme")
    assert set(told) == {
        "NODE_ENV", "PORT", "HOSTNAME", "CUSTOMER_ID", "PLAN", "STORAGE_LIMIT", "USER_LIMIT", "JWT_SECRET",
        "ENCRYPTION_KEY",
    }  # fmt: skip
    assert (told["NODE_ENV"], told["PORT"], told["HOSTNAME"], told["CUSTOMER_ID"]) == (
        "production", "3000", "0.0.0.0", "acme",
    )  # fmt: skip
    for customer in ("acme", "birch"):
        own = environment(cell, customer)
        expected = {
            purpose: derive(master_keys={"1": MASTER_KEY}, version=1, purpose=purpose, customer_id=customer)
            for purpose in ("jwt", "encryption")
        }
        assert own["JWT_SECRET"] == expected["jwt"]
        assert own["ENCRYPTION_KEY"] == expected["encryption"][:32]
        assert len(own["ENCRYPTION_KEY"]) == 32
    assert environment(cell, "birch")["JWT_SECRET"] != told["JWT_SECRET"]


def test_no_secret_is_in_the_clear(cell: Declared) -> None:
    """Tokens and derived secrets are inside of inputs that are marked secret, and nowhere else."""
    told = environment(cell, "acme")
    hidden = [
        "cloudflare-token-in-the-clear", "hcloud-token-in-the-clear", MASTER_KEY, told["JWT_SECRET"],
        told["ENCRYPTION_KEY"],
    ]  # fmt: skip
    for each in cell.resources:
        marked = {path.split(".")[0] for path in each.secrets}
        shown = json.dumps({key: value for key, value in each.inputs.items() if key not in marked})
        assert not [value for value in hidden if value in shown], each.name
    assert "envs" in cell.one("Container", "acme").secrets
    assert "apiToken" in cell.one("pulumi:providers:cloudflare").secrets
    assert not [value for value in hidden if value in json.dumps([cell.outputs, cell.component_outputs])]


def test_a_raised_version_rotates_one_kind(declare: Declare, tmp_path: Path) -> None:
    """`jwt` alone: sessions end, notes stay readable."""
    second = "another master key that is long enough for this"
    secrets = {**SECRETS, "hosting:tenant_master_keys": {"1": MASTER_KEY, "2": second}}
    before = environment(declared_with(declare, tmp_path, entry("acme")), "acme")
    after = environment(
        declared_with(declare, tmp_path, entry("acme"), secrets=secrets, secret_versions={"jwt": 2}), "acme"
    )
    assert after["JWT_SECRET"] != before["JWT_SECRET"]
    assert {**after, "JWT_SECRET": ""} == {**before, "JWT_SECRET": ""}


def test_customers_are_on_the_cells_network_with_its_image(cell: Declared) -> None:
    """Network and image are the cell's own; the record leads to its server."""
    container = cell.one("Container", "acme").inputs
    assert container["image"] == "sha256:eu-1"
    assert container["networksAdvanced"] == [
        {"name": "tenants-eu-1", "aliases": ["tenant-acme", "domain--wiki.example.org.invalid"]}
    ]
    assert cell.one("Volume", "acme-data").inputs["name"] == "markitup-eu-1-acme"
    assert cell.one("DnsRecord", "acme").inputs["content"] == "203.0.113.1"


def test_every_docker_resource_is_labelled(cell: Declared) -> None:
    """Whatever is on the Engine says which stack and cell made it; a customer's also whose it is."""
    labelled = [each for each in cell.custom if each.type.rsplit(":", 1)[-1] in {"Container", "Volume", "Network"}]
    assert len(labelled) == 11
    for each in labelled:
        labels = {label["label"]: label["value"] for label in each.inputs["labels"]}
        expected = {"managed-by": "pulumi", "markitup.stack": "test-eu-1", "markitup.cell": "eu-1"}
        assert expected.items() <= labels.items(), each.name
        owner = each.name.removesuffix("-data")
        assert labels.get("markitup.customer") == (None if owner.startswith("eu-1") else owner)


def test_caddys_configuration_names_no_customer(declare: Declare, tmp_path: Path) -> None:
    """A customer's arrival changes nothing about the proxy."""
    one = declared_with(declare, tmp_path, entry("zebra"))
    two = declared_with(declare, tmp_path, entry("zebra"), entry("yak", plan="pro", domain="wiki.example.org"))
    assert one.one("Container", "eu-1").inputs == two.one("Container", "eu-1").inputs
    assert "zebra" not in json.dumps(one.one("Container", "eu-1").inputs)


def test_caddy_gets_the_token_only_where_it_needs_it(declare: Declare, tmp_path: Path) -> None:
    """For the wildcard by DNS-01, marked secret; Caddy's own authority needs none."""
    wildcard = declared_with(declare, tmp_path, entry("acme")).one("Container", "eu-1")
    assert wildcard.inputs["envs"] == ["CLOUDFLARE_API_TOKEN=cloudflare-token-in-the-clear"]
    assert wildcard.secrets
    internal = declared_with(declare, tmp_path, entry("acme"), tls="internal").one("Container", "eu-1")
    assert internal.inputs.get("envs", []) == []
    files = {each["file"]: each["content"] for each in internal.inputs["uploads"]}
    assert set(files) == {"/etc/caddy/Caddyfile", "/etc/caddy/fallback.html"}
    assert "tls internal" in files["/etc/caddy/Caddyfile"]
    assert "?cell=eu-1" in files["/etc/caddy/Caddyfile"]


def test_health_times_are_settings(declare: Declare, tmp_path: Path) -> None:
    """0 stands for an Engine that doesn't know the shorter interval."""
    declared = declared_with(
        declare, tmp_path, entry("acme"), health_interval_seconds="15", health_start_interval_seconds="0"
    )
    check = declared.one("Container", "acme").inputs["healthcheck"]
    assert check["interval"] == "15s"
    assert "startInterval" not in check


def test_a_registry_error_declares_nothing(declare: Declare, tmp_path: Path) -> None:
    """Not a network, not a provider: the whole file is checked first, and every problem is named."""
    broken = (entry("acme"), entry("birch", cell="mars"), entry("cobalt", plan="team", domain="wiki.example.org"))
    message = refusal(declared_with(declare, tmp_path, *broken, fails=True))
    assert "customers/birch/cell" in message
    assert "customers/cobalt/domain" in message


def test_a_customer_that_vanished_is_refused(declare: Declare, tmp_path: Path) -> None:
    """The stack's own last outputs know it: its data would be orphaned, so nothing is declared."""
    before = {**PLATFORM, "organization/hosting/test-eu-1": {"customers": {"acme": "active", "birch": "active"}}}
    message = refusal(declared_with(declare, tmp_path, entry("acme"), stacks=before, fails=True))
    assert "customers/birch: the entry is gone although it was active" in message


def test_a_purged_customer_may_vanish(declare: Declare, tmp_path: Path) -> None:
    """That is how a customer ends."""
    before = {**PLATFORM, "organization/hosting/test-eu-1": {"customers": {"acme": "active", "birch": "purging"}}}
    assert declared_with(declare, tmp_path, entry("acme"), stacks=before).outputs["customers"] == {"acme": "active"}


def test_many_at_once_need_a_confirmation(declare: Declare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exactly that many, given by the caller or, for a bare `pulumi up`, by the environment."""
    gone = {f"gone{number}": "purging" for number in range(3)}
    before = {**PLATFORM, "organization/hosting/test-eu-1": {"customers": {"acme": "active", **gone}}}
    message = refusal(declared_with(declare, tmp_path, entry("acme"), stacks=before, fails=True))
    assert "--confirm-removals 3" in message
    assert declared_with(declare, tmp_path, entry("acme"), stacks=before, confirmed=3).resources

    monkeypatch.setenv(CONFIRM_REMOVALS, "3")
    config = configured(registry_file(tmp_path, entry("acme")))
    assert declare(program, stack="test-eu-1", config=config, secret_config=SECRETS, stacks=before).resources


def test_a_cell_needs_the_platform_first(declare: Declare, tmp_path: Path) -> None:
    """Without a server there is nothing to connect to; the message says what to run."""
    message = refusal(declared_with(declare, tmp_path, entry("acme"), stacks={}, fails=True))
    assert "test-eu-1: the platform `test` has no server for this cell yet. Fix:" in message


def test_an_unknown_cell_is_refused(declare: Declare, tmp_path: Path) -> None:
    """A stack of a cell that isn't configured would declare an empty one."""
    message = refusal(declared_with(declare, tmp_path, entry("acme"), stack="test-mars", fails=True))
    assert "there is no cell `mars` in hosting:cells (known: eu-1, us-1)" in message


def test_wrong_settings_declare_nothing(declare: Declare, tmp_path: Path) -> None:
    """All of them are named."""
    message = refusal(declared_with(declare, tmp_path, entry("acme"), zone_id="x", image=None, fails=True))
    assert "hosting:zone_id: " in message
    assert "hosting:image: is missing" in message


@pytest.mark.parametrize("keys", [{"1": "short"}, {"2": MASTER_KEY}, {}], ids=["short", "another", "none"])
def test_without_a_master_key_nothing_is_declared(declare: Declare, tmp_path: Path, keys: dict[str, str]) -> None:
    """No instance could start without it: the first customer is not how to find out."""
    secrets = {**SECRETS, "hosting:tenant_master_keys": keys}
    message = refusal(declared_with(declare, tmp_path, entry("acme"), secrets=secrets, fails=True))
    assert "hosting:tenant_master_keys has no key of at least 32 characters for version 1" in message
    assert "short" not in message.replace("shorter", "")


def test_the_image_tag_follows_its_content(tmp_path: Path) -> None:
    """Another base, another file, another name of a file: another tag; the same content, the same tag anywhere."""

    def tag(base: str, **files: str) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_text(content)
        return content_tag(base, folder)

    tags = [tag("a:1", x="1"), tag("a:2", x="1"), tag("a:1", x="2"), tag("a:1", y="1"), tag("a:1", x="1", y="")]
    assert len(set(tags)) == len(tags)
    assert tag("a:1", x="1") == tags[0]
    assert re.fullmatch(r"[0-9a-f]{16}", tags[0])
