"""Edits that a person has to agree to: one branch each, on which nobody's work is lost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from registry.cells import Cell
from registry.errors import RegistryError
from registry.store import Moved, Proposal, RegistryStore, Remote
from tests.registry.clones import TEXT, begin, committed, field, git, log, opened, why

ORIGIN = Remote(address="origin")
BRANCH = "hosting/c-one-plan"
PRO = TEXT.replace("plan: team", "plan: pro")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The service's clone, with a bare repository that has the first commit."""
    path = begin(tmp_path / "service")
    git(tmp_path, "clone", "--quiet", "--bare", "service", "remote.git")
    git(path.parent, "remote", "add", "origin", str(tmp_path / "remote.git"))
    return path


@pytest.fixture
def shared(path: Path) -> Path:
    """The file as a path beside the bare repository."""
    return path.parent.parent / "remote.git" / "customers.yaml"


@pytest.fixture
def said() -> list[str]:
    """What the store reports."""
    return []


@pytest.fixture
def store(path: Path, cells: Mapping[str, Cell], said: list[str]) -> RegistryStore:
    """The store, with the remote."""
    return opened(path, cells, remote=ORIGIN, said=said)


@pytest.fixture
def ada(path: Path) -> Path:
    """The registry in the clone of a reviewer."""
    git(path.parent.parent, "clone", "--quiet", "remote.git", "ada")
    return path.parent.parent / "ada" / "customers.yaml"


def propose(store: RegistryStore, **changes: object) -> Proposal | None:
    """Propose a change of the first customer."""
    return store.propose(field(**(changes or {"plan": "pro"})), why("Upgrade c-one", cause="evt_1"), branch=BRANCH)


def push(person: Path, text: str) -> None:
    """Commit a text as a person on the branch that is checked out, and push it."""
    person.write_text(text, encoding="utf-8")
    git(person.parent, "commit", "--quiet", "-am", "By Ada")
    git(person.parent, "push", "--quiet", "origin", "HEAD")


def switch(person: Path) -> None:
    """Check the proposal out as a person."""
    git(person.parent, "fetch", "--quiet")
    git(person.parent, "switch", "--quiet", BRANCH)


def changed(folder: Path) -> str:
    """Return which files a merge of the proposal into the main branch would change, as a pull request shows it."""
    return git(folder, "diff", "--name-only", f"main...{BRANCH}").strip()


def test_a_proposal_is_one_commit_on_its_branch(store: RegistryStore, path: Path, shared: Path) -> None:
    """It is pushed; the file, the index, the branch that is checked out and a person's work stay as they are."""
    (path.parent / "notes.txt").write_text("mine\n", encoding="utf-8")
    before = git(path.parent, "status", "--porcelain", "--branch")
    made = propose(store)
    assert made is not None
    assert made == Proposal(branch=BRANCH, commit=made.commit, is_new=True)
    for repository in (path, shared):
        assert git(repository.parent, "rev-parse", BRANCH).strip() == made.commit
        assert git(repository.parent, "log", "--format=%s", f"main..{BRANCH}").splitlines() == ["Upgrade c-one"]
        assert committed(repository, BRANCH) == PRO
        assert changed(repository.parent) == "customers.yaml"
    assert "Cause: evt_1" in git(path.parent, "log", "-1", "--format=%(trailers)", BRANCH)
    assert path.read_text(encoding="utf-8") == TEXT
    assert log(path) == ["Begin"]
    assert git(path.parent, "status", "--porcelain", "--branch") == before


def test_a_proposal_without_a_remote_is_a_plain_branch(path: Path, cells: Mapping[str, Cell]) -> None:
    """A reviewer merges it in the clone; the next look tells so, and nothing is left to propose."""
    store = opened(path, cells)
    store.sync()
    before = git(path.parent, "rev-parse", "HEAD").strip()
    made = propose(store)
    assert made is not None
    git(path.parent, "merge", "--quiet", BRANCH)
    assert store.sync() == Moved(before=before, after=made.commit)
    assert propose(store) is None
    assert store.withdraw(BRANCH)
    assert git(path.parent, "branch", "--list", "hosting/*") == ""
    assert store.read().customers["c-one"].plan == "pro"


def test_a_repeated_proposal_changes_nothing(store: RegistryStore, path: Path, ada: Path, shared: Path) -> None:
    """Nor does it after others changed other customers: reviews of it stay valid."""
    first = propose(store)
    assert first is not None
    assert propose(store) == Proposal(branch=BRANCH, commit=first.commit, is_new=False)
    push(ada, TEXT.replace("birch", "beech"))
    assert propose(store) == Proposal(branch=BRANCH, commit=first.commit, is_new=False)
    assert log(path) == ["By Ada", "Begin"]
    assert git(shared.parent, "rev-parse", BRANCH).strip() == first.commit


