"""Stands for the engine in tests that are about something else: takes real turns, counts updates, fails on demand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Engine

from webhook.turns import Turns


@dataclass(frozen=True, kw_only=True)
class Result:
    """What an update came to."""

    name: str
    error: str | None = None
    changes: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.1
    version: int | None = None
    commit: str | None = None
    steps: Sequence[str] = ()
    shared: bool = False


class CountingUpdater:
    """Takes turns in a real database; each update takes until it is let go."""

    def __init__(self, database: Engine, *, seconds: float = 0.0) -> None:
        self._seconds = seconds
        self.updates: list[str] = []
        self.error: str | None = None
        self.go = threading.Event()
        self.go.set()
        self.begun = threading.Event()
        self._turns = Turns(database)

    def cover(self, cell: str, covering: Callable[[str | None], str | None]) -> Result:
        """Do as ``Deployer.cover`` does, without an engine."""
        name = f"test-{cell}"
        with self._turns.take(name) as turn:
            commit = covering(turn.standing.covered)
            if commit is None:
                return Result(name=name, version=turn.standing.version, commit=turn.standing.covered, shared=True)
            turn.begin()
            self.updates.append(cell)
            self.begun.set()
            assert self.go.wait(30)
            time.sleep(self._seconds)
            if self.error is not None:
                return Result(name=name, error=self.error)
            version = (turn.standing.version or 0) + 1
            turn.finish(covered=commit, version=version)
            return Result(name=name, version=version, commit=commit, steps=("created Container c-glade234",))
