"""The effect on the file: one commit an edit, nobody's work lost, whoever edits and whatever crashes."""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest

from registry.cells import Cell
from registry.customers import Customer, Registry, Status
from registry.edits import add, remove, update
from registry.errors import RegistryError
from registry.load import parse
from registry.store import Provenance, RegistryStore
from tests.registry.clones import DOMAIN, TEXT, TODAY, begin, committed, field, git, log, opened, run, why


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A registry that is committed in a git repository of its own, beside another file."""
    return begin(tmp_path / "repository")


@pytest.fixture
def store(path: Path, cells: Mapping[str, Cell]) -> RegistryStore:
    """The store of that registry."""
    return opened(path, cells)


def test_an_edit_is_written_and_committed(store: RegistryStore, path: Path) -> None:
    """An edit changes the file, makes one commit of it, and the store reads the new state."""
    commit = store.edit(field(status="suspended"), why("Suspend c-one"))
    expected = TEXT.replace("active  # since", "suspended  # since")
    assert path.read_text(encoding="utf-8") == expected == committed(path)
    assert git(path.parent, "rev-parse", "HEAD").strip() == commit
    assert log(path) == ["Suspend c-one", "Begin"]
    assert store.read().customers["c-one"].status is Status.SUSPENDED
    assert git(path.parent, "status", "--porcelain") == ""


def test_commits_say_who_and_why(store: RegistryStore, path: Path) -> None:
    """The commit has trailers that git understands, and its author is the program."""
    store.edit(field(plan="pro"), why("Upgrade c-one", cause="evt_1"))
    assert git(path.parent, "log", "-1", "--format=%(trailers:unfold)").split("\n")[:3] == [
        "Customer: c-one", "Actor: stripe", "Cause: evt_1",
    ]  # fmt: skip
    assert git(path.parent, "log", "-1", "--format=%an <%ae>|%cn").strip() == (
        "markitup-hosting <hosting@markitup.io>|markitup-hosting"
    )


def test_nobody_can_write_a_trailer_of_their_own(store: RegistryStore, path: Path) -> None:
    """Line ends in a login or an event do not make further trailers."""
    evil = Provenance(
        summary="Edit\n\nActor: root", customer_id="c-one", actor="eve\nActor: ada", cause="x\r\n\nCustomer: c-two"
    )
    store.edit(field(plan="pro"), evil)
    assert git(path.parent, "log", "-1", "--format=%(trailers:unfold)").strip().splitlines() == [
        "Customer: c-one", "Actor: eve Actor: ada", "Cause: x Customer: c-two",
    ]  # fmt: skip
    assert log(path)[0] == "Edit Actor: root"


def test_a_cause_may_be_absent() -> None:
    """Without a cause there is no empty trailer."""
    assert why("Do").message() == "Do\n\nCustomer: c-one\nActor: stripe\n"


def test_an_edit_that_changes_nothing_makes_no_commit(store: RegistryStore, path: Path) -> None:
    """The same edit again (an event that is delivered twice) returns None and makes no commit."""
    assert store.edit(field(plan="pro"), why()) is not None
    before = path.stat()
    assert store.edit(field(plan="pro"), why()) is None
    assert path.stat().st_ino == before.st_ino
    assert log(path) == ["Change c-one", "Begin"]


def test_each_edit_is_one_commit(store: RegistryStore, path: Path) -> None:
    """Adding, changing and removing make a commit each; each one's state is accepted."""
    new = Customer.model_validate({"subdomain": "cobalt", "plan": "pro", "status": "purging", "cell": "eu-1",
                                   "delete_after": date(2026, 1, 10)})  # fmt: skip
    store.edit(lambda text, _: add(text, "c-new", new), why("Add"))
    store.edit(field(domain=None, plan="personal"), why("Change"))
    store.edit(lambda text, _: remove(text, "c-new", quarantine_until=date(2026, 4, 15)), why("Remove"))
    assert log(path) == ["Remove", "Change", "Add", "Begin"]
    assert git(path.parent, "log", "--format=", "--name-only", "-3").split() == ["customers.yaml"] * 3
    assert store.read().quarantine == {"cobalt": date(2026, 4, 15)}
    assert [*store.read().customers] == ["c-one", "c-two"]


