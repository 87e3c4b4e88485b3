"""What the whole zone shares, on the recording mock."""

from __future__ import annotations

from components.shared_dns import SharedDns, SharedDnsArgs
from tests.conftest import Declare, Declared

ZONE = "0123456789abcdef" * 2


def declared_with(declare: Declare, *, control_ipv4: str | None = "203.0.113.9") -> Declared:
    """Declare a zone with two cells."""

    def program() -> None:
        SharedDns(
            "prod",
            SharedDnsArgs(
                zone_id=ZONE,
                domain="markitup.io",
                control_ipv4=control_ipv4,
                cell_ipv4={"eu-2": "203.0.113.2", "eu-1": "203.0.113.1"},
                settings={"ssl": "strict", "http3": "on"},
            ),
        )

    return declare(program)


def test_it_is_these_resources(declare: Declare) -> None:
    """Settings, two CAA records, three shared pages and a target for each cell, all in the zone and the component."""
    declared = declared_with(declare)
    record, setting = "cloudflare:index/dnsRecord:DnsRecord", "cloudflare:index/zoneSetting:ZoneSetting"
    assert declared.kinds == [
        (record, "prod-caa-issue"),
        (record, "prod-caa-issuewild"),
        (record, "prod-edge-eu-1"),
        (record, "prod-edge-eu-2"),
        (record, "prod-markitup.io"),
        (record, "prod-portal.markitup.io"),
        (record, "prod-www.markitup.io"),
        (setting, "prod-http3"),
        (setting, "prod-ssl"),
    ]
    assert {each.inputs["zoneId"] for each in declared.custom} == {ZONE}
    assert {each.parent for each in declared.custom} == {declared.one("hosting:dns:SharedDns").urn}


def test_only_lets_encrypt_may_issue(declare: Declare) -> None:
    """CAA records for names and for wildcards, at the apex."""
    records = [each.inputs for each in declared_with(declare).all("DnsRecord") if each.inputs["type"] == "CAA"]
    assert {each["name"] for each in records} == {"markitup.io"}
    assert [each["data"] for each in records] == [
        {"flags": 0, "tag": "issue", "value": "letsencrypt.org"},
        {"flags": 0, "tag": "issuewild", "value": "letsencrypt.org"},
    ]


def test_targets_of_custom_domains_are_not_proxied(declare: Declare) -> None:
    """Each cell has one that leads straight to its server, and the component says which."""
    declared = declared_with(declare)
    for cell, address in (("eu-1", "203.0.113.1"), ("eu-2", "203.0.113.2")):
        inputs = declared.one("DnsRecord", f"prod-edge-{cell}").inputs
        assert (inputs["name"], inputs["type"], inputs["content"]) == (f"edge-{cell}.markitup.io", "A", address)
        assert inputs["proxied"] is False
    assert declared.component_outputs[declared.one("SharedDns").urn] == {
        "custom_domain_targets": {"eu-1": "edge-eu-1.markitup.io", "eu-2": "edge-eu-2.markitup.io"}
    }


def test_shared_pages_are_on_the_control_server(declare: Declare) -> None:
    """Apex, www and portal lead there through Cloudflare."""
    records = [each.inputs for each in declared_with(declare).all("DnsRecord") if each.inputs.get("proxied")]
    assert [each["name"] for each in records] == ["markitup.io", "portal.markitup.io", "www.markitup.io"]
    assert {(each["type"], each["content"]) for each in records} == {("A", "203.0.113.9")}


def test_without_a_control_server_there_are_no_shared_pages(declare: Declare) -> None:
    """No record leads to nowhere."""
    declared = declared_with(declare, control_ipv4=None)
    assert not [each for each in declared.all("DnsRecord") if each.inputs.get("proxied")]
    assert len(declared.all("DnsRecord")) == 4


def test_settings_are_set(declare: Declare) -> None:
    """Each by its id."""
    settings = {each.inputs["settingId"]: each.inputs["value"] for each in declared_with(declare).all("ZoneSetting")}
    assert settings == {"ssl": "strict", "http3": "on"}
