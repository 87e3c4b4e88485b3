"""Runs the engine on stacks: the only module that knows the Automation API.

One update a stack at a time, whoever starts it (a lock file each); the platform before the cells, cells in
parallel. The program runs inside this process, so that imports are paid for once.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlparse

import yaml
from filelock import FileLock
from pulumi import automation
from pulumi.automation.events import EngineEvent

from engine.install import ensure_engine
from registry.changes import check_removals
from registry.customers import Registry, Status
from registry.errors import Problem, RegistryError
from stacks.names import ORGANIZATION, PROJECT, StackName
from stacks.program import program
from webhook.recovery import RecoveryError, recover

PARALLEL_STACKS = 4
PARALLEL_OPERATIONS = 10
"""Operations at once on one stack: sshd drops bursts of connections (FACTS)."""
OPERATIONS = ("create", "update", "replace", "delete", "same")
_MARKUP = re.compile(r"<\{%[^%]*%\}>")
_STEPS = {
    "create": ("created", "would create"),
    "update": ("updated", "would update"),
    "delete": ("deleted", "would delete"),
    "create-replacement": ("replaced", "would replace"),
}
"""The engine's name of a step to what an update and a preview call it."""

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the engine works on.

    Attributes:
        environment: Name of the platform stack; cell stacks are ``<environment>-<cell>``.
        project: Folder of Pulumi.yaml.
        settings_file: The environment's stack file, shared by all its stacks.
        variables: Environment variables for the engine (backend, passphrase, provider credentials).
        pulumi: The CLI, in a folder ``bin``; by default the one on PATH.
    """

    environment: str
    project: Path
    settings_file: Path
    variables: Mapping[str, str]
    pulumi: Path | None = None

    def stack(self, cell: str | None) -> StackName:
        """Return the stack of a cell, or the platform's."""
        return StackName(environment=self.environment, cell=cell)


@dataclass(frozen=True, kw_only=True)
class StackResult:
    """What an update or preview of one stack came to.

    Attributes:
        name: The stack.
        changes: Number of resources by operation: create, update, replace, delete, same.
        seconds: How long it took.
        error: Why it failed; None where it did not.
        outputs: The stack's outputs without secret ones (after an update).
    """

    name: str
    changes: Mapping[str, int]
    seconds: float
    error: str | None = None
    outputs: Mapping[str, object] = field(default_factory=dict)

    @property
    def changed(self) -> int:
        """How many resources are not the same."""
        return sum(count for name, count in self.changes.items() if name != "same")


