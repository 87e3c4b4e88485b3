"""A registry that is shared through a git remote: nobody's commit is lost, whoever pushes first and whatever fails."""

from __future__ import annotations

import base64
import re
import signal
import socket
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from registry.cells import Cell
from registry.customers import Customer, Registry, Status
from registry.edits import add, update
from registry.errors import RegistryError
from registry.store import Moved, RegistryStore, Remote
from tests.registry.clones import TEXT, begin, committed, field, git, log, opened, run, why
from tests.registry.git_server import git_server

ORIGIN = Remote(address="origin")
PRO = TEXT.replace("plan: team", "plan: pro")
SUSPENDED = "active  # since", "suspended  # since"
BY_HAND = "Record an edit by hand of the registry"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The service's clone of a bare repository, which has the first commit."""
    path = begin(tmp_path / "service")
    git(tmp_path, "clone", "--quiet", "--bare", "service", "remote.git")
    git(path.parent, "remote", "add", "origin", str(tmp_path / "remote.git"))
    return path


@pytest.fixture
def shared(path: Path) -> Path:
    """The file as a path beside the bare repository: what the remote has is read there."""
    return path.parent.parent / "remote.git" / "customers.yaml"


@pytest.fixture
def said() -> list[str]:
    """What the store reports."""
    return []


@pytest.fixture
def store(path: Path, cells: Mapping[str, Cell], said: list[str]) -> RegistryStore:
    """The store of the clone."""
    return opened(path, cells, remote=ORIGIN, said=said)


@pytest.fixture
def ada(path: Path) -> Path:
    """The registry in the clone of a person."""
    git(path.parent.parent, "clone", "--quiet", "remote.git", "ada")
    return path.parent.parent / "ada" / "customers.yaml"


def push(person: Path, text: str, message: str = "By Ada") -> str:
    """Commit a text as a person and push it; return the commit."""
    person.write_text(text, encoding="utf-8")
    git(person.parent, "commit", "--quiet", "-am", message)
    git(person.parent, "push", "--quiet", "origin", "HEAD")
    return git(person.parent, "rev-parse", "HEAD").strip()


def away(path: Path) -> Path:
    """Take the remote away; return where it is kept."""
    remote = path.parent.parent / "remote.git"
    return remote.rename(remote.with_name("gone.git"))


def back(gone: Path) -> None:
    """Bring it back."""
    gone.rename(gone.with_name("remote.git"))


def hook(path: Path, name: str, script: str) -> Path:
    """Give the remote a hook."""
    file = path.parent.parent / "remote.git" / "hooks" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


def clean(path: Path) -> bool:
    """Return whether nothing is left over in the clone, nor beside it."""
    scraps = [each.name for each in path.parent.iterdir() if each.name.startswith(".customers.yaml.")]
    worktrees = git(path.parent, "worktree", "list").splitlines()
    return (
        git(path.parent, "status", "--porcelain") == "" and scraps == [".customers.yaml.lock"] and len(worktrees) == 1
    )


def meanwhile(action: Callable[[], object], **changes: object) -> Callable[[str, Registry], str]:
    """Return an operation during whose first run somebody does something."""
    seen: list[str] = []

    def operation(before: str, _: Registry) -> str:
        if not seen:
            action()
        seen.append(before)
        return update(before, "c-one", **changes)

    return operation


def test_an_edit_is_pushed(store: RegistryStore, path: Path, shared: Path, said: list[str]) -> None:
    """What is committed here is on the remote as well, as the same commit."""
    commit = store.edit(field(plan="pro"), why("Upgrade"))
    assert git(shared.parent, "rev-parse", "main").strip() == commit == git(path.parent, "rev-parse", "HEAD").strip()
    assert committed(shared, "main") == PRO == path.read_text(encoding="utf-8")
    assert clean(path)
    assert said == []
    assert store.trouble is None


