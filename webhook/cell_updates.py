"""Brings a commit of the registry onto its cell: one update of a cell at a time, and none for nothing.

Changes that arrive while an update runs wait for the next one, which takes them all: a burst of sign-ups on one
cell is two or three updates. How far a cell is stands in the management database, for all workers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from git import GitCommandError, Repo
from gitdb.exc import BadName

from registry.changes import diff
from registry.customers import Registry
from registry.errors import RegistryError
from registry.provenance import MADE_AGAIN


class UpdateError(Exception):
    """A cell could not be updated; the message is the engine's. To be tried again."""


class Result(Protocol):
    """What an update came to."""

    @property
    def name(self) -> str:
        """The stack."""
        ...

    @property
    def error(self) -> str | None:
        """Why it failed."""
        ...

    @property
    def changes(self) -> Mapping[str, int]:
        """Resources by operation."""
        ...

    @property
    def seconds(self) -> float:
        """How long it took."""
        ...

    @property
    def version(self) -> int | None:
        """Its number, as the engine counts."""
        ...

    @property
    def commit(self) -> str | None:
        """Of the registry that the stack is as now."""
        ...

    @property
    def steps(self) -> Sequence[str]:
        """What it did, a line each."""
        ...

    @property
    def shared(self) -> bool:
        """Whether another change's update had taken this one along."""
        ...


class Updater(Protocol):
    """What runs the engine (``deploy.Deployer``)."""

    def cover(self, cell: str, covering: Callable[[str | None], str | None]) -> Result:
        """Update a cell unless that is needless by then."""
        ...


class CellUpdates:
    """Updates cells, each as often as needed."""

    def __init__(
        self,
        updater: Updater,
        registry: Path,
        *,
        at: Callable[[str], Registry],
        fetch: Callable[[], object] = lambda: None,
    ) -> None:
        """Update cells.

        Args:
            updater: Runs the engine.
            registry: The file, in a git repository.
            at: Reads the registry as a commit has it.
            fetch: Brings the repository up to date with its remote, where it has one.
        """
        self._updater = updater
        self._registry = registry
        self._at = lru_cache(maxsize=4)(at)  # a commit never changes
        self._fetch = fetch

    def cover(self, cell: str, commit: str | None) -> Result:
        """Return once the cell is as a commit wants it.

        Args:
            cell: The cell.
            commit: Of the registry; None where nothing was edited: then the newest one.

        Raises:
            UpdateError: the update failed, or the repository here is older than what the cell is as already.
        """
        wanted = commit or self._head()

        def covering(covered: str | None) -> str | None:
            if covered is not None and self._has(covered, wanted):
                return None
            self._fetch()
            head = self._head()
            if covered is not None and not self._has(head, covered) and not self._has_its_changes(head, covered):
                raise UpdateError(
                    f"{cell} is as commit {covered[:10]} of the registry wants it, which this clone does not have: an"
                    " update from here would undo it. Fix: bring the clone up to date (git pull); where its history"
                    f" was rewritten on purpose: `hosting up --cell {cell}`."
                )
            return None if covered is not None and self._is_same(cell, covered, head) else head

        result = self._updater.cover(cell, covering)
        if result.error is not None:
            raise UpdateError(f"{cell}: {result.error}")
        return result

    def _is_same(self, cell: str, before: str, after: str) -> bool:
        """Whether nothing that the cell declares differs between two commits, as when an entry became active."""
        try:
            changes = diff(self._at(before), self._at(after))
        except RegistryError:  # one of them broke a rule: let the update say so
            return False
        return not any(cell in each.cells and each.is_declared for each in changes)

    def _has(self, commit: str, ancestor: str) -> bool:
        """Whether a commit contains another one; not where this clone lacks either."""
        with Repo(self._registry, search_parent_directories=True) as repo:
            try:
                return repo.is_ancestor(repo.commit(ancestor), repo.commit(commit))
            except (BadName, ValueError, GitCommandError):
                return False

    def _has_its_changes(self, commit: str, other: str) -> bool:
        """Whether a commit contains all that another one changed, under other ids.

        What was committed while the remote was away is put after what others pushed meanwhile (ADR 14), by git or,
        where git can't, by making it again.
        """
        with Repo(self._registry, search_parent_directories=True) as repo:
            try:
                missing = repo.git.rev_list("--cherry-pick", "--right-only", f"{commit}...{other}", "--").split()
                again = repo.git.log(f"--format=%(trailers:key={MADE_AGAIN},valueonly)", f"{other}..{commit}", "--")
            except GitCommandError:  # this clone lacks either
                return False
            return set(missing) <= set(again.split())

    def _head(self) -> str:
        with Repo(self._registry, search_parent_directories=True) as repo:
            if not repo.head.is_valid():
                raise UpdateError(f"{self._registry}: its git repository has no commit yet. Fix: commit the file.")
            return str(repo.head.commit.hexsha)
