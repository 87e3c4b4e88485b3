"""`hosting customer purge`: nothing is deleted before there is a backup, or somebody said that none is needed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
import yaml

from registry.customers import QUARANTINE_DAYS, Customer
from scripts.context import Context, today
from tests.scripts.test_cli import hosting, project, text
from webhook.deploy import StackResult
from webhook.instance_facts import InstanceFacts, LastUpdate

__all__ = ["hosting", "project"]  # fixtures: pytest finds them here

Hosting = Callable[..., tuple[int, str, str]]
PURGE = ("customer", "purge", "acme", "--before-grace-ends", "--confirm", "acme")


class Updater:
    """Updates nothing, and notes the entry that each update would have declared."""

    def __init__(self, project: Path) -> None:
        self._project = project
        self.last: LastUpdate | None = None
        self.declared: list[str | None] = []

    def last_update(self, _: str) -> LastUpdate | None:
        """Return what the engine knows of the cell."""
        return self.last

    def up(self, cells: list[str], *, platform: bool, commit: str | None) -> list[StackResult]:
        """Note the customer's status as the registry has it."""
        assert (cells, platform) == (["eu-1"], False)
        assert commit is not None
        entry = yaml.safe_load(text(self._project))["customers"].get("c-acme0001")
        self.declared.append(None if entry is None else entry["status"])
        return []


@pytest.fixture
def updater(project: Path, hosting: Hosting, monkeypatch: pytest.MonkeyPatch) -> Updater:
    """An environment whose customer acme was removed, and which no engine updates."""
    made = Updater(project)
    monkeypatch.setattr(Context, "deployer", lambda *_: made)
    assert hosting("customer", "remove", "acme", "--yes", "--no-up")[0] == 0
    return made


def test_without_a_backup_nothing_is_deleted(hosting: Hosting, project: Path, updater: Updater) -> None:
    """The reason, that nothing was deleted, and what to do; the registry stays as it was."""
    before = text(project)
    code, _, err = hosting(*PURGE)
    said = " ".join(err.split())
    assert code == 1
    assert "c-acme0001 has no final backup: the cell eu-1 has never been updated" in said
    assert "Nothing was deleted" in said
    assert "--without-backup" in said
    assert "Traceback" not in err
    assert (text(project), updater.declared) == (before, [])


def test_data_that_is_worth_nothing_may_go(hosting: Hosting, project: Path, updater: Updater) -> None:
    """First unprotected, then forgotten, each with an update; the name stays in quarantine."""
    code, _, err = hosting(*PURGE, "--without-backup")
    assert code == 0, err
    assert updater.declared == ["purging", None]
    after = yaml.safe_load(text(project))
    assert after["quarantine"] == {"acme": today() + timedelta(days=QUARANTINE_DAYS)}
    assert isinstance(after["quarantine"]["acme"], date)


def test_the_backup_comes_first(
    hosting: Hosting, project: Path, updater: Updater, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the customer still is as before; and not again where a purge is continued, whose volume may be gone."""
    taken: list[str] = []

    def take(_: InstanceFacts, customer_id: str, entry: Customer) -> None:
        assert f"status: {entry.status}" in text(project)
        taken.append(f"{customer_id} {entry.status}")

    monkeypatch.setattr(InstanceFacts, "take_final_backup", take)
    assert hosting(*PURGE)[0] == 0
    assert (taken, updater.declared) == (["c-acme0001 deleting"], ["purging", None])


def test_a_purge_is_continued(
    hosting: Hosting, project: Path, updater: Updater, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed update the data may be gone: no second backup is asked for, and it comes to its end."""
    path = project / "customers.yaml"
    path.write_text(text(project).replace("status: deleting", "status: purging"))
    code, _, err = hosting(*PURGE)
    assert code == 0, err
    assert updater.declared == ["purging", None]