def test_what_others_pushed_comes_first(store: RegistryStore, path: Path, ada: Path, shared: Path) -> None:
    """An edit is made on what the remote has; other files of that commit come along."""
    (ada.parent / "notes.txt").write_text("two\n", encoding="utf-8")
    push(ada, TEXT.replace("birch", "beech"))
    store.edit(field(plan="pro"), why("Upgrade"))
    assert log(path) == ["Upgrade", "By Ada", "Begin"]
    assert path.read_text(encoding="utf-8") == PRO.replace("birch", "beech") == committed(shared, "main")
    assert (path.parent / "notes.txt").read_text(encoding="utf-8") == "two\n"
    assert clean(path)


@pytest.mark.parametrize("theirs", ["another customer", "the same customer", "the same field"])
def test_a_rejected_push_is_made_again(theirs: str, store: RegistryStore, path: Path, ada: Path, shared: Path) -> None:
    """Who pushes between our look and our push is not overwritten: the edit is made again, on their text."""
    by_ada = {
        "another customer": TEXT.replace("birch", "beech"),
        "the same customer": TEXT.replace(*SUSPENDED),
        "the same field": TEXT.replace("plan: team", "plan: personal"),
    }[theirs]
    operation = meanwhile(lambda: push(ada, by_ada), plan="pro")
    commit = store.edit(operation, why("Upgrade"))
    expected = re.sub("plan: (team|personal)", "plan: pro", by_ada, count=1)
    assert committed(shared, "main") == expected == path.read_text(encoding="utf-8")
    assert log(path) == ["Upgrade", "By Ada", "Begin"]
    assert git(shared.parent, "rev-parse", "main").strip() == commit
    assert clean(path)


def test_an_edit_that_others_made_meanwhile_is_not_made_twice(
    store: RegistryStore, path: Path, ada: Path, shared: Path
) -> None:
    """The second run of the operation finds nothing to change: there is no commit."""
    assert store.edit(meanwhile(lambda: push(ada, PRO), plan="pro"), why("Upgrade")) is None
    assert log(path) == ["By Ada", "Begin"]
    assert committed(shared, "main") == PRO == path.read_text(encoding="utf-8")


def test_an_edit_that_is_refused_on_their_text_is_not_pushed(
    store: RegistryStore, path: Path, ada: Path, shared: Path
) -> None:
    """Somebody takes the name meanwhile: the edit is refused, nothing of it is anywhere."""
    taken = TEXT.replace("birch", "cobalt")
    operation = meanwhile(lambda: push(ada, taken), subdomain="cobalt")
    with pytest.raises(RegistryError, match="`cobalt` belongs to customers/c-one already"):
        store.edit(operation, why("Rename"))
    assert committed(shared, "main") == taken == path.read_text(encoding="utf-8")
    assert log(path) == ["By Ada", "Begin"]
    assert clean(path)


def test_a_remote_that_is_away_is_caught_up_with(
    store: RegistryStore, path: Path, ada: Path, shared: Path, said: list[str]
) -> None:
    """Edits go on here, and that is said; once it is back, they are put on top of what others pushed there."""
    push(ada, TEXT.replace("birch", "beech"))
    gone = away(path)
    assert store.edit(field(plan="pro"), why("Upgrade")) is not None
    assert store.edit(field(status="suspended"), why("Suspend")) is not None
    assert log(path) == ["Suspend", "Upgrade", "Begin"]
    assert len(said) == 1  # it is not tried again at once
    assert "origin can't be reached: " in said[0]
    assert store.trouble == said[0]
    assert store.sync() is None
    back(gone)
    moved = store.sync()
    assert log(path) == ["Suspend", "Upgrade", "By Ada", "Begin"]
    assert committed(shared, "main") == PRO.replace("birch", "beech").replace(*SUSPENDED)
    assert path.read_text(encoding="utf-8") == committed(shared, "main")
    assert moved is not None
    assert {*store.at(moved.before).customers} == {*store.at(moved.after).customers}
    assert store.trouble is None
    assert clean(path)


