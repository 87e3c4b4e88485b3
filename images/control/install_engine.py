"""Puts the engine and its plugins into /opt/engine: the programs of a folder, else the official ones, pinned.

The versions are those of the Python packages. The AWS plugin is left out: only the platform stack needs it, and
that one is updated by operators (docs/adr/0017-control-service-has-a-stack.md).
"""

from __future__ import annotations

import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path
from urllib.request import urlopen

TARGET = Path("/opt/engine")
PLUGINS = ("docker", "hcloud", "cloudflare")
PROGRAMS = ("pulumi", "pulumi-language-python", "pulumi-language-python-exec")
ARCHITECTURES = {"x86_64": "x64", "aarch64": "arm64"}


def main(folder: Path) -> None:
    """Copy or download."""
    TARGET.mkdir(parents=True)
    vendored = [path for path in folder.iterdir() if path.suffix != ".py"]
    for program in vendored:
        shutil.copy2(program, TARGET)
    if not vendored:
        download()


def download() -> None:
    """Fetch the official releases."""
    engine = f"pulumi-v{version('pulumi')}-linux-{ARCHITECTURES[platform.machine()]}.tar.gz"
    with urlopen(f"https://get.pulumi.com/releases/sdk/{engine}", timeout=600) as response:
        archive = io.BytesIO(response.read())
    with tarfile.open(fileobj=archive) as members:
        for program in PROGRAMS:
            members.extract(f"pulumi/{program}", filter="data")
            shutil.move(f"pulumi/{program}", TARGET)
    for name in PLUGINS:
        release = version(f"pulumi-{name}")
        argv = [str(TARGET / "pulumi"), "plugin", "install", "resource", name, release]
        subprocess.run(argv, env={**os.environ, "PULUMI_HOME": "home"}, check=True)
        # On PATH the engine finds it whatever PULUMI_HOME is when it runs.
        shutil.move(f"home/plugins/resource-{name}-v{release}/pulumi-resource-{name}", TARGET)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