def test_another_process_knows_the_proposal(store: RegistryStore, ada: Path, cells: Mapping[str, Cell]) -> None:
    """A worker on another machine, with a clone of its own, makes no second one."""
    first = propose(store)
    assert first is not None
    other = opened(ada, cells, remote=ORIGIN)
    assert propose(other) == Proposal(branch=BRANCH, commit=first.commit, is_new=False)


@pytest.mark.parametrize("reason", ["it no longer applies", "it is no longer what is wanted"])
def test_a_proposal_that_is_out_of_date_is_put_right(
    reason: str, store: RegistryStore, path: Path, ada: Path, shared: Path
) -> None:
    """The branch goes forward, never back; merging it makes exactly the present edit."""
    first = propose(store)
    assert first is not None
    if reason == "it no longer applies":
        moved = TEXT.replace("plan: team", "plan: personal")
        push(ada, moved)
        second = propose(store)
        expected = PRO
    else:
        second = propose(store, status="suspended")
        moved = TEXT
        expected = TEXT.replace("active  # since", "suspended  # since")
    assert second is not None
    assert second.is_new
    assert git(shared.parent, "merge-base", first.commit, second.commit).strip() == first.commit
    assert committed(shared, "main") == moved
    assert changed(shared.parent) == "customers.yaml"
    assert propose(store, **({} if expected == PRO else {"status": "suspended"})) == Proposal(
        branch=BRANCH, commit=second.commit, is_new=False
    )
    git(ada.parent, "pull", "--quiet", "origin", "main")
    git(ada.parent, "fetch", "--quiet")
    git(ada.parent, "merge", "--quiet", f"origin/{BRANCH}")
    git(ada.parent, "push", "--quiet", "origin", "main")
    assert store.sync() is not None
    assert path.read_text(encoding="utf-8") == expected


@pytest.mark.parametrize("way", ["fast-forward", "merge commit", "squash", "rebase"])
def test_a_merged_proposal_arrives(way: str, store: RegistryStore, path: Path, ada: Path, shared: Path) -> None:
    """However it is merged on the remote, the branch moves here, and there is nothing left to propose."""
    store.sync()
    before = git(path.parent, "rev-parse", "HEAD").strip()
    propose(store)
    if way != "fast-forward":
        push(ada, TEXT.replace("birch", "beech"))
    git(ada.parent, "fetch", "--quiet")
    argv = {
        "fast-forward": ("merge", "--ff-only", f"origin/{BRANCH}"),
        "merge commit": ("merge", "--no-ff", "--no-edit", f"origin/{BRANCH}"),
        "squash": ("merge", "--squash", f"origin/{BRANCH}"),
        "rebase": ("cherry-pick", f"origin/{BRANCH}"),
    }[way]
    git(ada.parent, *argv)
    if way == "squash":
        git(ada.parent, "commit", "--quiet", "-m", "Upgrade c-one (#7)")
    git(ada.parent, "push", "--quiet", "origin", "main")
    moved = store.sync()
    after = git(shared.parent, "rev-parse", "main").strip()
    assert moved == Moved(before=before, after=after)
    assert store.at(before).customers["c-one"].plan == "team"
    assert store.at(after).customers["c-one"].plan == "pro"
    assert propose(store) is None
    assert store.withdraw(BRANCH)
    assert git(shared.parent, "branch", "--list", "hosting/*") == ""


def test_a_branch_that_was_merged_and_deleted_does_not_come_back(
    store: RegistryStore, path: Path, ada: Path, shared: Path
) -> None:
    """A later proposal of that name begins anew from the present branch."""
    propose(store)
    git(ada.parent, "fetch", "--quiet")
    git(ada.parent, "merge", "--squash", f"origin/{BRANCH}")
    git(ada.parent, "commit", "--quiet", "-m", "Squashed")
    git(ada.parent, "push", "--quiet", "origin", "main")
    git(ada.parent, "push", "--quiet", "--delete", "origin", BRANCH)
    second = propose(store, status="suspended")
    assert second is not None
    assert git(shared.parent, "log", "--format=%s", BRANCH).splitlines() == ["Upgrade c-one", "Squashed", "Begin"]


def test_a_proposal_that_somebody_else_committed_on_is_theirs(
    store: RegistryStore, path: Path, ada: Path, shared: Path, said: list[str]
) -> None:
    """It is neither put right nor withdrawn, and that is said."""
    propose(store)
    switch(ada)
    push(ada, PRO.replace("# The first.", "# As agreed by telephone."))
    theirs = git(ada.parent, "rev-parse", "HEAD").strip()
    assert propose(store) == Proposal(branch=BRANCH, commit=theirs, is_new=False, is_theirs=True)
    assert propose(store, status="suspended") == Proposal(branch=BRANCH, commit=theirs, is_new=False, is_theirs=True)
    assert not store.withdraw(BRANCH)
    assert git(shared.parent, "rev-parse", BRANCH).strip() == theirs
    assert all("somebody else committed on it" in each for each in said)
    assert len(said) == 3


