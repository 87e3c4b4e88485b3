"""What Caddy lets through: the right instance, the right people, the right address of the visitor."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.integration.estate.estate import CUSTOM_DOMAIN, LOCAL_CELL, Estate

GATED = ("/api/notes", "/api/files/notes.md", "/api/graph", "/api/tags", "/api/search?q=a", "/api/ai/ollama-proxy")
ODD = (
    "/API/notes",
    "/Api/Notes",
    "//api/notes",
    "/api//notes",
    "/./api/notes",
    "/x/../api/notes",
    "/api/./notes",
    "/api/auth/../notes",
    "/api/health/../notes",
    "/%61pi/notes",
    "/ap%69/notes",
    "/api%2fnotes",
    "/api%2Fnotes",
    "/%2e/api/notes",
    "/api/auth/%2e%2e/notes",
    "/api/auth/..%2fnotes",
    "/api;x/notes",
    "/api/notes;x=/api/auth/",
    "\\api\\notes",
    "/api\\notes",
    "/api/auth/..\\notes",
    "/%5capi/notes",
    "/api/notes%00",
    "/%41PI/notes",
    "https://cedar.estate.localhost//api/notes",
    "/api/notes/",
    "/api/notes?/api/auth/",
    "/api/notes#/api/auth/",
)


@pytest.mark.parametrize("target", GATED)
def test_strangers_do_not_get_at_notes(estate: Estate, target: str) -> None:
    """Without a session every path of the app's API that reads or writes notes is refused; with one it is open."""
    stranger, user = estate.site("cedar"), estate.user("cedar")
    assert stranger.ask(target).status == stranger.post(target, {}).status == 401
    assert user.ask(target).status not in {401, 403, 502, 503}


@pytest.mark.parametrize("target", ODD)
def test_no_other_spelling_opens_the_gate(estate: Estate, target: str) -> None:
    """A path that the app might read as /api/notes is refused, whatever it looks like to the proxy."""
    for method in ("GET", "POST", "HEAD"):
        assert estate.site("cedar").ask(target, method=method).status in {400, 401}


@pytest.mark.parametrize("target", ["/", "/api/health", "/app.js"])
def test_what_is_public_is_open(estate: Estate, target: str) -> None:
    """The pages and the health check need no session."""
    assert estate.site("cedar").ask(target).status == 200


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("cedar", "alder.estate.localhost"),
        (CUSTOM_DOMAIN, "alder.estate.localhost"),
        ("cedar", CUSTOM_DOMAIN),
        (CUSTOM_DOMAIN, "domain--alder"),
        (CUSTOM_DOMAIN, "localhost"),
    ],
)
def test_forged_host_reaches_nobody_else(estate: Estate, name: str, host: str) -> None:
    """A Host header other than the TLS name is refused: a session of another instance reaches nothing by it."""
    alder = estate.user("alder")
    site = replace(estate.site(name, LOCAL_CELL), headers=alder.headers)
    for forged in (host, f"{host}:{site.port}"):
        reply = site.ask("/api/auth/me", headers={"Host": forged})
        assert reply.status == 421
        assert b"ann@example.org" not in reply.body


def test_name_of_nobody_gets_a_page_of_its_own(estate: Estate) -> None:
    """A subdomain without a customer says that there is no wiki."""
    assert estate.site(f"nobody.{'estate.localhost'}", LOCAL_CELL).ask("/").status == 404


def test_domain_of_nobody_gets_no_certificate(estate: Estate) -> None:
    """For a host name that is no customer's Caddy asks for no certificate and ends the handshake."""
    with pytest.raises(OSError, match=r"(?i)alert|reset|EOF"):
        estate.site("other.example.org", LOCAL_CELL).ask("/")


def test_forged_addresses_do_not_evade_the_throttle(estate: Estate) -> None:
    """The app counts 20 notes a minute for one visitor, whatever address each request claims to come from."""
    user = estate.user("dogwood")
    codes = []
    for number in range(21):
        forged = f"203.0.113.{number}"
        headers = dict.fromkeys(("X-Forwarded-For", "X-Real-IP", "CF-Connecting-IP", "True-Client-IP"), forged)
        codes.append(user.post("/api/notes", {"filename": f"n{number}"}, headers=headers).status)
    assert codes == [201] * 20 + [429]
