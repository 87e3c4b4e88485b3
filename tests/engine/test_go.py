"""Programs from pinned Go modules: built once, nothing half-built kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine import go
from engine.modules import CADDY


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a cache of its own and only its own programs on PATH."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(go, "cache_folder", lambda: folder)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path), "/usr/bin", "/bin"]))
    return folder


def fake_go(folder: Path, script: str) -> None:
    """Make a `go` of version 1.26 that otherwise runs a shell script with the path of its `-o` option as $out."""
    path = folder / "go"
    path.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = env ]; then echo go1.26.8; exit; fi\n'
        'while [ "$1" != -o ]; do shift; done; out=$2\n' + script
    )
    path.chmod(0o755)


def test_a_module_is_built_once(cache: Path, tmp_path: Path) -> None:
    """The second call finds the program; Go ran without the check-sum database and another toolchain."""
    fake_go(tmp_path, 'echo "$GOSUMDB $GOTOOLCHAIN $CGO_ENABLED $PWD" >"$out"')
    said: list[str] = []
    program = go.build(CADDY, said.append)
    assert program.is_relative_to(cache)
    assert program.read_text().split() == ["off", "local", "0", str(CADDY.path)]
    assert len(said) == 2
    (tmp_path / "go").unlink()
    assert go.build(CADDY, said.append) == program
    assert len(said) == 2


def test_a_failed_build_leaves_no_program(cache: Path, tmp_path: Path) -> None:
    """A build that failed half-way is no program; the message has the compiler's words and the fix."""
    fake_go(tmp_path, 'echo half >"$out"; echo "undefined: x" >&2; exit 1')
    with pytest.raises(go.BuildError, match=r"(?s)undefined: x.*Fix: `cd engine/caddy"):
        go.build(CADDY, lambda _: None)
    assert not [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_the_cache_knows_the_pins(tmp_path: Path) -> None:
    """Another pin is another program; the same pins are the same one wherever the tree is."""
    copy = tmp_path / "caddy"
    copy.mkdir()
    for path in CADDY.path.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())

    class Elsewhere(type(CADDY)):  # type: ignore[misc]
        """The same module in a folder of the test."""

        path = copy

    other = Elsewhere(**CADDY.__dict__)
    assert other.key == CADDY.key
    (copy / "go.mod").write_text((copy / "go.mod").read_text() + "\n// another pin\n")
    assert other.key != CADDY.key
