"""The Pulumi program: load, validate, declare, export. Whoever runs it, CLI or worker."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pulumi

from registry.errors import RegistryError
from registry.load import load
from stacks.names import CONTROL, StackName
from stacks.server_types import NoServerTypeError
from stacks.settings import NAMESPACE, SettingsError, parse_settings

CONFIRM_REMOVALS = "HOSTING_CONFIRM_REMOVALS"
"""Environment variable: how many customers the operator agrees to remove in this update."""


async def program(
    confirmed_removals: int | None = None, registry_file: Path | None = None, folder: Path | None = None
) -> None:
    """Declare the stack that the engine asks for and export its outputs.

    Args:
        confirmed_removals: How many customers the operator agrees to remove in this update; by default
            what the environment variable says.
        registry_file: Other registry than the settings'; to preview a version that is not merged yet.
        folder: Of the stack file, which the settings' registry is relative to; by default the one that the program
            runs in. A worker's is another one: its code is in an image, the registry in a clone.

    Raises:
        pulumi.RunError: settings, registry or catalogue are refused; the message is for people. Nothing is declared.
    """
    if confirmed_removals is None:
        confirmed_removals = int(os.environ.get(CONFIRM_REMOVALS, "0"))
    try:
        outputs = await _declare(confirmed_removals, registry_file, folder or Path())
    except (SettingsError, RegistryError, NoServerTypeError) as error:
        # The engine prints a RunError as it is, anything else with a stack trace.
        raise pulumi.RunError(str(error)) from error
    for name, value in outputs.items():
        pulumi.export(name, value)


async def _declare(confirmed_removals: int, registry_file: Path | None, folder: Path) -> dict[str, object]:
    stack = StackName.parse(pulumi.get_stack())
    settings = parse_settings(_configured(), environment=stack.environment)
    if stack.cell not in {None, CONTROL, *settings.cells}:
        msg = (
            f"{stack}: there is no cell `{stack.cell}` in hosting:cells (known: {', '.join(sorted(settings.cells))})."
            " Nothing is declared. Fix: add the cell, or name a stack of an existing one."
        )
        raise SettingsError(msg)
    path = registry_file or folder / settings.registry
    registry = load(path, cells=settings.cells, domain=settings.domain, today=datetime.now(tz=UTC).date())
    config = pulumi.Config(NAMESPACE)
    if stack.cell is None:
        from stacks.platform import declare_platform  # noqa: PLC0415 - a cell needs no Hetzner or AWS SDK

        return await declare_platform(stack, settings, config)
    if stack.cell == CONTROL:
        from stacks.control import declare_control  # noqa: PLC0415 - the others do without it

        return await declare_control(stack, settings, config)
    from stacks.cell import declare_cell  # noqa: PLC0415 - the platform needs no Docker SDK

    return await declare_cell(stack, settings, registry, config, removals_confirmed=confirmed_removals)


def _configured() -> Mapping[str, object]:
    """All keys of our namespace as the engine gives them."""
    from pulumi.runtime.config import CONFIG  # noqa: PLC0415

    prefix = f"{NAMESPACE}:"
    return {key.removeprefix(prefix): value for key, value in CONFIG.get().items() if key.startswith(prefix)}
