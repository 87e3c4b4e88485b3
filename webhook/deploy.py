"""Runs the engine on stacks: with ``bounded_command`` and ``update_log`` all that knows the Automation API.

One update a stack at a time, whoever starts it (``turns.py``); the platform before the cells, cells in
parallel. The program runs inside this process, so that imports are paid for once.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from pulumi import automation

from engine.install import ensure_engine
from registry.changes import check_removals
from registry.customers import Registry, Status
from registry.errors import Problem, RegistryError
from stacks.names import PROJECT, StackName
from stacks.program import program
from webhook.bounded_command import GRACE_SECONDS, UPDATE_SECONDS, BoundedCommand
from webhook.instance_facts import LastUpdate
from webhook.process_identity import engine_is_dead
from webhook.recovery import RecoveryError, recover
from webhook.turns import Turn, Turns
from webhook.update_log import UpdateLog, last_lines

PARALLEL_STACKS = 4
PARALLEL_OPERATIONS = 10
"""Operations at once on one stack: sshd drops bursts of connections (FACTS)."""
MOST_STEPS = 200
"""Lines of what an update did that are kept with its result; a first update has more, and all are in the log."""
_HOLDER = re.compile(r"created by \S*@(?P<host>\S+) \(pid (?P<pid>\d+)\)")
"""Who has a file or S3 backend's lock on a stack, as the engine's refusal tells it."""

T = TypeVar("T")
Say = Callable[[str], None]
Covering = Callable[[str | None], str | None]
"""From the commit that a stack's last update covered to the one that an update now would; None where none is needed."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the engine works on.

    Attributes:
        environment: Name of the platform stack; cell stacks are ``<environment>-<cell>``.
        project: Folder of Pulumi.yaml.
        settings_file: The environment's stack file, shared by all its stacks.
        variables: Environment variables for the engine (backend, passphrase, provider credentials).
        pulumi: The CLI, in a folder ``bin``; by default the one on PATH.
        seconds: Deadline of each of the engine's commands.
        grace_seconds: From asking a command to stop to killing it.
    """

    environment: str
    project: Path
    settings_file: Path
    variables: Mapping[str, str]
    pulumi: Path | None = None
    seconds: float = UPDATE_SECONDS
    grace_seconds: float = GRACE_SECONDS

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
        version: Number of the update, as Pulumi Cloud counts, or as we do; None for a preview or a failure.
        commit: Of the registry that it brought; None where that was not asked for.
        steps: What it did, a line each.
        shared: Whether another change's update had taken this one along, so that none was run.
    """

    name: str
    changes: Mapping[str, int]
    seconds: float
    error: str | None = None
    outputs: Mapping[str, object] = field(default_factory=dict)
    version: int | None = None
    commit: str | None = None
    steps: Sequence[str] = ()
    shared: bool = False

    @property
    def changed(self) -> int:
        """How many resources are not the same."""
        return sum(count for name, count in self.changes.items() if name != "same")


