"""How a cell's Engine is asked: never through a shell here, always quoted for the one there."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from registry.cells import Cell
from stacks.settings import Settings
from webhook.cell_engine import CellEngine, EngineError

SETTINGS = {
    "image": "ghcr.io/xclusive36/markitup:1",
    "proxy_image": "caddy:1",
    "control_url": "http://10.0.0.2",
    "zone_id": "0" * 32,
    "ssh_public_keys": ["ssh-ed25519 AAAA"],
    "ssh_options": ["-i", "/etc/hosting/id"],
}


def cell(docker_host: str | None) -> Cell:
    """A cell with an Engine of its own, or with its server's."""
    return Cell(region="eu", location="nbg1", server_types=("cx43",), docker_host=docker_host)


def test_a_local_engine_is_asked_as_it_is() -> None:
    """By the host that the settings name; no server is needed."""
    settings = Settings(cells={"eu-1": cell("unix:///run/docker.sock")}, **SETTINGS)  # type: ignore[arg-type]
    engine = CellEngine.of(settings, "eu-1", "")
    assert engine.argv("ps", "$(x)") == ["docker", "--host", "unix:///run/docker.sock", "ps", "$(x)"]


def test_a_server_is_asked_through_ssh() -> None:
    """At its address, with the settings' options before ours, as ssh takes the first; what follows is quoted."""
    settings = Settings(cells={"eu-1": cell(None)}, **SETTINGS)  # type: ignore[arg-type]
    argv = CellEngine.of(settings, "eu-1", "192.0.2.7").argv("run", "--env", "A=it's; rm -rf /", "x")
    assert argv[:3] == ["ssh", "-i", "/etc/hosting/id"]
    assert "BatchMode=yes" in argv[3:]
    assert argv[-5:-1] == ["-l", "markitup", "--", "192.0.2.7"]
    assert shlex.split(argv[-1]) == ["docker", "run", "--env", "A=it's; rm -rf /", "x"]
    other = CellEngine(host="ssh://root@127.0.0.1:2222").argv("ps")
    assert other[-6:] == ["2222", "-l", "root", "--", "127.0.0.1", "docker ps"]


def test_a_failure_is_told_with_its_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker's own words, a silence, a missing program: each with the host and what to do; never for ever."""
    engine = CellEngine(host="unix:///run/docker.sock")
    program = tmp_path / "docker"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for script, said in (("echo 'no such thing' >&2; exit 1", "no such thing"), ("exec sleep 60", "no answer within")):
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        with pytest.raises(EngineError, match=rf"unix:///run/docker\.sock did not do `docker ps`: {said}.*Fix: "):
            engine.run("ps", seconds=1)
    program.write_text('#!/bin/sh\necho "$@"\n')
    assert engine.run("ps") == "--host unix:///run/docker.sock ps\n"
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(EngineError, match=r"No such file.*Fix: "):
        engine.run("ps")
