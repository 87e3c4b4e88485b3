"""Bringing commits onto cells: as few updates as possible, and never one too few."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from git import Actor, Repo

from webhook.cell_updates import CellUpdates, UpdateError

SOMEBODY = Actor("test", "test@localhost")


@dataclass
class Result:
    """What the fake engine says."""

    error: str | None = None
    changes: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0


class Engine:
    """Counts updates; each takes until it is let go."""

    def __init__(self) -> None:
        self.updates: list[str] = []
        self.error: str | None = None
        self.go = threading.Event()
        self.go.set()
        self.begun = threading.Event()

    def up(self, cells: Sequence[str], *, platform: bool, confirmed_removals: int = 0) -> list[Result]:
        assert not platform
        self.updates.extend(cells)
        self.begun.set()
        assert self.go.wait(10)
        return [Result(error=self.error) for _ in cells]


class Registry:
    """A git repository with a registry in it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "customers.yaml"
        self._repo = Repo.init(folder)
        self.commit()

    def commit(self) -> str:
        """Make one more commit; return its id."""
        self.path.write_text((self.path.read_text() if self.path.exists() else "") + "# more\n")
        self._repo.index.add([self.path.name])
        return str(self._repo.index.commit("More", author=SOMEBODY, committer=SOMEBODY).hexsha)

    def close(self) -> None:
        """Let the repository go."""
        self._repo.close()


@pytest.fixture
def registry(tmp_path: Path):  # noqa: ANN201
    """Make a registry."""
    made = Registry(tmp_path)
    yield made
    made.close()


def test_a_commit_is_covered_once(registry: Registry) -> None:
    """The same commit asks for no second update, a newer one does, another cell has its own."""
    engine = Engine()
    updates = CellUpdates(engine, registry.path)
    first = registry.commit()
    assert updates.cover("eu-1", first) is not None
    assert updates.cover("eu-1", first) is None
    assert updates.cover("eu-1", None) is None
    assert updates.cover("eu-2", first) is not None
    assert updates.cover("eu-1", registry.commit()) is not None
    assert engine.updates == ["eu-1", "eu-2", "eu-1"]


def test_a_burst_is_at_most_three_updates(registry: Registry) -> None:
    """100 sign-ups that come while an update runs are all taken along by the next one."""
    engine = Engine()
    updates = CellUpdates(engine, registry.path)
    engine.go.clear()
    commits = [registry.commit()]
    threads = [threading.Thread(target=updates.cover, args=("eu-1", commits[0]))]
    threads[0].start()
    assert engine.begun.wait(10)
    for _ in range(99):
        commits.append(registry.commit())
        threads.append(threading.Thread(target=updates.cover, args=("eu-1", commits[-1])))
        threads[-1].start()
    engine.go.set()
    for thread in threads:
        thread.join(30)
    assert len(engine.updates) <= 3
    assert updates.cover("eu-1", commits[-1]) is None


def test_a_failed_update_covers_nothing(registry: Registry) -> None:
    """The engine's words come out, and the next try runs the engine again."""
    engine = Engine()
    updates = CellUpdates(engine, registry.path)
    engine.error = "the server does not answer"
    commit = registry.commit()
    with pytest.raises(UpdateError, match="eu-1: the server does not answer"):
        updates.cover("eu-1", commit)
    engine.error = None
    assert updates.cover("eu-1", commit) is not None
    assert engine.updates == ["eu-1", "eu-1"]
