"""`hosting review` of a branch that is not merged, with the real engine's previews."""

from __future__ import annotations

import json
import sys

import pytest
from git import Repo

from registry import edits
from registry.customers import Customer, Status
from scripts import cli
from scripts.context import Context
from tests.integration.estate.estate import AUTHOR, LOCAL_CELL, SSH_CELL, Estate


def test_a_branch_is_previewed_and_nothing_is_changed(
    estate: Estate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The engine's counts are those of the branch's registry, while the file in the working tree stays as it is."""
    customer = Customer.model_validate(
        {"subdomain": "willow", "plan": "team", "status": Status.ACTIVE, "cell": SSH_CELL}
    )
    before = estate.registry_file.read_text()
    wished = edits.update(edits.add(before, "c-willow", customer), "c-alder", plan="pro")
    with Repo(estate.registry_file.parent) as repo, estate.other_text(estate.registry_file, wished):
        repo.index.add([str(estate.registry_file)])
        base = repo.head.commit
        head = repo.index.commit("Wish", parent_commits=[base], head=False, author=AUTHOR, committer=AUTHOR)
        repo.index.reset(base)
    ages = estate.ages()
    found = Context(target=estate.deployer._target, settings=estate.settings)
    monkeypatch.setattr(cli, "find_context", lambda _: found)
    monkeypatch.setattr(sys, "argv", ["hosting", "review", f"{base.hexsha}..{head.hexsha}", "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    data = json.loads(capsys.readouterr().out)
    assert data["no_preview"] is None
    previews = {cell["name"]: cell["preview"] for cell in data["cells"]}
    assert {name: (each["error"], each["changes"]["create"]) for name, each in previews.items()} == {
        LOCAL_CELL: (None, 0),
        SSH_CELL: (None, 4),
    }
    assert previews[LOCAL_CELL]["changes"]["replace"] == 1  # a plan is in the container's environment
    assert [each["interruption"] for each in data["customers"]["changed"]] == ["exchange"]
    assert estate.registry_file.read_text() == before
    assert estate.ages() == ages