def test_a_remote_that_does_not_answer_is_waited_for_shortly(
    path: Path, cells: Mapping[str, Cell], said: list[str]
) -> None:
    """A host that takes the connection and says nothing holds one edit up, for the time-out; the next goes on."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/remote.git"
        store = opened(path, cells, remote=Remote(address=url, seconds=0.5), said=said)
        began = time.monotonic()
        assert store.edit(field(plan="pro"), why()) is not None
        assert store.edit(field(status="suspended"), why()) is not None
        assert time.monotonic() - began < 10
    assert len(said) == 1
    assert "no answer in 0.5 s" in said[0]


def test_a_remote_that_declines_is_told_of(store: RegistryStore, path: Path, shared: Path, said: list[str]) -> None:
    """A protected branch: the commit stays here, git's words are passed on, and a later look pushes it."""
    refusing = hook(path, "pre-receive", "echo 'main is protected' >&2; exit 1")
    commit = store.edit(field(plan="pro"), why("Upgrade"))
    assert git(path.parent, "rev-parse", "HEAD").strip() == commit
    assert committed(shared, "main") == TEXT
    assert "main is protected" in said[0]
    assert "Fix: let main be pushed by the service" in said[0]
    assert store.trouble is not None
    refusing.unlink()
    assert store.sync() is None
    assert git(shared.parent, "rev-parse", "main").strip() == commit
    assert store.trouble is None


@pytest.mark.parametrize("named", [True, False])
def test_a_token_opens_the_remote_and_is_nowhere(
    named: bool, path: Path, shared: Path, cells: Mapping[str, Cell], said: list[str]
) -> None:
    """Git sends it to the remote; no file of the clone has it, no message, no process's arguments."""
    token = "ghp_0123456789abcdef"
    with git_server(shared.parent.parent, token=token) as base:
        url = f"{base}/remote.git"
        if named:
            git(path.parent, "remote", "set-url", "origin", url)
        remote = Remote(address="origin" if named else url, token=SecretStr(token))
        store = opened(path, cells, remote=remote, said=said)
        assert store.edit(field(plan="pro"), why()) is not None
        assert committed(shared, "main") == PRO
        assert said == []
        wrong = opened(path, cells, remote=replace(remote, token=SecretStr("ghp_mistaken")), said=said)
        assert wrong.edit(field(status="suspended"), why()) is not None
    assert "can't be reached: " in said[0]
    assert committed(shared, "main") == PRO
    files = [each.read_bytes() for each in path.parent.rglob("*") if each.is_file()]
    hidden = [token, "ghp_mistaken", base64.b64encode(f"x-access-token:{token}".encode()).decode()]
    assert not [word for word in hidden if word in f"{said} {remote!r}" or any(word.encode() in each for each in files)]


def test_a_token_is_not_sent_to_a_host_without_tls(path: Path, cells: Mapping[str, Cell]) -> None:
    """Nor to any other host than the remote's."""
    for url, expected in (
        ("http://git.example.org/a.git", None),
        ("git@git.example.org:a.git", None),
        ("https://ada@git.example.org/a.git", "http.https://git.example.org/.extraheader"),
    ):
        store = opened(path, cells, remote=Remote(address=url, token=SecretStr("ghp_0123456789abcdef")))
        assert store._wire is not None
        assert store._wire._variables(path.parent).get("GIT_CONFIG_KEY_0") == expected


def test_an_empty_remote_is_filled(tmp_path: Path, cells: Mapping[str, Cell], said: list[str]) -> None:
    """A branch that the remote does not have yet is made by the first push; the remote may be given by its URL."""
    path = begin(tmp_path / "service")
    git(tmp_path, "init", "--quiet", "--bare", "remote.git")
    store = opened(path, cells, remote=Remote(address=str(tmp_path / "remote.git")), said=said)
    commit = store.edit(field(plan="pro"), why())
    assert git(tmp_path / "remote.git", "rev-parse", "main").strip() == commit
    assert said == []


