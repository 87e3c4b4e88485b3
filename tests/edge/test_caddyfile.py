"""Caddy's configuration: rendered for both ways of getting certificates, and taken by the real Caddy."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from edge.caddyfile import EdgeSettings, caddyfile, cloudflare_ranges, fallback_page
from engine.go import build
from engine.modules import CADDY

INTERNAL = EdgeSettings(cell="eu-1", domain="markitup.io", tls="internal", control_url="http://10.0.0.2:8300")
CLOUDFLARE = dataclasses.replace(INTERNAL, tls="cloudflare", acme_email="ops@markitup.io")
BOTH = pytest.mark.parametrize("settings", [INTERNAL, CLOUDFLARE], ids=lambda each: each.tls)


@pytest.fixture(scope="session")
def own_caddy() -> Path:
    """Caddy with the Cloudflare module, from the cache where it was built before."""
    return build(CADDY, print)


@pytest.fixture(scope="session")
def stock_caddy() -> Path:
    """Caddy as PyPI has it."""
    return Path(sys.executable).with_name("caddy")


def run(caddy: Path, command: str, text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Have Caddy look at a configuration; what it writes on the way lands in the test's own folder."""
    path = folder / "Caddyfile"
    path.write_text(text.replace("/data/caddy", str(folder / "data")))
    return subprocess.run(
        [caddy, command, "--config", path, "--adapter", "caddyfile"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HOME": str(folder), "CLOUDFLARE_API_TOKEN": "t" * 40},
    )


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every mapping inside a JSON document."""
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts(each)


@pytest.fixture(params=[INTERNAL, CLOUDFLARE], ids=lambda each: each.tls)
def adapted(request: pytest.FixtureRequest, own_caddy: Path, tmp_path: Path) -> dict[str, Any]:
    """What Caddy makes of the configuration."""
    done = run(own_caddy, "adapt", caddyfile(request.param), tmp_path)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_stock_caddy_takes_the_internal_one(stock_caddy: Path, tmp_path: Path) -> None:
    """The demo needs no Caddy of ours."""
    done = run(stock_caddy, "validate", caddyfile(INTERNAL), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Valid configuration" in done.stdout + done.stderr


def test_our_caddy_takes_production(own_caddy: Path, tmp_path: Path) -> None:
    """With the module for the wildcard certificate."""
    done = run(own_caddy, "validate", caddyfile(CLOUDFLARE), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Valid configuration" in done.stdout + done.stderr


def test_production_needs_our_caddy(stock_caddy: Path, tmp_path: Path) -> None:
    """The stock one lacks the module: this test's validation can fail."""
    done = run(stock_caddy, "validate", caddyfile(CLOUDFLARE), tmp_path)
    assert done.returncode != 0
    assert "dns.providers.cloudflare" in done.stderr


def test_another_authority_is_taken(own_caddy: Path, tmp_path: Path) -> None:
    """A staging or test server with its own root certificate, for every certificate."""
    root = tmp_path / "root.pem"
    root.write_text("")
    text = caddyfile(dataclasses.replace(CLOUDFLARE, acme_directory="https://127.0.0.1:14000/dir", acme_root=str(root)))
    done = run(own_caddy, "adapt", text, tmp_path)
    assert done.returncode == 0, done.stderr
    issuers = [each for each in parts(json.loads(done.stdout)) if each.get("module") == "acme"]
    assert issuers
    assert {each["ca"] for each in issuers} == {"https://127.0.0.1:14000/dir"}
    assert {tuple(each["trusted_roots_pem_files"]) for each in issuers} == {(str(root),)}


@BOTH
def test_it_is_formatted(settings: EdgeSettings, stock_caddy: Path, tmp_path: Path) -> None:
    """As `caddy fmt` writes it: people read the rendered file on servers."""
    path = tmp_path / "Caddyfile"
    path.write_text(caddyfile(settings))
    done = subprocess.run([stock_caddy, "fmt", path], capture_output=True, text=True, check=False)
    assert done.stdout == path.read_text()


@BOTH
def test_it_names_no_customer(settings: EdgeSettings) -> None:
    """Whatever is rendered comes from these few settings; a host name leads to a container by Docker's DNS."""
    text = caddyfile(settings)
    names = {field.name for field in dataclasses.fields(EdgeSettings)}
    assert names == {
        "cell", "domain", "tls", "control_url", "acme_email", "acme_directory", "acme_root", "max_request_body",
    }  # fmt: skip
    assert "import tenant tenant-{labels.2}" in text
    assert "import tenant domain--{http.request.tls.server_name}.invalid" in text
    assert set(re.findall(r"[\w*.-]*markitup\.io", text)) <= {"*.markitup.io", "ops@markitup.io", "markitup.io"}


def test_a_certificate_is_asked_for(adapted: dict[str, Any]) -> None:
    """Before one for a custom domain is issued, the control service is asked, by name of the cell."""
    permission = adapted["apps"]["tls"]["automation"]["on_demand"]["permission"]
    assert permission == {"endpoint": "http://10.0.0.2:8300/internal/ask?cell=eu-1", "module": "http"}


def test_the_wildcard_is_never_on_demand(adapted: dict[str, Any]) -> None:
    """Nobody can make Caddy order certificates for made-up subdomains."""
    policies = adapted["apps"]["tls"]["automation"]["policies"]
    wildcard = [each for each in policies if "*.markitup.io" in each.get("subjects", [])]
    others = [each for each in policies if "subjects" not in each]
    assert len(wildcard) == 1
    assert "on_demand" not in wildcard[0]
    assert [each["on_demand"] for each in others] == [True]


def test_the_token_is_read_from_the_environment(adapted: dict[str, Any]) -> None:
    """Only its variable's name is in the file, and only where it is needed."""
    tokens = [each["api_token"] for each in parts(adapted) if "api_token" in each]
    assert set(tokens) <= {"{env.CLOUDFLARE_API_TOKEN}"}
    internal = any(each.get("module") == "internal" for each in parts(adapted))
    assert internal is not bool(tokens)


def test_nobody_administers_it_over_the_network(adapted: dict[str, Any]) -> None:
    """The admin API is on a socket inside of the container, and changes don't persist."""
    assert adapted["admin"]["listen"] == "unix//run/caddy/admin.sock"
    assert adapted["admin"]["config"] == {"persist": False}


def test_only_web_ports_are_open(adapted: dict[str, Any]) -> None:
    """Everything else listens on the container's own loopback."""
    listens = {address for server in adapted["apps"]["http"]["servers"].values() for address in server["listen"]}
    assert listens == {":443", "127.0.0.1:9080", "127.0.0.1:9081"}


def test_only_cloudflare_is_believed_about_addresses(adapted: dict[str, Any]) -> None:
    """The visitor's address comes from its header, and only on connections from its ranges."""
    server = next(each for each in adapted["apps"]["http"]["servers"].values() if each["listen"] == [":443"])
    assert server["trusted_proxies"] == {"ranges": list(cloudflare_ranges()), "source": "static"}
    assert server["client_ip_headers"] == ["CF-Connecting-IP"]
    assert server["trusted_proxies_strict"] == 1
    assert server["strict_sni_host"] is True


def test_tenants_are_told_the_visitors_address(adapted: dict[str, Any]) -> None:
    """A header that the visitor sent is replaced: the app throttles by it."""
    set_headers = [
        each["headers"]["request"].get("set", {})
        for each in parts(adapted)
        if each.get("handler") == "reverse_proxy" and any(":3000" in up.get("dial", "") for up in each["upstreams"])
    ]
    assert len(set_headers) == 4  # the gate's question and the request itself, for subdomains and custom domains
    assert {tuple(each["X-Forwarded-For"]) for each in set_headers} == {("{http.vars.client_ip}",)}


def test_the_exchange_of_a_container_is_bridged(adapted: dict[str, Any]) -> None:
    """For the gate as for the app: an address where nobody is any more leaves time for several other tries."""
    ways = [
        each
        for each in parts(adapted)
        if any(str(up.get("dial", "")).endswith(":3000") for up in each.get("upstreams", []))
    ]
    assert {"rewrite" in each for each in ways} == {True, False}
    for each in ways:
        retries, transport = each["load_balancing"], each["transport"]
        assert retries["try_duration"] >= 8 * (transport["dial_timeout"] + retries["try_interval"])


def test_the_api_is_gated(adapted: dict[str, Any]) -> None:
    """The app's own session check decides about its interface, but for signing in and the health check."""
    gates = [each for each in parts(adapted) if each.get("path_regexp", {}).get("pattern") == "(?i)^/api(/|$)"]
    assert len(gates) == 2
    assert all(each["not"] == [{"path": ["/api/auth/*", "/api/health"]}] for each in gates)
    asked = [each for each in parts(adapted) if each.get("rewrite", {}).get("uri") == "/api/auth/me"]
    assert len(asked) == 2
    assert {each["rewrite"]["method"] for each in asked} == {"GET"}


ODD = [
    "//api/notes", "/x//api/notes", "/api/../api/notes", "/./api/notes", "/api/.", "/api/..", "/api/../", "/%2fapi",
    "/%2Fapi/notes", "/%61pi/notes", "/%41PI/notes", "/a%70i/notes", "/api%2fnotes", "/api%5Cnotes", "/api\\notes",
    "/api;x/notes", "/api/auth/%2e%2e/notes", "/api/auth/..%2fnotes", "/api%00/notes", "/api/auth/../notes",
]  # fmt: skip
PLAIN = [
    "/", "/api/notes", "/api/health", "/notes/a%20b", "/notes/caf%C3%A9", "/file.v1.2.md", "/.well-known/x", "/a..b",
    "/api/search?q=a//b;c\\d%2f", "/notes?next=/../x", "/...", "/a-b_c~d",
]  # fmt: skip


@pytest.mark.parametrize("uri", [*ODD, *PLAIN])
def test_one_spelling_of_a_path_gets_through(uri: str) -> None:
    """Whatever another program may read as another path is refused; ordinary names and queries are not."""
    pattern = re.search(r"vars_regexp \{http\.request\.orig_uri\} (\S+)", caddyfile(INTERNAL))
    assert pattern is not None
    assert bool(re.search(pattern[1], uri)) is (uri in ODD)


def test_logs_hold_no_secrets(adapted: dict[str, Any]) -> None:
    """Neither headers nor what a query carries is written down."""
    encoder = adapted["logging"]["logs"]["default"]["encoder"]
    assert encoder["fields"]["request>headers"] == {"filter": "delete"}
    assert encoder["fields"]["resp_headers"] == {"filter": "delete"}
    uri = encoder["fields"]["request>uri"]
    assert re.sub(uri["regexp"], uri.get("value", ""), "/reset?token=secret") == "/reset"


def test_a_name_that_does_not_answer_gets_a_page(adapted: dict[str, Any]) -> None:
    """The control service is asked what to show, and where it is away too, Caddy has a page of its own."""
    uris = [each.get("uri") for each in parts(adapted) if each.get("handler") == "rewrite"]
    assert uris.count("/internal/placard?host={http.request.host}") == 2
    assert "/fallback.html" in uris
    assert any(up.get("dial") == "10.0.0.2:8300" for each in parts(adapted) for up in each.get("upstreams", []))


def test_requests_are_bounded() -> None:
    """As the settings say."""
    assert "max_size 7MB" in caddyfile(dataclasses.replace(INTERNAL, max_request_body="7MB"))


def test_cloudflares_ranges_are_ranges() -> None:
    """Both families, none of them everything, none private."""
    networks = [ip_network(each) for each in cloudflare_ranges()]
    assert {each.version for each in networks} == {4, 6}
    assert all(each.prefixlen >= 12 and each.is_global for each in networks)
    assert len(set(networks)) == len(networks)


def test_the_page_of_its_own_needs_nothing_else() -> None:
    """It tries again by itself and loads nothing from elsewhere."""
    page = fallback_page()
    assert '<meta http-equiv="refresh" content="30">' in page
    assert "Back in a moment" in page
    assert not re.search(r"(?i)\b(src|href|url)\s*[=(]", page)
