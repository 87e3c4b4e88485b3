"""Caddy's image: an ordinary user, no capability, and the module for the wildcard certificate."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import httpx

from engine.go import build
from engine.modules import CADDY
from localcloud.images import ensure_caddy
from tests.integration.images.yard import wait_for

if TYPE_CHECKING:
    import docker

    from tests.integration.images.yard import Yard

CADDYFILE = """\
{
	admin unix//run/caddy/admin.sock
	auto_https off
}
:80 {
	respond "here"
}
"""

PROXY_TMPFS = dict.fromkeys(("/tmp", "/config", "/run/caddy"), "rw,noexec,nosuid,size=4m")


def test_caddy_serves_as_an_ordinary_user(client: docker.DockerClient, yard: Yard) -> None:
    """It takes its uploaded configuration, binds port 80 without any capability, and keeps its data."""
    image = ensure_caddy(client, build(CADDY, lambda _: None), lambda _: None)
    created = yard.create(
        image,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        tmpfs=PROXY_TMPFS,
        volumes=[f"{yard.volume()}:/data"],
    )
    created.put_archive("/etc/caddy", _archive("Caddyfile", CADDYFILE))
    created.start()
    address = yard.address(created)
    wait_for("Caddy answers", lambda: _text(f"http://{address}/") == "here")
    assert "dns.providers.cloudflare" in created.exec_run(["caddy", "list-modules"]).output.decode()
    assert created.exec_run(["id", "-u"]).output.decode().strip() == "1100"
    assert created.exec_run(["sh", "-c", "touch /data/kept && touch /config/kept"]).exit_code == 0
    assert created.exec_run(["sh", "-c", "touch /usr/bin/x || touch /etc/caddy/x || touch /x"]).exit_code != 0


def _archive(name: str, content: str) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(content), 0o644
        archive.addfile(entry, io.BytesIO(content.encode()))
    return target.getvalue()


def _text(url: str) -> str:
    try:
        return httpx.get(url, timeout=5).text
    except httpx.TransportError:
        return ""