@pytest.mark.parametrize(
    ("moment", "on_the_remote"),
    [
        ("from registry.remote import Wire\nWire.push = die", False),
        ("RegistryStore._commit = die", True),
        ("Path.replace = die", True),
    ],
)
def test_a_kill_around_the_push_loses_and_doubles_nothing(
    moment: str, on_the_remote: bool, path: Path, shared: Path, cells: Mapping[str, Cell]
) -> None:
    """Before the push nothing is anywhere; after it the next edit takes our own commit over from the remote."""
    program = f"{moment}\nstore.edit(lambda text, _: update(text, 'c-one', plan='pro'), why('c-one'))\n"
    assert run(path, program, "1", "origin").wait(60) == -signal.SIGKILL
    assert committed(shared, "main") == (PRO if on_the_remote else TEXT)
    store = opened(path, cells, remote=ORIGIN)
    store.edit(field(plan="pro"), why("Again"))
    assert log(path) == ["Edit c-one" if on_the_remote else "Again", "Begin"]
    assert committed(path) == PRO == committed(shared, "main") == path.read_text(encoding="utf-8")
    assert clean_but_scraps(path)


def clean_but_scraps(path: Path) -> bool:
    """Return whether git has nothing to say but of what a killed process left beside the file."""
    lines = git(path.parent, "status", "--porcelain").splitlines()
    return all(line.startswith("?? .customers.yaml.") for line in lines)


@pytest.mark.parametrize("diverged", [False, True])
def test_a_broken_file_on_the_remote_is_not_taken_over(
    diverged: bool, store: RegistryStore, path: Path, ada: Path, shared: Path
) -> None:
    """Neither the file nor the branch moves, each edit says whose line is wrong, and mending it there is enough."""
    if diverged:
        gone = away(path)
        store.edit(field("c-two", stripe_customer="cus_2"), why("Link"))
        back(gone)
        store._wire._away_until = 0  # pyright: ignore[reportOptionalMemberAccess]
    before = path.read_text(encoding="utf-8"), log(path)
    broken = push(ada, TEXT.replace("plan: team", "plan: gold"))
    for attempt in (lambda: store.edit(field(status="suspended"), why()), store.sync):
        with pytest.raises(RegistryError, match=rf"branch main of the remote: its {broken[:12]} is refused"):
            attempt()
    with pytest.raises(RegistryError, match=r"customers/c-one/plan \(line 5\)"):
        store.sync()
    assert (path.read_text(encoding="utf-8"), log(path)) == before
    assert committed(shared, "main") == TEXT.replace("plan: team", "plan: gold")
    assert clean(path)
    push(ada, PRO, "Mend")
    assert store.sync() is not None
    assert store.read().customers["c-one"].plan == "pro"


def test_together_they_may_be_refused(store: RegistryStore, path: Path, ada: Path) -> None:
    """Two entries that take one name merge as text, but not as a registry: nothing is taken over."""
    store.sync()
    gone = away(path)
    store.edit(field(subdomain="cobalt"), why("Rename"))
    back(gone)
    push(ada, TEXT.replace("birch", "cobalt"))
    with pytest.raises(RegistryError, match="`cobalt` belongs to customers/c-one already"):
        store.sync()
    assert log(path) == ["Rename", "Begin"]
    assert clean(path)


