"""Every shell script that runs on a server or in an image passes shellcheck."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("host/files", "images/tenant")
SINGLE = ("localcloud/markitup/docker-entrypoint.sh", "webhook/volume_reader.sh")
SCRIPTS = sorted(
    path.relative_to(ROOT)
    for path in (*(file for folder in FOLDERS for file in (ROOT / folder).iterdir()), *(ROOT / name for name in SINGLE))
    if path.is_file() and path.read_bytes().startswith(b"#!")
)


def test_scripts_are_found() -> None:
    """The list is made by looking at first lines: it must not become empty unnoticed."""
    names = {path.name for path in SCRIPTS}
    assert names >= {"tenant-firewall", "storage-quota", "volumes-image", "markitup-start"}
    assert names >= {Path(name).name for name in SINGLE}


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_shellcheck_finds_nothing(script: Path) -> None:
    """Not even a remark."""
    done = subprocess.run(["shellcheck", ROOT / script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", [path for path in SCRIPTS if path.parts[0] == "host"], ids=str)
def test_a_servers_scripts_stop_at_errors(script: Path) -> None:
    """An unset variable or a command that fails ends the script: systemd then shows it."""
    assert "\nset -eu\n" in (ROOT / script).read_text()