@pytest.mark.parametrize(
    "operation",
    [
        field(plan="gold"),
        field(subdomain="birch"),
        field(subdomain="admin"),
        field(cell="eu-9"),
        lambda text, _: text.replace("birch", "no"),
        lambda *_: "",
        lambda text, _: text[:40],
        lambda text, _: f"{text}\0",
        lambda text, _: f"{text}# \ud800\n",
    ],
)
def test_a_broken_edit_writes_nothing(
    operation: Callable[[str, Registry], str], store: RegistryStore, path: Path
) -> None:
    """An edit whose result would be refused changes neither the file nor the history, and leaves no scraps."""
    before = path.stat()
    with pytest.raises(RegistryError):
        store.edit(operation, why())
    assert path.read_text(encoding="utf-8") == TEXT
    assert path.stat().st_ino == before.st_ino
    assert log(path) == ["Begin"]
    assert sorted(entry.name for entry in path.parent.iterdir() if entry.name.startswith(".c")) == [
        ".customers.yaml.lock"
    ]
    assert store.edit(field(plan="pro"), why()) is not None


def test_a_mistake_is_reported_with_the_line_of_the_file(store: RegistryStore) -> None:
    """A mistake that an edit makes has the line that it would have in the file."""
    with pytest.raises(RegistryError, match=r"customers/c-one/plan \(line 5\)"):
        store.edit(lambda text, _: text.replace("plan: team", "plan: no"), why())


def test_a_broken_file_is_not_edited(store: RegistryStore, path: Path) -> None:
    """A file that a person broke is refused and stays as it is, for that person to mend."""
    broken = TEXT.replace("acme", "no")
    path.write_text(broken, encoding="utf-8")
    called: list[str] = []
    with pytest.raises(RegistryError, match=r"customers/c-one/subdomain \(line 4\)"):
        store.edit(lambda text, _: called.append(text) or text, why())
    assert called == []
    assert path.read_text(encoding="utf-8") == broken
    assert log(path) == ["Begin"]


def test_an_edit_by_hand_is_committed_first(store: RegistryStore, path: Path) -> None:
    """A person's uncommitted edit becomes a commit of its own, before the machine's, and stays in the file."""
    by_hand = TEXT.replace("# The first.", "# Our first!").replace("birch", "birch-bark")
    path.write_text(by_hand, encoding="utf-8")
    store.edit(field(plan="pro"), why("Upgrade"))
    assert log(path) == ["Upgrade", "Record an edit by hand of the registry", "Begin"]
    assert committed(path, "HEAD~1") == by_hand
    assert committed(path) == by_hand.replace("plan: team", "plan: pro") == path.read_text(encoding="utf-8")
    assert "Actor: unknown" in git(path.parent, "log", "-1", "--skip=1", "--format=%(trailers)")


def test_the_commit_that_the_file_is_as(store: RegistryStore, path: Path) -> None:
    """None while somebody's edit is in it: what is brought onto a cell then is no commit's."""
    assert store.committed() == store.head()
    path.write_text(path.read_text() + "# by hand\n")
    assert store.committed() is None


def test_a_staged_edit_by_hand_is_committed_first(store: RegistryStore, path: Path) -> None:
    """It makes no difference whether the person has staged the edit already."""
    path.write_text(TEXT.replace("birch", "staged"), encoding="utf-8")
    git(path.parent, "add", "customers.yaml")
    store.edit(field(plan="pro"), why("Upgrade"))
    assert "staged" in committed(path, "HEAD~1")
    assert "plan: team" in committed(path, "HEAD~1")
    assert "staged" in committed(path)