class Deployer:
    """Updates, previews and destroys the stacks of one environment."""

    def __init__(self, target: Target, say: Say) -> None:
        self._target = target
        self._say = say
        root = None if target.pulumi is None else str(target.pulumi.parent.parent)
        self._command = automation.PulumiCommand(root=root)

    def up(self, cells: Sequence[str], *, platform: bool, confirmed_removals: int = 0) -> list[StackResult]:
        """Update the platform (if asked) and then cells, in parallel; a failed cell leaves the others alone.

        Cells are not touched when the platform fails: they build on its outputs.
        """
        results: list[StackResult] = []
        if platform:
            results.append(self._run(None, confirmed_removals, preview=False))
            if results[0].error is not None:
                return results
        with ThreadPoolExecutor(max_workers=PARALLEL_STACKS) as pool:
            work = [pool.submit(self._run, cell, confirmed_removals, preview=False) for cell in cells]
        return results + [each.result() for each in work]

    def preview(self, cells: Sequence[str], *, platform: bool, confirmed_removals: int = 0) -> list[StackResult]:
        """Say what an update would change, and change nothing."""
        wanted = [None, *cells] if platform else list(cells)
        with ThreadPoolExecutor(max_workers=PARALLEL_STACKS) as pool:
            work = [pool.submit(self._run, cell, confirmed_removals, preview=True) for cell in wanted]
        return [each.result() for each in work]

    def ensure_stack(self, cell: str | None) -> None:
        """Create a stack if it does not exist."""
        self._select(self._target.stack(cell), 0)

    def refuse_lost_customers(self, registry: Registry, *, confirmed: int) -> None:
        """Compare the registry with what every cell declared last time, before any of them is updated.

        A cell by itself sees who left it, but not that a newcomer's data is on another cell: an entry that went from
        one cell to another by an edit would get an empty instance there.

        Raises:
            RegistryError: with all cells' problems at once.
        """
        there = {StackName.parse(stack.name) for stack in self._workspace().list_stacks()}
        cells = sorted(
            str(name.cell) for name in there if name.environment == self._target.environment and name.cell is not None
        )
        with ThreadPoolExecutor(max_workers=PARALLEL_STACKS) as pool:
            declared = list(pool.map(self.outputs, cells))
        problems: list[Problem] = []
        for cell, outputs in zip(cells, declared, strict=True):
            customers = cast("Mapping[str, str]", outputs.get("customers", {}))
            previous = {key: Status(status) for key, status in customers.items()}
            try:
                check_removals(previous, registry, cell=cell, confirmed=confirmed)
            except RegistryError as error:
                problems.extend(error.problems)
        if problems:
            raise RegistryError(problems)

    def outputs(self, cell: str | None) -> Mapping[str, object]:
        """Return a stack's outputs as of its last update, without secret ones."""
        stack = self._select(self._target.stack(cell), 0)
        return _public(stack.outputs())

    def _run(self, cell: str | None, confirmed_removals: int, *, preview: bool) -> StackResult:
        name = self._target.stack(cell)
        log = _Log(str(name), self._say)
        start = time.monotonic()
        outputs: Mapping[str, object] = {}
        error = None
        try:
            with self._only_one(name):
                stack = self._select(name, confirmed_removals)
                if preview:
                    stack.preview(parallel=PARALLEL_OPERATIONS, color="never", on_event=log.event)
                else:
                    unfinished = self._folder() / f"{name}.unfinished"
                    if unfinished.exists():
                        self._recover(stack)
                    unfinished.touch()
                    done = stack.up(parallel=PARALLEL_OPERATIONS, color="never", on_event=log.event, show_secrets=False)
                    outputs = _public(done.outputs)
                    unfinished.unlink()
        except automation.CommandError as failure:
            error = "\n".join(log.errors) or _last_lines(str(failure))
        except RecoveryError as failure:
            error = str(failure)
        return StackResult(
            name=str(name),
            changes=log.changes(),
            seconds=round(time.monotonic() - start, 1),
            error=error,
            outputs=outputs,
        )

    def _recover(self, stack: automation.Stack) -> None:
        """Take away what the last update left, if it did not come to its end."""
        exported = stack.export_stack()
        state = dict(exported.deployment or {})

        def config() -> Mapping[str, str]:
            return {name: value.value for name, value in stack.get_all_config().items()}

        if recover(state, config, lambda line: self._say(f"{stack.name}: {line}")):
            stack.import_stack(automation.Deployment(version=exported.version, deployment=state))

    def _select(self, name: StackName, confirmed_removals: int) -> automation.Stack:
        return automation.create_or_select_stack(
            stack_name=str(name),
            project_name=PROJECT,
            program=partial(program, confirmed_removals),
            opts=automation.LocalWorkspaceOptions(**self._workspace_options()),
        )

    def _workspace(self) -> automation.LocalWorkspace:
        return automation.LocalWorkspace(**self._workspace_options())

    def _secrets_provider(self) -> str | None:
        """Return what encrypts the platform's secrets, for a new cell's; None for the backend's own choice."""
        document = yaml.safe_load(self._target.settings_file.read_text(encoding="utf-8")) or {}
        return document.get("secretsprovider")

    def _workspace_options(self) -> dict[str, Any]:
        return {
            "work_dir": str(self._target.project),
            "pulumi_command": self._command,
            "secrets_provider": self._secrets_provider(),
            "env_vars": {
                **self._target.variables,
                "PULUMI_OPTION_CONFIG_FILE": str(self._target.settings_file),
            },
        }

    @contextmanager
    def _only_one(self, name: StackName) -> Generator[None]:
        """Wait until nobody else updates the stack, then take away the lock of an update that was killed."""
        with FileLock(self._folder() / f"{name}.lock"):
            for lock in self._locks(name):
                if _holder_is_dead(lock):
                    self._say(f"{name}: removing the lock of a killed update ({lock.name})")
                    lock.unlink(missing_ok=True)
            yield

    def _folder(self) -> Path:
        """Return where locks are, and the marks of updates that have begun."""
        folder = self._target.project / ".pulumi-locks"
        folder.mkdir(exist_ok=True)
        return folder

    def _locks(self, name: StackName) -> list[Path]:
        """Return the lock files that a file backend has for a stack."""
        backend = urlparse(self._target.variables.get("PULUMI_BACKEND_URL", ""))
        if backend.scheme != "file":
            return []
        folder = Path(unquote(backend.path)) / ".pulumi" / "locks" / ORGANIZATION / PROJECT / str(name)
        return sorted(folder.glob("*.json"))


