"""Which environment a command works on: the one that is named, else a demo that was made here, else production."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from sqlalchemy import Engine

from registry.store import RegistryStore
from stacks.settings import Settings, read_settings
from webhook.deploy import Deployer, Say, Target, ready
from webhook.probe import Probe
from webhook.turns import Turns

PROJECT = Path(__file__).resolve().parent.parent
DEMO = PROJECT / ".local" / "demo"
DEMO_ENVIRONMENT = "demo"


@dataclass(frozen=True, kw_only=True)
class Context:
    """An environment and how to work on it."""

    target: Target
    settings: Settings

    @property
    def is_demo(self) -> bool:
        """Whether nothing of it is outside this machine."""
        return self.target.environment == DEMO_ENVIRONMENT

    @property
    def registry_file(self) -> Path:
        """The environment's registry."""
        return self.target.settings_file.parent / self.settings.registry

    def store(self) -> RegistryStore:
        """Return the registry for reading and editing."""
        return RegistryStore(self.registry_file, cells=self.settings.cells, domain=self.settings.domain, clock=today)

    def deployer(self, say: Say) -> Deployer:
        """Return what runs the engine; it is looked for, and built where there is none, at this moment."""
        return ready(self.target, say, Turns(self.database()))

    def database(self) -> Engine:
        """Return the management database, brought up to date."""
        from webhook.database.engine import open_database  # noqa: PLC0415 - most commands need no database
        from webhook.database.migrate import migrate  # noqa: PLC0415
        from webhook.settings import read_database_settings  # noqa: PLC0415

        os.environ.setdefault("HOSTING_SETTINGS_FILE", str(self.target.settings_file))
        url = self.target.variables.get("HOSTING_DATABASE_URL") or read_database_settings().database_url
        engine = open_database(url)
        migrate(engine)
        return engine

    def probe(self) -> Probe:
        """Return what looks whether an instance answers."""
        variables = self.target.variables
        ca_file = variables.get("HOSTING_CA_FILE") or os.environ.get("HOSTING_CA_FILE")
        return Probe.of(self.settings, ca_file=Path(ca_file) if ca_file else None)


def find_context(environment: str | None) -> Context:
    """Return the environment of that name.

    Raises:
        SettingsError: it has no settings file, or a setting is missing or wrong.
    """
    name = environment or os.environ.get("HOSTING_ENVIRONMENT") or _default()
    if name == DEMO_ENVIRONMENT:
        variables = read_variables(DEMO / "environment")
        ours = {key: value for key, value in variables.items() if key == "PULUMI_HOME" or key.startswith("AWS_")}
        os.environ.update(ours)
        return _context(name, DEMO, variables)
    return _context(name, PROJECT, {})


def today() -> date:
    """Return today's date, UTC."""
    return datetime.now(tz=UTC).date()


def read_variables(path: Path) -> dict[str, str]:
    """Return the variables of a file of lines ``NAME=value``, as a shell and ``docker --env-file`` read it."""
    if not path.exists():
        return {}
    lines = [line for line in path.read_text().splitlines() if "=" in line and not line.startswith("#")]
    return {name: value.strip("'") for name, _, value in (line.partition("=") for line in lines)}


def _default() -> str:
    return DEMO_ENVIRONMENT if (PROJECT / ".local" / "demo.json").exists() else "prod"


def _context(name: str, project: Path, variables: dict[str, str]) -> Context:
    settings_file = project / f"Pulumi.{name}.yaml"
    target = Target(environment=name, project=project, settings_file=settings_file, variables=variables)
    return Context(target=target, settings=read_settings(settings_file))
