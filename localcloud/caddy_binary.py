"""Build Caddy with its Cloudflare DNS module from the pinned Go modules in engine/caddy."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from localcloud.build_context import digest_of_files

if TYPE_CHECKING:
    from collections.abc import Callable

MODULE = Path(__file__).parent.parent / "engine" / "caddy"
SOURCES = ("go.mod", "go.sum", "main.go")
BUILD_TIMEOUT_SECONDS = 1800


class CaddyBuildError(Exception):
    """Caddy could not be built; the message holds the end of Go's output."""


def build_caddy_binary(cache_dir: Path, say: Callable[[str], None], *, go: str = "go") -> Path:
    """Path of the binary, built where the cache has none for these pins (2-5 minutes on 2 cores).

    Raises CaddyBuildError.
    """
    identity = digest_of_files((MODULE / name for name in SOURCES), MODULE)
    binary = cache_dir / f"caddy-{identity}" / "caddy"
    if binary.is_file():
        return binary
    say("Caddy: building from pinned Go modules, 2-5 minutes the first time")
    started = time.monotonic()
    binary.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=binary.parent) as folder:
        built = Path(folder) / "caddy"
        _go_build(go, built)
        # Into place in one step: an interrupted build must not look like a finished one.
        built.replace(binary)
    say(f"Caddy: built in {time.monotonic() - started:.0f} s")
    return binary


def _go_build(go: str, target: Path) -> None:
    # go.sum has the hashes: the check-sum database need not be reachable, and no other toolchain is fetched.
    environment = os.environ | {
        "GOSUMDB": "off",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly",
    }
    argv = [go, "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", str(target), "."]
    try:
        done = subprocess.run(  # noqa: S603  argv of our own making
            argv,
            cwd=MODULE,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=BUILD_TIMEOUT_SECONDS,
        )
    except FileNotFoundError as error:
        message = f"Go is missing ({go}): install it, or let the engine's installer do it"
        raise CaddyBuildError(message) from error
    except subprocess.TimeoutExpired as error:
        message = f"Go did not finish Caddy in {BUILD_TIMEOUT_SECONDS} s"
        raise CaddyBuildError(message) from error
    if done.returncode != 0:
        message = f"Go could not build Caddy (exit {done.returncode}):\n{done.stderr[-4000:]}"
        raise CaddyBuildError(message)
