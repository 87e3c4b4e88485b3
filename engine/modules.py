"""The pinned Go modules below this folder and the programs that they build."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ENGINE_VERSION = "3.259.0"
"""Version of the CLI; the same as the ``pulumi`` package in requirements.lock."""


@dataclass(frozen=True, kw_only=True)
class Module:
    """A Go module and the program built from it.

    Attributes:
        folder: Folder below ``engine/`` with go.mod and go.sum.
        program: File name of the program.
        package: Import path of its main package; ``.`` is the folder itself.
        ldflags: Flags for the linker.
        minutes: Minutes that a first build took on 2 cores, for the estimate.
    """

    folder: str
    program: str
    package: str
    minutes: float
    ldflags: str = "-s -w"

    @property
    def path(self) -> Path:
        """Folder of the module."""
        return HERE / self.folder

    @property
    def key(self) -> str:
        """Content of the pins: any change of it means another build."""
        digest = hashlib.sha256(f"{self.package}\0{self.ldflags}".encode())
        for path in sorted(self.path.iterdir()):
            if path.suffix in {".go", ".mod", ".sum"}:
                digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()[:16]


PULUMI = Module(
    folder="pulumi",
    program="pulumi",
    package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    ldflags=f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v{ENGINE_VERSION}",
    minutes=6,
)
LANGUAGE_PYTHON = Module(
    folder="language-python",
    program="pulumi-language-python",
    package="github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python",
    minutes=0.5,
)
PROVIDER_DOCKER = Module(folder="provider-docker", program="pulumi-resource-docker", package=".", minutes=3)
PROVIDER_HCLOUD = Module(folder="provider-hcloud", program="pulumi-resource-hcloud", package=".", minutes=3)
CADDY = Module(folder="caddy", program="caddy", package=".", minutes=3)
ACTIONLINT = Module(
    folder="actionlint",
    program="actionlint",
    package="github.com/rhysd/actionlint/cmd/actionlint",
    minutes=0.3,
)
"""Checks the GitHub workflows; the PyPI package of that name downloads its program."""
STRIPE_MOCK = Module(
    folder="stripe-mock",
    program="stripe-mock",
    package="github.com/stripe/stripe-mock",
    minutes=0.5,
)
"""Holds the requests that we make to Stripe's own description of its API; for the tests only."""

PLUGINS = {"docker": "5.2.0", "hcloud": "1.43.3"}
"""Provider plugins that the engine needs besides the ones that the local cloud stands in for, with their versions."""
