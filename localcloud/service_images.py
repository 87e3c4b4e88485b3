"""Images of the control service for a machine that can pull none: Debian's Python and Postgres, the service itself.

Like `localcloud.images`: named by content, made only once.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_cache_path

from engine.modules import PLUGINS
from localcloud.base import packages
from localcloud.build_context import PREFIX, ImageBuildError, build, digest, digest_of_files, files_below
from localcloud.images import ensure, ensure_base

if TYPE_CHECKING:
    from collections.abc import Mapping

    from docker import DockerClient

    from engine.install import Engine
    from localcloud.images import Say

PROJECT = Path(__file__).resolve().parent.parent
POSTGRES = Path(__file__).parent / "postgres"
LOCK = PROJECT / "requirements.control.lock"
CODE = ("components", "edge", "engine", "host", "images/control", "images/tenant", "registry", "scripts", "stacks")
# What python:3.11-slim has, and what images/control/Dockerfile installs on it.
PYTHON_PACKAGES = ("python3", "python3-venv", "git", "openssh-client", "postgresql-client", "coreutils")
POSTGRES_PACKAGES = ("postgresql-15", "coreutils")


def ensure_postgres(client: DockerClient, say: Say) -> str:
    """Make a stand-in for the official Postgres image. Raises PackagesUnavailableError, ImageBuildError."""
    base = ensure_base(client, say, (*packages.PACKAGES, *POSTGRES_PACKAGES))
    files = files_below(POSTGRES)

    def make(reference: str) -> None:
        say("Postgres' image can't be pulled here: building one of Debian's packages")
        context = {path.relative_to(POSTGRES).as_posix(): path for path in files}
        build(client, reference, context, arguments={"BASE_IMAGE": base})

    return ensure(client, f"{PREFIX}/postgres:{digest(base, digest_of_files(files, POSTGRES))}", make)


def ensure_control(client: DockerClient, programs: Mapping[str, Path], say: Say) -> str:
    """Build images/control on Debian's Python, with wheels and the engine in the build context.

    Args:
        client: The Engine.
        programs: The engine's programs, name to file, as `engine.install` made them.
        say: Told what is done.

    Raises:
        ImageBuildError: Docker refused, or the wheels could not be fetched.
        PackagesUnavailableError: apt did not deliver.
    """
    base = ensure_base(client, say, (*packages.PACKAGES, *PYTHON_PACKAGES))
    code = {path.relative_to(PROJECT).as_posix(): path for path in _code()}
    content = digest_of_files([*code.values(), LOCK], PROJECT)
    engine = digest(*(part for name, path in sorted(programs.items()) for part in (name, _mark(path))))

    def make(reference: str) -> None:
        say("the control service's image: building images/control on Debian's Python")
        context = {
            **code,
            "Dockerfile": PROJECT / "images" / "control" / "Dockerfile",
            LOCK.name: LOCK,
            **{f"vendor/bin/{name}": path for name, path in programs.items()},
            **{f"vendor/wheels/{path.name}": path for path in _wheels(say)},
        }
        build(client, reference, context, arguments={"BASE_IMAGE": base})

    return ensure(client, f"{PREFIX}/control:{digest(base, content, engine)}", make)


def engine_programs(engine: Engine) -> dict[str, Path]:
    """Return the programs that images/control takes in place of downloads: the CLI, the language host, the plugins."""
    home = Path(os.environ.get("PULUMI_HOME", Path.home() / ".pulumi")) / "plugins"
    plugins = {f"pulumi-resource-{name}": home / f"resource-{name}-v{version}" for name, version in PLUGINS.items()}
    names = ("pulumi", "pulumi-language-python", "pulumi-language-python-exec", *plugins)
    places = {name: [*engine.folders, *([plugins[name]] if name in plugins else [])] for name in names}
    return {name: next(path for each in places[name] if (path := each / name).exists()) for name in names}


def _code() -> list[Path]:
    return [path for folder in (*CODE, "webhook") for path in files_below(PROJECT / folder)]


def _mark(path: Path) -> str:
    """What tells one build of a program from another without reading 200 MB."""
    about = path.stat()
    return f"{about.st_size} {about.st_mtime_ns}"


def _wheels(say: Say) -> list[Path]:
    """Fetch what the lock names, once for each content of it. Raises ImageBuildError."""
    folder = user_cache_path("markitup-hosting") / f"wheels-{digest(LOCK.read_bytes())}"
    if not folder.exists():
        say("fetching the locked Python packages, about 75 MB")
        with tempfile.TemporaryDirectory(dir=user_cache_path("markitup-hosting", ensure_exists=True)) as unfinished:
            target = Path(unfinished) / "wheels"
            argv = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
            argv += ["--only-binary", ":all:", "--require-hashes", "-r", str(LOCK), "-d", str(target)]
            done = subprocess.run(argv, check=False, capture_output=True, text=True)
            if done.returncode != 0:
                message = f"pip could not fetch what {LOCK.name} names: check the network\n{done.stderr.strip()}"
                raise ImageBuildError(message)
            target.rename(folder)
    return sorted(folder.iterdir())