def test_a_conflict_is_left_to_a_person(store: RegistryStore, path: Path, ada: Path, shared: Path) -> None:
    """A commit that was not pushed, and theirs on the same line: both stay, and the message has the commands."""
    gone = away(path)
    commit = store.edit(field(plan="pro"), why("Upgrade"))
    back(gone)
    theirs = push(ada, TEXT.replace("plan: team", "plan: personal"))
    with pytest.raises(RegistryError, match=rf"branch main: .* conflict with the remote's {theirs[:12]}") as caught:
        store.sync()
    assert f"git -C {path.parent} rebase {theirs[:12]}" in str(caught.value)
    assert git(path.parent, "rev-parse", "HEAD").strip() == commit
    assert path.read_text(encoding="utf-8") == PRO
    assert git(shared.parent, "rev-parse", "main").strip() == theirs
    assert clean(path)
    git(path.parent, "rebase", "--quiet", "-X", "theirs", theirs)
    store.sync()
    assert committed(shared, "main") == PRO
    assert log(path) == ["Upgrade", "By Ada", "Begin"]


def test_two_new_entries_are_no_conflict(store: RegistryStore, path: Path, ada: Path, shared: Path) -> None:
    """Git can't join what both wrote at the file's end; both customers stay, each in a commit of its own."""
    gone = away(path)
    mine = Customer(subdomain="cedar", plan="personal", status=Status.PENDING, cell="eu-1")
    commit = store.edit(lambda text, _: add(text, "c-mine", mine), why("Add c-mine"))
    back(gone)
    push(ada, add(TEXT, "c-hers", mine.model_copy(update={"subdomain": "dogwood"})))
    store.sync()
    assert {"c-mine", "c-hers"} <= store.read().customers.keys()
    assert committed(shared, "main") == path.read_text(encoding="utf-8")
    assert log(shared) == ["Add c-mine", "By Ada", "Begin"]
    assert git(path.parent, "log", "-1", "--format=%(trailers:key=Formerly,valueonly)").strip() == commit
    assert clean(path)


def test_two_new_entries_of_one_name_are_a_conflict(store: RegistryStore, path: Path, ada: Path) -> None:
    """What the rules refuse is no way to join: both stay as they are until a person decides."""
    gone = away(path)
    mine = Customer(subdomain="cedar", plan="personal", status=Status.PENDING, cell="eu-1")
    commit = store.edit(lambda text, _: add(text, "c-mine", mine), why("Add c-mine"))
    back(gone)
    push(ada, add(TEXT, "c-hers", mine))
    with pytest.raises(RegistryError, match="conflict with the remote's"):
        store.sync()
    assert git(path.parent, "rev-parse", "HEAD").strip() == commit


def test_a_remote_that_was_rewritten_takes_nothing_from_us(
    store: RegistryStore, path: Path, ada: Path, shared: Path
) -> None:
    """Somebody forces an older state onto the remote: what it had is kept here, and a person is asked."""
    git(ada.parent, "commit", "--quiet", "--allow-empty", "-m", "Other")
    commit = store.edit(field(plan="pro"), why("Upgrade"))
    git(ada.parent, "push", "--quiet", "--force", "origin", "HEAD")
    with pytest.raises(RegistryError, match=rf"it was rewritten: it lacks {str(commit)[:12]}") as caught:
        store.edit(field(status="suspended"), why())
    assert log(path) == ["Upgrade", "Begin"]
    assert path.read_text(encoding="utf-8") == PRO
    theirs = git(shared.parent, "rev-parse", "main").strip()
    assert f"reset --keep {theirs[:12]}" in str(caught.value)
    git(path.parent, "reset", "--quiet", "--keep", theirs)
    assert store.edit(field(status="suspended"), why("Suspend")) is not None
    assert log(shared) == ["Suspend", "Other", "Begin"]


def test_an_edit_by_hand_in_the_clone_is_kept(store: RegistryStore, path: Path, ada: Path, shared: Path) -> None:
    """An uncommitted edit becomes a commit of its own, on top of what others pushed, before the machine's."""
    push(ada, TEXT.replace("birch", "beech"))
    path.write_text(TEXT.replace("# The first.", "# Our first!"), encoding="utf-8")
    store.edit(field(plan="pro"), why("Upgrade"))
    assert log(path) == ["Upgrade", BY_HAND, "By Ada", "Begin"]
    expected = PRO.replace("# The first.", "# Our first!").replace("birch", "beech")
    assert committed(shared, "main") == expected == path.read_text(encoding="utf-8")
    assert clean(path)