class Deployer:
    """Updates, previews and destroys the stacks of one environment."""

    def __init__(self, target: Target, say: Say, turns: Turns) -> None:
        self._target = target
        self._say = say
        self._turns = turns
        self._updating: set[str] = set()
        root = None if target.pulumi is None else str(target.pulumi.parent.parent)
        self._command = BoundedCommand(root, seconds=target.seconds, grace_seconds=target.grace_seconds)

    def interrupt(self) -> None:
        """Ask the engine to stop what it is at, as this process is about to end."""
        self._command.interrupt()

    def up(
        self, cells: Sequence[str], *, platform: bool, confirmed_removals: int = 0, commit: str | None = None
    ) -> list[StackResult]:
        """Update the platform (if asked) and then cells, in parallel; a failed cell leaves the others alone.

        Cells are not touched when the platform fails: they build on its outputs.

        Args:
            cells: Names of cells.
            platform: Whether the platform comes first.
            confirmed_removals: How many customers the operator agreed to remove at once.
            commit: Of the registry, noted as covered; None where the file is not as committed.
        """
        results: list[StackResult] = []
        if platform:
            results.append(self._run(None, confirmed_removals, preview=False))
            if results[0].error is not None:
                return results
        with ThreadPoolExecutor(max_workers=PARALLEL_STACKS) as pool:
            work = [pool.submit(self._run, cell, confirmed_removals, preview=False, given=commit) for cell in cells]
        return results + [each.result() for each in work]

    def cover(self, cell: str, covering: Covering) -> StackResult:
        """Update a cell unless that is needless by the time that its turn has come.

        Args:
            cell: The cell.
            covering: Asked then; its commit is kept as covered when the update has succeeded.
        """
        return self._run(cell, 0, preview=False, covering=covering)

    def preview(
        self, cells: Sequence[str], *, platform: bool, confirmed_removals: int = 0, registry: Path | None = None
    ) -> list[StackResult]:
        """Say what an update would change, and change nothing; ``registry`` is another file than the settings'."""
        wanted = [None, *cells] if platform else list(cells)
        with ThreadPoolExecutor(max_workers=PARALLEL_STACKS) as pool:
            work = [
                pool.submit(self._run, cell, confirmed_removals, preview=True, registry=registry) for cell in wanted
            ]
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

    def last_update(self, cell: str) -> LastUpdate | None:
        """Return what is known of a cell since its last update; None where it never had one."""
        outputs = self.outputs(cell)
        if not outputs:
            return None
        return LastUpdate(
            server_ipv4=str(outputs["server_ipv4"]),
            tenant_image=str(outputs["tenant_image"]),
            customers=cast("Mapping[str, str]", outputs["customers"]),
            finished=not self._turns.standing(str(self._target.stack(cell))).unfinished,
        )

    @property
    def version(self) -> str:
        """The engine's version."""
        return str(self._command.version)

    @property
    def problem(self) -> str | None:
        """Why the engine can't be run; None where it can."""
        if shutil.which(self._command.command) is not None:
            return None
        return f"{self._command.command} can't be run. Fix: start this process again, which fetches or builds it"

    @property
    def updating(self) -> tuple[str, ...]:
        """The stacks that the engine works on now."""
        return tuple(self._updating)

    def _run(
        self,
        cell: str | None,
        confirmed_removals: int,
        *,
        preview: bool,
        covering: Covering | None = None,
        given: str | None = None,
        registry: Path | None = None,
    ) -> StackResult:
        name = self._target.stack(cell)
        log = UpdateLog(str(name), self._say)
        start = time.monotonic()
        done = StackResult(name=str(name), changes={}, seconds=0.0)
        try:
            with self._turns.take(str(name)) as turn:
                commit = None if covering is None else covering(turn.standing.covered)
                if covering is not None and commit is None:
                    standing = turn.standing
                    done = replace(done, version=standing.version, commit=standing.covered, shared=True)
                elif preview:
                    stack = self._select(name, confirmed_removals, registry)
                    stack.preview(parallel=PARALLEL_OPERATIONS, color="never", on_event=log.event)
                else:
                    done = self._update(turn, self._select(name, confirmed_removals), log, commit or given)
        except automation.CommandError as failure:
            stopped = [line for line in str(failure).splitlines() if line.startswith("the engine did not come")]
            done = replace(done, error="\n".join([*log.errors, *stopped]) or last_lines(str(failure)))
        except RecoveryError as failure:
            done = replace(done, error=str(failure))
        seconds = round(time.monotonic() - start, 1)
        return replace(done, changes=log.changes(), seconds=seconds, steps=tuple(log.steps[:MOST_STEPS]))

    def _update(self, turn: Turn, stack: automation.Stack, log: UpdateLog, commit: str | None) -> StackResult:
        """Update a stack; where a killed one's lock is in the way, once more without it."""
        if turn.standing.unfinished:
            self._without_dead_holders(stack, lambda: self._recover(stack))
        turn.begin()
        self._updating.add(stack.name)

        def up() -> automation.UpResult:
            return stack.up(parallel=PARALLEL_OPERATIONS, color="never", on_event=log.event, show_secrets=False)

        try:
            done = self._without_dead_holders(stack, up)
        finally:
            self._updating.discard(stack.name)
        version = done.summary.version or (turn.standing.version or 0) + 1  # file and S3 backends do not count
        turn.finish(covered=commit, version=version)
        return StackResult(
            name=stack.name, changes={}, seconds=0.0, outputs=_public(done.outputs), version=version, commit=commit
        )

    def _without_dead_holders(self, stack: automation.Stack, work: Callable[[], T]) -> T:
        """Do something with a stack; a lock whose holder is proven dead is removed first, any other one stays."""
        try:
            return work()
        except automation.ConcurrentUpdateError as refusal:
            holders = [(each["host"], int(each["pid"])) for each in _HOLDER.finditer(str(refusal))]
            if not holders or not all(engine_is_dead(host, pid) for host, pid in holders):
                raise
            self._say(f"{stack.name}: removing the lock of a killed update (pid {holders[0][1]})")
            stack.cancel()
            return work()

    def _recover(self, stack: automation.Stack) -> None:
        """Take away what the last update left, if it did not come to its end.

        Who lost its turn, as when Postgres was started anew, may be at it still: what is being made is not left over.
        Asking for a stack of that name takes its lock before it is found to exist; exporting takes none.
        """
        with suppress(automation.StackAlreadyExistsError):
            stack.workspace.create_stack(stack.name)
        exported = stack.export_stack()
        state = dict(exported.deployment or {})

        def config() -> Mapping[str, str]:
            return {name: value.value for name, value in stack.get_all_config().items()}

        if recover(state, config, lambda line: self._say(f"{stack.name}: {line}")):
            stack.import_stack(automation.Deployment(version=exported.version, deployment=state))

    def _select(self, name: StackName, confirmed_removals: int, registry: Path | None = None) -> automation.Stack:
        # A preview of another registry makes nothing, not even a stack.
        find = automation.create_or_select_stack if registry is None else automation.select_stack
        return find(
            stack_name=str(name),
            project_name=PROJECT,
            program=partial(program, confirmed_removals, registry, self._target.settings_file.parent),
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


def ready(target: Target, say: Say, turns: Turns) -> Deployer:
    """Return what updates a target's stacks, with an engine that is found, or built where there is none.

    Raises:
        BuildError: there is no engine and none can be had.
    """
    engine = ensure_engine(say)
    variables = {**target.variables, **engine.environment()}
    return Deployer(replace(target, variables=variables, pulumi=engine.pulumi), say, turns)


def target_of(settings_file: Path) -> Target:
    """Return the environment of a stack file, with the backend and credentials of this process."""
    path = settings_file.resolve()
    return Target(
        environment=path.stem.removeprefix("Pulumi."),
        project=path.parent,
        settings_file=path,
        variables=dict(os.environ),
    )


def _public(outputs: automation.OutputMap) -> Mapping[str, object]:
    return {name: output.value for name, output in outputs.items() if not output.secret}