def test_a_withdrawn_proposal_is_gone(store: RegistryStore, path: Path, shared: Path) -> None:
    """Here and on the remote; to withdraw it again, or one that never was, is nothing."""
    propose(store)
    assert store.withdraw(BRANCH)
    for repository in (path, shared):
        assert git(repository.parent, "branch", "--list", "hosting/*") == ""
    assert store.withdraw(BRANCH)
    again = propose(store)
    assert again is not None
    assert again.is_new
    assert git(shared.parent, "rev-parse", BRANCH).strip() == again.commit


def test_another_machine_withdraws_it(
    store: RegistryStore, path: Path, ada: Path, shared: Path, cells: Mapping[str, Cell]
) -> None:
    """It knows what is proposed as soon as it has looked at the remote, and who proposed it can do so again."""
    propose(store)
    other = opened(ada, cells, remote=ORIGIN)
    assert other.proposals() == []
    other.sync()
    assert other.proposals() == [BRANCH]
    assert opened(ada, cells).proposals() == []  # one that shares with nobody
    assert other.withdraw(BRANCH)
    assert other.proposals() == []
    assert git(shared.parent, "branch", "--list", "hosting/*") == ""
    again = propose(store)
    assert again is not None
    assert again.is_new
    assert committed(shared, BRANCH) == PRO


def test_what_somebody_deleted_is_known_no_longer(
    store: RegistryStore, ada: Path, shared: Path, cells: Mapping[str, Cell]
) -> None:
    """As after a merge at GitHub, on machines that did not propose it."""
    other = opened(ada, cells, remote=ORIGIN)
    propose(store)
    other.sync()
    git(shared.parent, "branch", "-D", BRANCH)
    other.sync()
    assert other.proposals() == []


def test_somebody_may_commit_between_our_look_and_our_withdrawal(
    store: RegistryStore, ada: Path, shared: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remote deletes the branch only while it is what we looked at."""
    propose(store)
    switch(ada)
    wire = store._wire
    assert wire is not None
    drop = wire.drop

    def late(clone: Path, commit: str, branch: str) -> None:
        push(ada, PRO.replace("birch", "beech"))
        drop(clone, commit, branch)

    monkeypatch.setattr(wire, "drop", late)
    assert not store.withdraw(BRANCH)
    assert committed(shared, BRANCH) == PRO.replace("birch", "beech")
    assert "is not deleted yet" in said[0]


def test_a_proposal_waits_for_a_remote_that_is_away(
    store: RegistryStore, path: Path, shared: Path, said: list[str]
) -> None:
    """It is made here; proposed again once the remote is back, it is pushed as it is."""
    remote = shared.parent
    gone = remote.rename(remote.with_name("gone.git"))
    first = propose(store)
    assert first is not None
    assert first == Proposal(branch=BRANCH, commit=first.commit, is_new=True, is_pushed=False)
    assert any("waits to be pushed" in each for each in said)
    assert not store.withdraw(BRANCH)
    gone.rename(remote)
    assert propose(store) == Proposal(branch=BRANCH, commit=first.commit, is_new=False)
    assert git(remote, "rev-parse", BRANCH).strip() == first.commit
    assert log(path) == ["Begin"]


def test_a_refused_edit_is_not_proposed(store: RegistryStore, path: Path) -> None:
    """What the registry's rules refuse makes no branch."""
    with pytest.raises(RegistryError, match="belongs to customers/c-"):
        propose(store, subdomain="birch")
    assert git(path.parent, "branch", "--list", "hosting/*") == ""


def test_a_proposal_never_goes_to_the_branch_that_is_checked_out(path: Path, cells: Mapping[str, Cell]) -> None:
    """A reviewer who left the clone on the proposal is told to switch back."""
    store = opened(path, cells)
    propose(store)
    git(path.parent, "switch", "--quiet", BRANCH)
    for attempt in (lambda: propose(store, status="suspended"), lambda: store.withdraw(BRANCH)):
        with pytest.raises(RegistryError, match="is checked out, so the service would commit to the proposal itself"):
            attempt()


@pytest.mark.parametrize("name", ["main", "hosting/", "hosting/../main", "hosting/a b", "hosting/-x", "hosting/x.lock"])
def test_only_names_of_proposals_are_taken(name: str, store: RegistryStore) -> None:
    """A name from elsewhere can't reach another branch, nor be an option of git's."""
    with pytest.raises(ValueError, match="is no proposal's branch"):
        store.propose(field(plan="pro"), why(), branch=name)
