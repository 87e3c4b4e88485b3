"""Bringing commits onto cells: as few updates as possible, and never one too few."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from git import Actor, Repo
from sqlalchemy import Engine

from registry.cells import Cell
from registry.store import RegistryStore
from tests.webhook.updater import CountingUpdater
from webhook.cell_updates import CellUpdates, UpdateError

SOMEBODY = Actor("test", "test@localhost")
CELLS = {name: Cell(region="eu", location="nbg1", server_types=("cx43",)) for name in ("eu-1", "eu-2")}
ENTRY = "  c-{number}:\n    subdomain: wiki{number}\n    plan: {plan}\n    status: {status}\n    cell: eu-{number}\n"


class Registry:
    """A git repository with a registry in it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "customers.yaml"
        self.repo = Repo.init(folder)
        self._number = 0
        self.commit()
        self.at = RegistryStore(self.path, cells=CELLS, domain="markitup.io", clock=lambda: date(2026, 1, 15)).at

    def commit(self, status: str = "active", *, same_plan: bool = False) -> str:
        """Commit another plan of both cells' customers; return the commit's id."""
        self._number += not same_plan
        plan = ("team", "personal")[self._number % 2]
        text = ENTRY.format(number=1, plan=plan, status=status) + ENTRY.format(number=2, plan=plan, status=status)
        self.path.write_text(f"# Edit {self._number}.\ncustomers:\n{text}")
        self.repo.index.add([self.path.name])
        return str(self.repo.index.commit("More", author=SOMEBODY, committer=SOMEBODY).hexsha)

    def back(self, commit: str) -> None:
        """Forget all commits after one, as an old clone would never have had them."""
        self.repo.git.reset("--hard", commit)
        self.repo.git.reflog("expire", "--expire=now", "--all")
        self.repo.git.gc("--prune=now", "--quiet")

    def close(self) -> None:
        """Let the repository go."""
        self.repo.close()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """Make a registry."""
    (tmp_path / "registry").mkdir()
    made = Registry(tmp_path / "registry")
    yield made
    made.close()


def test_a_commit_is_covered_once(registry: Registry, engine: Engine) -> None:
    """The same commit asks for no second update, also of another worker; a newer one does, another cell has its own."""
    updater = CountingUpdater(engine)
    updates, others = (
        CellUpdates(updater, registry.path, at=registry.at),
        CellUpdates(CountingUpdater(engine), registry.path, at=registry.at),
    )
    first = registry.commit()
    assert (updates.cover("eu-1", first).version, updates.cover("eu-1", first).shared) == (1, True)
    assert updates.cover("eu-1", None).shared
    assert (others.cover("eu-1", first).shared, others.cover("eu-1", first).version) == (True, 1)
    assert not updates.cover("eu-2", first).shared
    assert updates.cover("eu-1", registry.commit()).version == 2
    assert updater.updates == ["eu-1", "eu-2", "eu-1"]


def test_a_burst_is_at_most_three_updates(registry: Registry, engine: Engine) -> None:
    """100 sign-ups of two workers that come while an update runs are all taken along by the next one."""
    updaters = [CountingUpdater(engine), CountingUpdater(engine)]
    workers = [CellUpdates(each, registry.path, at=registry.at) for each in updaters]
    for each in updaters:
        each.go.clear()
    commits = [registry.commit()]
    threads = [threading.Thread(target=workers[0].cover, args=("eu-1", commits[0]))]
    threads[0].start()
    assert updaters[0].begun.wait(10)
    for number in range(99):
        commits.append(registry.commit())
        threads.append(threading.Thread(target=workers[number % 2].cover, args=("eu-1", commits[-1])))
        threads[-1].start()
    for each in updaters:
        each.go.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert sum(len(each.updates) for each in updaters) <= 3
    assert workers[0].cover("eu-1", commits[-1]).shared


def test_what_declares_nothing_else_is_no_update(registry: Registry, engine: Engine) -> None:
    """An entry that becomes active runs already; the next plan is an update again."""
    updater = CountingUpdater(engine)
    updates = CellUpdates(updater, registry.path, at=registry.at)
    updates.cover("eu-1", registry.commit("pending"))
    assert updates.cover("eu-1", registry.commit("active", same_plan=True)).shared
    assert not updates.cover("eu-1", registry.commit("suspended", same_plan=True)).shared
    assert not updates.cover("eu-1", registry.commit("suspended")).shared


def test_a_failed_update_covers_nothing(registry: Registry, engine: Engine) -> None:
    """The engine's words come out, and the next try runs the engine again."""
    updater = CountingUpdater(engine)
    updates = CellUpdates(updater, registry.path, at=registry.at)
    updater.error = "the server does not answer"
    commit = registry.commit()
    with pytest.raises(UpdateError, match="eu-1: the server does not answer"):
        updates.cover("eu-1", commit)
    updater.error = None
    assert not updates.cover("eu-1", commit).shared
    assert updater.updates == ["eu-1", "eu-1"]


def test_an_old_clone_undoes_nothing(registry: Registry, engine: Engine) -> None:
    """A worker whose clone lacks what a cell is as already fetches; where that brings nothing it leaves the cell."""
    updater = CountingUpdater(engine)
    old = registry.commit()
    new = registry.commit()
    assert CellUpdates(updater, registry.path, at=registry.at).cover("eu-1", new).commit == new
    registry.back(old)
    fetched: list[bool] = []
    behind = CellUpdates(updater, registry.path, at=registry.at, fetch=lambda: fetched.append(True))
    with pytest.raises(UpdateError, match="would undo it"):
        behind.cover("eu-1", old)
    assert fetched
    assert updater.updates == ["eu-1"]


def test_a_commit_that_was_put_after_others_is_not_missed(registry: Registry, engine: Engine) -> None:
    """Made while the remote was away, then put on top of theirs: the same change under another id."""
    updater = CountingUpdater(engine)
    updates = CellUpdates(updater, registry.path, at=registry.at)

    def change(before: str, after: str) -> str:
        registry.path.write_text(registry.path.read_text().replace(before, after))
        return registry.repo.git.commit("-qam", after) or str(registry.repo.head.commit.hexsha)

    lines = "".join(f"# line {number}\n" for number in range(20))
    registry.path.write_text(lines + registry.path.read_text())
    base = change("# line 19", "# line nineteen")
    ours = change("# line 1\n", "# line 1\n# ours\n")
    assert updates.cover("eu-1", ours).commit == ours
    registry.repo.git.reset("--quiet", "--hard", base)
    change("status: active", "status: suspended")
    with pytest.raises(UpdateError, match="would undo it"):
        updates.cover("eu-1", None)
    registry.repo.git.cherry_pick(ours)
    head = str(registry.repo.head.commit.hexsha)
    assert updates.cover("eu-1", None).commit == head != ours


def test_a_commit_that_was_made_again_is_not_missed(registry: Registry, engine: Engine) -> None:
    """Where git could not put it after theirs its message says what it was."""
    updater = CountingUpdater(engine)
    updates = CellUpdates(updater, registry.path, at=registry.at)
    base = str(registry.repo.head.commit.hexsha)
    ours = registry.commit("suspended")
    assert updates.cover("eu-1", ours).commit == ours
    registry.repo.git.reset("--quiet", "--hard", base)
    registry.commit("suspended")
    with pytest.raises(UpdateError, match="would undo it"):
        updates.cover("eu-1", None)
    registry.repo.git.commit("--allow-empty", "-qm", f"Again\n\nActor: stripe\nFormerly: {ours}\n")
    assert updates.cover("eu-1", None).version == 2
