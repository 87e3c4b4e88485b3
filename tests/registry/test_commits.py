"""Commits about a customer, and whose a name once was."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from registry.cells import Cell
from registry.commits import commits_about, last_owner
from registry.edits import remove
from registry.store import Provenance
from tests.registry.clones import TODAY, begin, field, git, opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A registry that is committed in a git repository of its own."""
    return begin(tmp_path / "repository")


def test_commits_tell_who_and_why(path: Path, cells: Mapping[str, Cell]) -> None:
    """The oldest first, each with actor and cause; another customer's, and a mere mention, are left out."""
    store = opened(path, cells)
    first = store.edit(
        field(status="suspended"), Provenance(summary="Pause", customer_id="c-one", actor="ada", cause="evt_1")
    )
    store.edit(field(plan="pro"), Provenance(summary="As c-one", customer_id="c-one-more", actor="bob"))
    second = store.edit(field(status="active"), Provenance(summary="Go on", customer_id="c-one", actor="stripe"))
    git(path.parent, "commit", "--allow-empty", "-q", "-m", "Customer: c-one is mentioned here\n\nand no trailer")
    found = commits_about(path, "c-one")
    assert [(each.id, each.summary, each.actor, each.cause) for each in found] == [
        (first, "Pause", "ada", "evt_1"),
        (second, "Go on", "stripe", ""),
    ]
    assert found[0].at.tzinfo is not None
    assert commits_about(path, "c-nobody") == []


def test_a_name_has_a_last_owner(path: Path, cells: Mapping[str, Cell]) -> None:
    """Also when the entry is gone; nobody's for a name that never was."""
    store = opened(path, cells)
    subdomain = store.read().customers["c-one"].subdomain
    store.edit(
        lambda text, _: remove(text, "c-one", quarantine_until=TODAY),
        Provenance(summary="End", customer_id="c-one", actor="ada"),
    )
    assert last_owner(path, subdomain) == "c-one"
    assert last_owner(path, "never-there") is None


def test_without_a_repository_there_are_none(tmp_path: Path) -> None:
    """The file alone has no history."""
    file = tmp_path / "customers.yaml"
    file.write_text("customers: {}\n")
    assert (commits_about(file, "c-one"), last_owner(file, "one")) == ([], None)