def ready(target: Target, say: Say) -> Deployer:
    """Return what updates a target's stacks, with an engine that is found, or built where there is none.

    Raises:
        BuildError: there is no engine and none can be had.
    """
    engine = ensure_engine(say)
    variables = {**target.variables, **engine.environment()}
    return Deployer(replace(target, variables=variables, pulumi=engine.pulumi), say)


def target_of(settings_file: Path) -> Target:
    """Return the environment of a stack file, with the backend and credentials of this process."""
    path = settings_file.resolve()
    return Target(
        environment=path.stem.removeprefix("Pulumi."),
        project=path.parent,
        settings_file=path,
        variables=dict(os.environ),
    )


class _Log:
    """Follows the engine's events of one update: progress for people, changes and errors for the result."""

    def __init__(self, name: str, say: Say) -> None:
        self._name = name
        self._say = say
        self._counts: Mapping[str, int] = {}
        self._told: set[str] = set()
        self.errors: list[str] = []

    def changes(self) -> Mapping[str, int]:
        return {name: int(self._counts.get(name, 0)) for name in OPERATIONS}

    def event(self, event: EngineEvent) -> None:
        if event.res_outputs_event is not None:
            step = event.res_outputs_event.metadata
            updating, planning = _STEPS.get(str(step.op.value), (None, None))
            verb = planning if event.res_outputs_event.planning else updating
            if verb is not None:
                line = f"{self._name}: {verb} {step.type.rsplit(':', 1)[-1]} {step.urn.rsplit('::', 1)[-1]}"
                if line not in self._told:  # a component's step is told at its beginning and at its end
                    self._told.add(line)
                    self._say(line)
        elif event.diagnostic_event is not None and event.diagnostic_event.severity == "error":
            text = _MARKUP.sub("", event.diagnostic_event.message).strip().removeprefix("an unhandled error occurred: ")
            if text and text not in self.errors:
                self.errors.append(text)
        elif event.summary_event is not None:
            self._counts = {str(getattr(op, "value", op)): n for op, n in event.summary_event.resource_changes.items()}


def _public(outputs: automation.OutputMap) -> Mapping[str, object]:
    return {name: output.value for name, output in outputs.items() if not output.secret}


def _last_lines(text: str, count: int = 15) -> str:
    return "\n".join([line for line in _MARKUP.sub("", text).splitlines() if line.strip()][-count:])


def _holder_is_dead(lock: Path) -> bool:
    """Whether a lock's holder was a process of this machine that no longer runs."""
    try:
        holder = json.loads(lock.read_text())
        if holder["hostname"] != socket.gethostname():
            return False
        os.kill(int(holder["pid"]), 0)
    except ProcessLookupError:
        return True
    except (FileNotFoundError, PermissionError, KeyError, ValueError):
        return False
    return False
