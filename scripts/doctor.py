"""``hosting doctor``: is everything here that the other commands need."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.table import Table

from registry.cells import capacity
from registry.errors import RegistryError
from registry.placement import loads
from scripts.context import Context
from scripts.terminal import context_of, print_json, results
from stacks.settings import SECRET_NAMES


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: What.
        good: Whether it is as it should be.
        detail: What was seen.
        fix: What to do where it is not.
    """

    subject: str
    good: bool
    detail: str
    fix: str = ""


def doctor(command: typer.Context, *, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Check engine, settings, secrets, registry, cells and Docker Engines; say how to mend what is missing."""
    context = context_of(command)
    checks: tuple[Callable[[Context], Iterator[Finding]], ...] = (_engine, _secrets, _registry, _docker)
    findings = [finding for check in checks for finding in check(context)]
    if as_json:
        print_json([vars(finding) for finding in findings])
    else:
        table = Table("", "what", "seen", "fix")
        for each in findings:
            table.add_row("[green]ok[/green]" if each.good else "[red]no[/red]", each.subject, each.detail, each.fix)
        results.print(table)
    if not all(each.good for each in findings):
        raise typer.Exit(1)


def _engine(_context: Context) -> Iterator[Finding]:
    from engine.go import cache_folder  # noqa: PLC0415 - only here
    from engine.install import fits, installed_version  # noqa: PLC0415

    built = (cache_folder() / "bin" / "pulumi").exists()
    version = installed_version()
    if version is not None and fits(version):
        yield Finding(subject="engine", good=True, detail=f"pulumi {version} on PATH")
    else:
        yield Finding(
            subject="engine",
            good=built,
            detail="built from pinned modules" if built else "none fits",
            fix="" if built else "python -m engine.install",
        )
    git = shutil.which("git")
    yield Finding(subject="git", good=git is not None, detail=git or "missing", fix="" if git else "install git")


def _secrets(context: Context) -> Iterator[Finding]:
    text = context.target.settings_file.read_text(encoding="utf-8")
    for name in SECRET_NAMES:
        there = f"hosting:{name}:" in text
        fix = f"pulumi config set --secret hosting:{name} --config-file {context.target.settings_file.name}"
        yield Finding(
            subject=f"hosting:{name}", good=there, detail="set" if there else "missing", fix="" if there else fix
        )
    backend = context.target.variables.get("PULUMI_BACKEND_URL") or os.environ.get("PULUMI_BACKEND_URL")
    yield Finding(
        subject="state backend",
        good=True,
        detail=backend or "whatever `pulumi login` chose",
    )


def _registry(context: Context) -> Iterator[Finding]:
    try:
        registry = context.store().read()
    except RegistryError as error:
        yield Finding(subject="registry", good=False, detail=str(error), fix="mend the lines that it names")
        return
    yield Finding(subject="registry", good=True, detail=f"{len(registry.customers)} customers")
    for name, load in loads(registry, context.settings.cells).items():
        room = capacity(context.settings.cells[name])
        detail = (
            f"{load.customers} of {room.customers} customers, {load.memory_mib} of {room.memory_mib} MiB,"
            f" {load.cpus:g} of {room.cpus:g} cores, {load.storage_gib} of {room.storage_gib} GiB promised"
        )
        yield Finding(subject=f"cell {name}", good=True, detail=detail)


def _docker(context: Context) -> Iterator[Finding]:
    import docker  # noqa: PLC0415 - only here
    from docker.errors import DockerException  # noqa: PLC0415

    hosts = {cell.docker_host for cell in context.settings.cells.values() if cell.docker_host is not None}
    for host in sorted(hosts):
        try:
            client = docker.DockerClient(base_url=host, timeout=10)
            version = client.version()["Version"]
        except DockerException as error:
            yield Finding(subject=f"Docker {host}", good=False, detail=str(error), fix="start it, or mend docker_host")
        else:
            yield Finding(subject=f"Docker {host}", good=True, detail=str(version))