@pytest.mark.parametrize("moment", ["while it is worked out", "just before it is written"])
def test_an_edit_by_hand_meanwhile_is_not_overwritten(
    moment: str, store: RegistryStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An editor knows no lock: what it saves during an edit is kept, and the edit is refused and can be repeated."""
    by_hand = TEXT.replace("birch", "by-hand")

    def save() -> None:
        path.write_text(by_hand, encoding="utf-8")

    def operation(text: str, _: Registry) -> str:
        if moment == "while it is worked out":
            save()
        return update(text, "c-one", plan="pro")

    if moment == "just before it is written":
        flush = os.fsync
        monkeypatch.setattr(os, "fsync", lambda descriptor: (flush(descriptor), save()))
    with pytest.raises(RegistryError, match=r"somebody saved it meanwhile\. Fix: try again"):
        store.edit(operation, why())
    monkeypatch.undo()
    assert path.read_text(encoding="utf-8") == by_hand
    assert not [
        entry
        for entry in path.parent.iterdir()
        if entry.name.startswith(".customers.yaml.") and "lock" not in entry.name
    ]
    store.edit(field(plan="pro"), why())
    assert committed(path) == by_hand.replace("plan: team", "plan: pro")


def test_staged_changes_of_other_files_stay_staged(store: RegistryStore, path: Path) -> None:
    """Another file's changes are in no commit of the machine's; what was staged still is, what was not is not."""
    (path.parent / "notes.txt").write_text("two\n", encoding="utf-8")
    (path.parent / "new.txt").write_text("new\n", encoding="utf-8")
    git(path.parent, "add", "notes.txt")
    path.write_text(TEXT.replace("birch", "by-hand"), encoding="utf-8")
    store.edit(field(plan="pro"), why("Upgrade"))
    assert git(path.parent, "log", "-2", "--format=", "--name-only").split() == ["customers.yaml", "customers.yaml"]
    assert git(path.parent, "status", "--porcelain").splitlines() == ["M  notes.txt", "?? new.txt"]


def test_hooks_of_the_repository_do_not_stop_an_edit(store: RegistryStore, path: Path) -> None:
    """A person's pre-commit hook that fails does not stop the machine, which has checked more than the hook."""
    hook = path.parent / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    hook.chmod(0o755)
    assert store.edit(field(plan="pro"), why()) is not None


def test_the_mode_of_the_file_stays(store: RegistryStore, path: Path) -> None:
    """The file that replaces the old one has the same permissions."""
    path.chmod(0o664)
    store.edit(field(plan="pro"), why())
    assert stat.S_IMODE(path.stat().st_mode) == 0o664


def test_without_a_repository_the_file_is_written(tmp_path: Path, cells: Mapping[str, Cell]) -> None:
    """A file outside any git repository is edited all the same; there is no commit to name."""
    path = tmp_path / "customers.yaml"
    path.write_text(TEXT, encoding="utf-8")
    assert opened(path, cells).edit(field(plan="pro"), why()) is None
    assert path.read_text(encoding="utf-8") == TEXT.replace("plan: team", "plan: pro")


def test_a_repository_without_a_commit_is_refused(tmp_path: Path, cells: Mapping[str, Cell]) -> None:
    """Before the first commit nothing is written; the message says to commit the file."""
    git(tmp_path, "init", "--quiet")
    path = tmp_path / "customers.yaml"
    path.write_text(TEXT, encoding="utf-8")
    with pytest.raises(RegistryError, match=r"has no commit yet\. Fix: commit the file first"):
        opened(path, cells).edit(field(plan="pro"), why())
    assert path.read_text(encoding="utf-8") == TEXT


def test_bytes_are_written_as_they_are(store: RegistryStore, path: Path) -> None:
    """Windows line ends and other characters outside the entry survive to the byte."""
    mixed = TEXT.replace("# The first.\n", "# Erste: Ünïcödé \U0001f600\r\n").encode()
    path.write_bytes(mixed)
    store.edit(field(plan="pro"), why())
    assert path.read_bytes() == mixed.replace(b"plan: team", b"plan: pro")


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failing_disk_leaves_the_old_file(
    failing: str, store: RegistryStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the new file cannot be completed, the old one is untouched and the new one's scraps are gone."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync", full) if failing == "fsync" else (Path, "replace", full)))
    with pytest.raises(OSError, match="No space left"):
        store.edit(field(plan="pro"), why())
    assert path.read_text(encoding="utf-8") == TEXT
    assert log(path) == ["Begin"]
    assert sorted(entry.name for entry in path.parent.iterdir() if entry.name.startswith(".c")) == [
        ".customers.yaml.lock"
    ]


def test_readers_never_see_half_a_file(store: RegistryStore, path: Path, cells: Mapping[str, Cell]) -> None:
    """While edits go on, every single look at the file finds a whole registry."""
    entries = "".join(
        f"  c-{number}:\n    subdomain: name{number}\n    plan: personal\n    status: active\n    cell: us-1\n"
        for number in range(50)
    )
    path.write_text(TEXT + entries, encoding="utf-8")
    done = threading.Event()
    seen: list[str] = []

    def look() -> None:
        while not done.is_set():
            text = path.read_bytes().decode()
            if not seen or seen[-1] != text:
                seen.append(text)

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        for number in range(8):
            store.edit(field(stripe_customer=f"cus_{number}"), why())
        done.set()
        looking.result()
    assert len(seen) > 3
    for text in seen:
        assert len(parse(text, cells=cells, domain=DOMAIN, today=TODAY).customers) == 52


def test_several_processes_wait_for_each_other(path: Path, cells: Mapping[str, Cell]) -> None:
    """Three processes with four edits each: twelve commits, each of one customer, and none is lost."""
    program = """
for number in range(4):
    customer_id = f"c-{sys.argv[2]}-{number}"
    new = Customer(subdomain=f"name-{sys.argv[2]}-{number}", plan="personal", status="pending", cell="eu-1")
    assert store.edit(lambda text, _: add(text, customer_id, new), why(customer_id))
"""
    processes = [run(path, program, str(number)) for number in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    expected = {f"c-{process}-{number}" for process in range(3) for number in range(4)}
    assert set(opened(path, cells).read().customers) == {"c-one", "c-two", *expected}
    assert sorted(log(path)) == sorted(["Begin", *(f"Edit {customer_id}" for customer_id in expected)])
    assert committed(path) == path.read_text(encoding="utf-8")
    sizes = [committed(path, commit).count("subdomain:") for commit in git(path.parent, "log", "--format=%H").split()]
    assert sizes == [*range(14, 1, -1)]


def test_several_threads_wait_for_each_other(store: RegistryStore, path: Path) -> None:
    """Four threads that share a store: each of their edits is in the file and in a commit of its own."""

    def edit(number: int) -> str | None:
        new = Customer.model_validate(
            {"subdomain": f"name{number}", "plan": "personal", "status": "pending", "cell": "eu-1"}
        )
        return store.edit(lambda text, _: add(text, f"c-{number}", new), why(f"Add {number}"))

    with ThreadPoolExecutor(4) as pool:
        commits = [*pool.map(edit, range(10))]
    assert len({*commits}) == 10
    assert set(store.read().customers) == {"c-one", "c-two", *(f"c-{number}" for number in range(10))}
    assert set(log(path)) == {"Begin", *(f"Add {number}" for number in range(10))}


def test_a_read_by_another_thread_does_not_change_an_edit(path: Path, cells: Mapping[str, Cell]) -> None:
    """The operation gets the registry of the text it gets, although another thread has read another text since."""
    other = TEXT.replace("birch", "other")

    class Raced(RegistryStore):
        """A store whose memory another thread overwrites at once."""

        @property
        def _checked(self) -> tuple[str, Registry] | None:
            return other, parse(other, cells=cells, domain=DOMAIN, today=TODAY)

        @_checked.setter
        def _checked(self, value: tuple[str, Registry] | None) -> None:
            """Forget it: it is overwritten already."""

    seen: list[str] = []

    def operation(text: str, registry: Registry) -> str:
        seen.append(registry.customers["c-two"].subdomain)
        return text

    Raced(path, cells=cells, domain=DOMAIN, clock=lambda: TODAY).edit(operation, why())
    assert seen == ["birch"]


def test_the_registry_given_is_that_of_the_text(store: RegistryStore, path: Path) -> None:
    """What the store remembers of an earlier text is not given for another."""
    assert store.read().customers["c-two"].subdomain == "birch"
    path.write_text(TEXT.replace("birch", "other"), encoding="utf-8")
    assert store.read().customers["c-two"].subdomain == "other"


@pytest.mark.parametrize("second", ["the same edit", "another edit"])
def test_a_crash_before_the_commit_is_made_good(second: str, path: Path, cells: Mapping[str, Cell]) -> None:
    """Killed between writing and committing, the edit is kept, and the next one, or its repetition, commits it."""
    program = """
RegistryStore._commit = die
store.edit(lambda text, _: update(text, "c-one", plan="pro"), why("c-one"))
"""
    assert run(path, program).wait(60) == -signal.SIGKILL
    written = TEXT.replace("plan: team", "plan: pro")
    assert path.read_text(encoding="utf-8") == written
    assert committed(path) == TEXT
    store = opened(path, cells)
    if second == "the same edit":
        assert store.edit(field(plan="pro"), why("Upgrade")) is None
        assert log(path) == ["Record an edit by hand of the registry", "Begin"]
        assert committed(path) == written
    else:
        assert store.edit(field(status="suspended"), why("Suspend")) is not None
        assert log(path) == ["Suspend", "Record an edit by hand of the registry", "Begin"]
        assert committed(path, "HEAD~1") == written
        assert committed(path) == written.replace("active  # since", "suspended  # since")
    assert git(path.parent, "status", "--porcelain") == ""


@pytest.mark.parametrize("moment", ["Path.replace = die", "os.fsync = die", "Path.chmod = die"])
def test_a_crash_while_writing_loses_nothing(moment: str, path: Path, cells: Mapping[str, Cell]) -> None:
    """Killed before the new file is in its place, the old one is whole, and nobody waits for the dead one's lock."""
    program = f"""
{moment}
store.edit(lambda text, _: update(text, "c-one", plan="pro"), why("c-one"))
"""
    assert run(path, program).wait(60) == -signal.SIGKILL
    assert path.read_text(encoding="utf-8") == TEXT
    assert log(path) == ["Begin"]
    assert opened(path, cells).edit(field(status="suspended"), why("Suspend")) is not None
    assert git(path.parent, "log", "-1", "--format=", "--name-only").split() == ["customers.yaml"]
    assert log(path) == ["Suspend", "Begin"]
