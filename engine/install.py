"""Makes the engine ready: what is installed if it fits, else the official installer, else built from pinned modules."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from engine.go import BuildError, build, cache_folder, find_go
from engine.modules import ENGINE_VERSION, LANGUAGE_PYTHON, PLUGINS, PROVIDER_DOCKER, PROVIDER_HCLOUD, PULUMI

DOWNLOADS = "https://get.pulumi.com/"
PROBE_SECONDS = 5.0
EXEC_SCRIPT = "pulumi-language-python-exec"
MODULES = {"docker": PROVIDER_DOCKER, "hcloud": PROVIDER_HCLOUD}

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Engine:
    """An engine that is ready to run.

    Attributes:
        pulumi: The CLI.
        folders: What has to be first on PATH for it to find the language host and plugins.
        origin: Where it came from, for people.
    """

    pulumi: Path
    folders: tuple[Path, ...]
    origin: str

    def environment(self) -> Mapping[str, str]:
        """Return the variables to run it with: no look for updates, no downloads in the middle of an update."""
        python = str(Path(sys.executable).parent)
        path = os.pathsep.join([python, *map(str, self.folders), os.environ.get("PATH", os.defpath)])
        return {
            "PATH": path,
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }


def ensure_engine(say: Say) -> Engine:
    """Return an engine with all plugins that can't be simulated.

    Raises:
        BuildError: none is installed, none can be downloaded and none can be built.
    """
    pulumi, origin = _installed() or _downloaded(say) or (None, "")
    folder = cache_folder() / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    if pulumi is None:
        pulumi, origin = _built(folder, say), "built from pinned Go modules"
    for name, version in PLUGINS.items():
        if not _has_plugin(pulumi, name, version, say, downloads=origin == "downloaded"):
            _link(build(MODULES[name], say), folder)
    return Engine(pulumi=pulumi, folders=(pulumi.parent, folder), origin=origin)


def fits(version: str) -> bool:
    """Whether a CLI of this version (``v3.259.0``) can run our program: same major version, not older."""
    return _numbers(version)[:1] == _numbers(ENGINE_VERSION)[:1] and _numbers(version) >= _numbers(ENGINE_VERSION)


def installed_version() -> str | None:
    """Return the version of the CLI on PATH, if there is one with its Python language host."""
    found = shutil.which("pulumi")
    if found is None or shutil.which("pulumi-language-python", path=str(Path(found).parent)) is None:
        return None
    return _output([found, "version"])


def _installed() -> tuple[Path, str] | None:
    version = installed_version()
    return (Path(str(shutil.which("pulumi"))), "on PATH") if version is not None and fits(version) else None


def _downloaded(say: Say) -> tuple[Path, str] | None:
    root = cache_folder() / f"official-{ENGINE_VERSION}"
    pulumi = root / "bin" / "pulumi"
    if pulumi.exists():
        return pulumi, "downloaded"
    if (cache_folder() / "bin" / "pulumi").exists() or not _reachable():
        return None
    from pulumi.automation import PulumiCommand  # noqa: PLC0415 - half a second that only this way costs
    from semver import VersionInfo  # noqa: PLC0415

    say(f"downloading Pulumi {ENGINE_VERSION} with its official installer")
    try:
        PulumiCommand.install(root=str(root), version=VersionInfo.parse(ENGINE_VERSION))
    except Exception as error:  # noqa: BLE001 - the installer raises what it likes; building is the way out
        say(f"the official installer failed ({error}); building instead")
        shutil.rmtree(root, ignore_errors=True)
        return None
    return pulumi, "downloaded"


def _built(folder: Path, say: Say) -> Path:
    """Build the CLI and the Python language host, and put them into one folder with the host's script."""
    for module in (PULUMI, LANGUAGE_PYTHON):
        _link(build(module, say), folder)
    script = folder / EXEC_SCRIPT
    marker = folder / f"{EXEC_SCRIPT}.version"
    if not script.exists() or not marker.exists() or marker.read_text() != ENGINE_VERSION:
        source = _sdk_folder(say) / "python" / "cmd" / EXEC_SCRIPT
        unfinished = script.with_suffix(".partial")
        shutil.copyfile(source, unfinished)
        unfinished.chmod(0o755)
        unfinished.replace(script)
        marker.write_text(ENGINE_VERSION)
    return folder / PULUMI.program


def _sdk_folder(say: Say) -> Path:
    """Return where Go keeps the SDK's module, which has a script that belongs beside the language host."""
    sdk = "github.com/pulumi/pulumi/sdk/v3"
    go = find_go(say)
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOSUMDB": "off", "GOFLAGS": "-mod=readonly"}
    for argv in ([go, "mod", "download", sdk], [go, "list", "-m", "-f", "{{.Dir}}", sdk]):
        done = subprocess.run(argv, cwd=PULUMI.path, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            msg = f"Go could not fetch {sdk}, which the Python language host needs:\n  {done.stderr.strip()}"
            raise BuildError(msg)
    return Path(done.stdout.strip())


def _has_plugin(pulumi: Path, name: str, version: str, say: Say, *, downloads: bool) -> bool:
    if shutil.which(f"pulumi-resource-{name}") is not None:
        return True
    home = Path(os.environ.get("PULUMI_HOME", Path.home() / ".pulumi"))
    if (home / "plugins" / f"resource-{name}-v{version}").is_dir():
        return True
    if not downloads:
        return False
    say(f"downloading the {name} provider {version}")
    argv = [str(pulumi), "plugin", "install", "resource", name, version]
    return subprocess.run(argv, check=False, capture_output=True).returncode == 0


def _link(program: Path, folder: Path) -> None:
    """Put a program into a folder under its own name; several processes may do so at once.

    A hard link: the language host looks for its script beside the file that a symbolic link leads to.
    """
    link = folder / program.name
    if link.exists() and link.samefile(program) and not link.is_symlink():
        return
    unfinished = folder / f".{program.name}.{os.getpid()}"
    unfinished.unlink(missing_ok=True)
    unfinished.hardlink_to(program)
    unfinished.replace(link)


def _reachable() -> bool:
    try:
        with urlopen(DOWNLOADS, timeout=PROBE_SECONDS):
            return True
    except HTTPError:
        return True
    except (URLError, OSError):
        return False


def _output(argv: list[str]) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.split("-", maxsplit=1)[0])[:3])


if __name__ == "__main__":
    engine = ensure_engine(lambda line: print(line, flush=True))
    print(f"{engine.pulumi} ({engine.origin})")