def test_a_broken_edit_by_hand_stops_what_the_remote_has(store: RegistryStore, path: Path, ada: Path) -> None:
    """It stays as it is, for that person to mend."""
    push(ada, TEXT.replace("birch", "beech"))
    broken = TEXT.replace("acme", "no")
    path.write_text(broken, encoding="utf-8")
    with pytest.raises(RegistryError, match="customers/c-one/subdomain"):
        store.sync()
    assert path.read_text(encoding="utf-8") == broken
    assert log(path) == ["Begin"]


def test_a_commit_by_hand_is_pushed_if_it_is_sound(store: RegistryStore, path: Path, shared: Path) -> None:
    """A look shares what a person committed in the clone; what the rules refuse stays here, for that person to mend."""
    path.write_text(TEXT.replace("plan: team", "plan: gold"), encoding="utf-8")
    git(path.parent, "commit", "--quiet", "-am", "Break")
    with pytest.raises(RegistryError, match=r"customers/c-one/plan \(line 5\)"):
        store.sync()
    assert log(shared) == ["Begin"]
    path.write_text(PRO, encoding="utf-8")
    git(path.parent, "commit", "--quiet", "-am", "Mend")
    store.sync()
    assert log(shared) == ["Mend", "Break", "Begin"]


def test_uncommitted_changes_of_other_files_are_not_overwritten(store: RegistryStore, path: Path, ada: Path) -> None:
    """Where the remote's commit changes a file that a person changes too, nothing is taken over, and that is said."""
    (ada.parent / "notes.txt").write_text("two\n", encoding="utf-8")
    push(ada, PRO)
    (path.parent / "notes.txt").write_text("mine\n", encoding="utf-8")
    with pytest.raises(RegistryError, match="uncommitted changes are in the way"):
        store.sync()
    assert (path.parent / "notes.txt").read_text(encoding="utf-8") == "mine\n"
    assert path.read_text(encoding="utf-8") == TEXT
    assert log(path) == ["Begin"]
    git(path.parent, "stash", "--quiet")
    assert store.sync() is not None
    assert path.read_text(encoding="utf-8") == PRO


def test_changes_of_files_that_are_not_in_the_way_stay(store: RegistryStore, path: Path, ada: Path) -> None:
    """A person's staged and unstaged work beside the registry survives what arrives."""
    push(ada, PRO)
    (path.parent / "notes.txt").write_text("mine\n", encoding="utf-8")
    git(path.parent, "add", "notes.txt")
    (path.parent / "new.txt").write_text("new\n", encoding="utf-8")
    store.sync()
    store.edit(field(status="suspended"), why())
    assert git(path.parent, "status", "--porcelain").splitlines() == ["M  notes.txt", "?? new.txt"]


def test_a_merge_under_way_is_not_committed_into(store: RegistryStore, path: Path) -> None:
    """While a person resolves a conflict in the clone, edits wait."""
    git(path.parent, "switch", "--quiet", "--create", "side")
    (path.parent / "notes.txt").write_text("side\n", encoding="utf-8")
    git(path.parent, "commit", "--quiet", "-am", "Side")
    git(path.parent, "switch", "--quiet", "main")
    git(path.parent, "merge", "--quiet", "--no-ff", "--no-commit", "side")
    with pytest.raises(RegistryError, match=r"a merge or rebase is under way \(MERGE_HEAD\)"):
        store.edit(field(plan="pro"), why())
    git(path.parent, "commit", "--quiet", "-m", "Merge")
    assert store.edit(field(plan="pro"), why()) is not None


