"""Brings a commit of the registry onto its cell: one update of a cell at a time, and none for nothing.

Changes that arrive while an update runs wait for the next one, which takes them all: a burst of sign-ups on one
cell is two or three updates.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from git import Repo


class UpdateError(Exception):
    """A cell could not be updated; the message is the engine's. To be tried again."""


class Result(Protocol):
    """What an update came to."""

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


class Updater(Protocol):
    """What runs the engine (``deploy.Deployer``)."""

    def up(self, cells: Sequence[str], *, platform: bool, confirmed_removals: int = 0) -> Sequence[Result]:
        """Update cells."""
        ...


class CellUpdates:
    """Updates cells, each as often as needed."""

    def __init__(self, updater: Updater, registry: Path) -> None:
        self._updater = updater
        self._registry = registry
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._covered: dict[str, str] = {}

    def cover(self, cell: str, commit: str | None) -> Result | None:
        """Return once the cell is as a commit wants it; None where another caller's update had taken it along.

        Args:
            cell: The cell.
            commit: Of the registry; None where nothing was edited: then the newest one.

        Raises:
            UpdateError: the update failed.
        """
        wanted = commit or self._head()
        with self._locks[cell]:
            if wanted is not None and self._is_covered(cell, wanted):
                return None
            head = self._head()
            (result,) = self._updater.up([cell], platform=False)
            if result.error is not None:
                raise UpdateError(f"{cell}: {result.error}")
            if head is not None:
                self._covered[cell] = head
            return result

    def _is_covered(self, cell: str, commit: str) -> bool:
        covered = self._covered.get(cell)
        if covered is None:
            return False
        with Repo(self._registry, search_parent_directories=True) as repo:
            return repo.is_ancestor(repo.commit(commit), repo.commit(covered))

    def _head(self) -> str | None:
        with Repo(self._registry, search_parent_directories=True) as repo:
            return str(repo.head.commit.hexsha) if repo.head.is_valid() else None
