"""Fetch Debian packages through the host's own, signed, apt sources without touching the host's apt state."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# Names of packages, not of files: apt resolves what they need.
PACKAGES = ("base-files", "base-passwd", "busybox", "ca-certificates", "dash", "sqlite3", "libstdc++6")

# What only maintainer scripts need: no script runs here, the packages are unpacked.
SKIPPED = frozenset({"debconf", "debianutils", "dpkg", "mawk", "openssl", "readline-common", "tar"})

APT_TIMEOUT_SECONDS = 300


class PackagesUnavailableError(Exception):
    """The packages could not be fetched; the message says what apt said and what to do."""


def download(directory: Path, names: Sequence[str] = PACKAGES) -> tuple[Path, ...]:
    """Download these packages and what they need into `directory`; return the .deb files to unpack, sorted.

    Raises PackagesUnavailableError.
    """
    archives, lists, status = directory / "archives", directory / "lists", directory / "status"
    for folder in (archives, lists):
        (folder / "partial").mkdir(parents=True, exist_ok=True)
    # An empty status file makes apt believe that nothing is installed, so it fetches the whole closure.
    status.write_text("")
    options = [
        f"Dir::State::Lists={lists}",
        f"Dir::State::status={status}",
        f"Dir::Cache={directory}",
        f"Dir::Cache::Archives={archives}",
        "APT::Sandbox::User=root",
        "Debug::NoLocking=1",
        "Acquire::Languages=none",
        "Acquire::Retries=3",
    ]
    apt = ["apt-get", "-q", "-y", *(word for option in options for word in ("-o", option))]
    _run([*apt, "update"])
    _run([*apt, "install", "--no-install-recommends", "--download-only", *names])
    found = sorted(archives.glob("*.deb"))
    return tuple(path for path in found if path.name.split("_", 1)[0] not in SKIPPED)


def _run(argv: Sequence[str]) -> None:
    try:
        done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=APT_TIMEOUT_SECONDS)
    except FileNotFoundError as error:
        message = "apt-get is missing: the local images are built from Debian packages (Debian or Ubuntu only)"
        raise PackagesUnavailableError(message) from error
    except subprocess.TimeoutExpired as error:
        message = f"apt-get did not finish in {APT_TIMEOUT_SECONDS} s: check the network and the apt sources"
        raise PackagesUnavailableError(message) from error
    if done.returncode != 0:
        message = f"apt-get failed (exit {done.returncode}): check /etc/apt/sources.list*\n{done.stderr.strip()}"
        raise PackagesUnavailableError(message)