def test_edits_go_to_the_branch_that_is_told(path: Path, cells: Mapping[str, Cell]) -> None:
    """Where another one is checked out, or none, nothing is written, and the message has the command."""
    store = opened(path, cells, branch="main", remote=ORIGIN)
    git(path.parent, "switch", "--quiet", "--create", "side")
    with pytest.raises(RegistryError, match="side is checked out, but the service commits to main") as caught:
        store.edit(field(plan="pro"), why())
    assert f"Fix: `git -C {path.parent} switch main`" in str(caught.value)
    git(path.parent, "checkout", "--quiet", "--detach")
    with pytest.raises(RegistryError, match="no branch to share"):
        opened(path, cells, remote=ORIGIN).edit(field(plan="pro"), why())
    assert path.read_text(encoding="utf-8") == TEXT
    git(path.parent, "switch", "--quiet", "main")
    assert store.edit(field(plan="pro"), why()) is not None


def test_two_processes_with_clones_of_their_own(path: Path, ada: Path, shared: Path) -> None:
    """Two workers on two machines, six edits each at once: each edit is one commit, and none is lost."""
    program = """
for number in range(6):
    customer_id = f"c-{sys.argv[2]}-{number}"
    new = Customer(subdomain=f"name-{sys.argv[2]}-{number}", plan="personal", status="pending", cell="eu-1")
    assert store.edit(lambda text, _: add(text, customer_id, new), why(customer_id))
store.sync()
"""
    processes = [run(path, program, "a", "origin"), run(path, program, "b", "origin"), run(ada, program, "c", "origin")]
    assert [process.wait(120) for process in processes] == [0, 0, 0]
    expected = {f"Edit c-{name}-{number}" for name in "abc" for number in range(6)}
    assert sorted(log(shared)) == sorted(["Begin", *expected])
    sizes = [
        committed(shared, commit).count("subdomain:") for commit in git(shared.parent, "log", "--format=%H").split()
    ]
    assert sizes == [*range(20, 1, -1)]


@pytest.mark.parametrize("limit", ["the new file", "git's own files"])
def test_a_full_disk_leaves_nothing_half_written(
    limit: str, path: Path, shared: Path, cells: Mapping[str, Cell]
) -> None:
    """The kernel refuses the bytes, to us or to git: file, branch and remote are as before, and a retry works."""
    if limit == "git's own files":  # its index is then longer than the registry
        for number in range(200):
            (path.parent / f"a-file-with-a-name-that-is-long-{number:03}").touch()
        git(path.parent, "add", ".")
        git(path.parent, "commit", "--quiet", "-m", "Grow")
        git(path.parent, "push", "--quiet", "origin", "HEAD")
    size = len(TEXT) // 2 if limit == "the new file" else 4096
    program = f"""
import resource, subprocess
from git import GitCommandError
start = subprocess.Popen.__init__  # git shall get the error, as from a full disk, not the signal
subprocess.Popen.__init__ = lambda self, *a, **k: start(self, *a, **{{**k, "restore_signals": False}})
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))
try:
    store.edit(lambda text, _: update(text, 'c-one', plan='pro'), why('c-one'))
except (OSError, GitCommandError):
    sys.exit(7)
"""
    before = git(path.parent, "rev-parse", "HEAD")
    assert run(path, program, "1", "origin").wait(60) == 7
    assert path.read_text(encoding="utf-8") == TEXT == committed(shared, "main")
    assert git(path.parent, "rev-parse", "HEAD") == before
    assert clean(path)
    assert opened(path, cells, remote=ORIGIN).edit(field(plan="pro"), why()) is not None
    assert committed(shared, "main") == PRO


