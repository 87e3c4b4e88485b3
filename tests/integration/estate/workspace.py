"""What the engine works with in an environment of a test: project, settings, variables, secrets."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from engine.install import Engine
from localcloud.serve import Endpoints

PROJECT = Path(__file__).resolve().parents[3]


def write_project(folder: Path) -> None:
    """Write ``Pulumi.yaml``: this checkout's program, its state elsewhere."""
    project = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())
    project |= {"main": str(PROJECT), "runtime": {"name": "python", "options": {"virtualenv": str(PROJECT / ".venv")}}}
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project, sort_keys=False))


def write_settings(path: Path, config: Mapping[str, Any]) -> None:
    """Write an environment's stack file."""
    document = {"config": {f"hosting:{name}": value for name, value in config.items()}}
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def engine_variables(folder: Path, settings_file: Path, engine: Engine, endpoints: Endpoints) -> dict[str, str]:
    """Return the variables to run the engine with: state in files, clouds on this machine."""
    state = folder / "state"
    state.mkdir()
    return {
        **engine.environment(),
        "PULUMI_BACKEND_URL": f"file://{state}",
        "PULUMI_CONFIG_PASSPHRASE": secrets.token_urlsafe(16),
        "PULUMI_OPTION_CONFIG_FILE": str(settings_file),
        "PULUMI_DEBUG_PROVIDERS": endpoints.debug_providers,
        "PULUMI_HOME": str(folder / "pulumi-home"),
        "AWS_ENDPOINT_URL": endpoints.s3,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }


def set_secrets(
    engine: Engine, folder: Path, environment: str, variables: Mapping[str, str], values: Mapping[str, str]
) -> None:
    """Set secret settings of an environment, whose stack exists."""
    argv = [str(engine.pulumi), "config", "set-all", "--stack", environment]
    for name, value in values.items():
        argv += ["--secret", f"{name}={value}"]
    subprocess.run(argv, cwd=folder, env={**os.environ, **variables}, check=True, capture_output=True, timeout=60)


def cloud_secrets() -> dict[str, str]:
    """Return secret settings that every environment has."""
    return {
        "hosting:hcloud_token": secrets.token_hex(32),
        "hosting:cloudflare_token": secrets.token_hex(20),
        "hosting:tenant_master_keys": f'{{"1": "{secrets.token_urlsafe(48)}"}}',
    }