def test_a_commit_by_hand_is_noticed_without_a_remote(path: Path, cells: Mapping[str, Cell]) -> None:
    """Once, from where this process left it; own edits are nothing to tell, but are within what is told."""
    store = opened(path, cells)
    assert store.sync() is None
    first = store.edit(field(plan="pro"), why())
    assert store.sync() is None
    path.write_text(path.read_text(encoding="utf-8").replace("birch", "beech"), encoding="utf-8")
    assert store.sync() is None  # it is no commit yet
    git(path.parent, "commit", "--quiet", "-am", "By hand")
    by_hand = git(path.parent, "rev-parse", "HEAD").strip()
    last = store.edit(field(status="suspended"), why())
    moved = store.sync()
    assert moved == Moved(before=str(first), after=str(last))
    assert store.at(str(first)).customers["c-two"].subdomain == "birch"
    assert store.at(by_hand).customers["c-two"].subdomain == "beech"
    assert store.sync() is None


def test_an_edit_by_hand_that_an_edit_committed_is_noticed(path: Path, cells: Mapping[str, Cell]) -> None:
    """It was somebody else's doing, whoever made the commit."""
    store = opened(path, cells)
    store.sync()
    path.write_text(TEXT.replace("birch", "beech"), encoding="utf-8")
    store.edit(field(plan="pro"), why())
    moved = store.sync()
    assert moved is not None
    assert store.at(moved.before).customers["c-two"].subdomain == "birch"


def test_a_process_that_starts_anew_may_say_where_it_was(path: Path, cells: Mapping[str, Cell]) -> None:
    """What was committed while no process looked is told from the commit that it remembers."""
    begun = git(path.parent, "rev-parse", "HEAD").strip()
    path.write_text(PRO, encoding="utf-8")
    git(path.parent, "commit", "--quiet", "-am", "By hand")
    head = git(path.parent, "rev-parse", "HEAD").strip()
    store = opened(path, cells)
    assert store.sync(since=begun) == Moved(before=begun, after=head)
    assert store.sync(since=head) is None


def test_outside_git_there_is_nothing_to_tell(tmp_path: Path, cells: Mapping[str, Cell]) -> None:
    """A plain file has no history to ask for."""
    path = tmp_path / "customers.yaml"
    path.write_text(TEXT, encoding="utf-8")
    store = opened(path, cells)
    assert store.sync() is None
    for ask in (lambda: store.at("HEAD"), lambda: store.withdraw("hosting/c-one-delete")):
        with pytest.raises(RegistryError, match="in no git repository"):
            ask()


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"customers:\n  c-one: {}\n", "customers/c-one"), (b"\xff", "is not UTF-8"), (None, "the file is not in it")],
)
def test_a_commit_without_a_sound_registry_is_refused(
    content: bytes | None, words: str, store: RegistryStore, path: Path
) -> None:
    """Its problem is told; the present file is not touched."""
    if content is None:
        git(path.parent, "rm", "--quiet", "customers.yaml")
    else:
        path.write_bytes(content)
    git(path.parent, "commit", "--quiet", "-am", "Break")
    broken = git(path.parent, "rev-parse", "HEAD").strip()
    git(path.parent, "revert", "--no-edit", "HEAD")
    with pytest.raises(RegistryError, match=words):
        store.at(broken)
    assert path.read_text(encoding="utf-8") == TEXT


def test_a_clone_that_is_behind_tells_of_nothing(
    store: RegistryStore, path: Path, ada: Path, cells: Mapping[str, Cell]
) -> None:
    """While the remote is away, what another machine dealt with last may be newer than what is here: no step back."""
    other = opened(ada, cells, remote=ORIGIN)
    begun = str(other.head())
    newer = str(store.edit(field(plan="pro"), why("Upgrade")))
    gone = away(path)
    assert other.sync(since=newer) is None
    back(gone)
    assert other.sync(since=newer) is None
    assert store.sync(since=begun) == other.sync(since=begun) == Moved(before=begun, after=newer)
    gone = away(path)
    git(ada.parent, "reset", "--quiet", "--hard", begun)
    assert other.sync(since=newer) is None
