"""What the local cloud holds: kept in a file, undone as a whole, shared by threads and processes."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from localcloud.store import Store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "below" / "cloud.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with closing(Store(path)) as opened:
        yield opened


def test_things_are_kept_by_kind_and_key(store: Store) -> None:
    """A thing is found by its kind and key only, and a number is as good a key as its text."""
    store.put("a/x", 7, {"id": 7, "of": {"deep": [1, None, "ü"]}})
    store.put("b/x", "7", {"id": 8})
    assert store.get("a/x", "7") == store.get("a/x", 7) == {"id": 7, "of": {"deep": [1, None, "ü"]}}
    assert store.get("b/x", 7) == {"id": 8}
    assert store.get("a/x", 8) is None
    assert store.get("c/x", 7) is None


def test_a_change_keeps_the_order(store: Store) -> None:
    """Things come oldest first, also after an old one was changed or one was deleted."""
    for name in "cab":
        store.put("x", name, {"name": name})
    store.put("x", "c", {"name": "c", "changed": True})
    assert [each["name"] for each in store.all("x")] == ["c", "a", "b"]
    assert store.all("x")[0]["changed"]
    assert store.delete("x", "a")
    store.put("x", "a", {"name": "a"})
    assert [each["name"] for each in store.all("x")] == ["c", "b", "a"]


def test_deleting_says_whether_there_was_something(store: Store) -> None:
    """A second deletion finds nothing, and a kind without things is none."""
    store.put("x", 1, {})
    store.put("y", 1, {})
    store.put("y", 2, {})
    assert store.kinds() == {"x": 1, "y": 2}
    assert store.delete("x", 1)
    assert not store.delete("x", 1)
    assert store.kinds() == {"y": 2}


def test_all_of_it_survives_another_start(path: Path) -> None:
    """Things, numbers, counted calls and faults to come are in the file."""
    with closing(Store(path)) as before:
        before.put("x", 1, {"id": 1})
        before.next_number("x")
        before.count_call("aws", "create Bucket")
        before.add_fault({"mode": "slow"})
    with closing(Store(path)) as after:
        assert after.get("x", 1) == {"id": 1}
        assert after.next_number("x") == 2
        assert after.calls() == Counter({("aws", "create Bucket"): 1})
        assert [body for _, body in after.faults()] == [{"mode": "slow"}]


def test_a_number_is_given_once(path: Path) -> None:
    """Threads on several connections to one file never get the same number, and series don't mix."""
    stores = [Store(path) for _ in range(4)]
    with ThreadPoolExecutor(max_workers=8) as threads:
        numbers = list(threads.map(lambda turn: stores[turn % 4].next_number("x"), range(200)))
    assert sorted(numbers) == list(range(1, 201))
    assert stores[0].next_number("y") == 1
    for each in stores:
        each.close()


def test_an_exception_undoes_the_whole_transaction(store: Store) -> None:
    """Everything since the outermost start is undone, inner transactions that were over too, and work goes on."""
    store.put("x", "before", {})

    def fail() -> None:
        with store.transaction():
            store.put("x", "outer", {})
            with store.transaction():
                store.delete("x", "before")
                store.next_number("x")
            message = "in the middle"
            raise KeyError(message)

    with pytest.raises(KeyError, match="in the middle"):
        fail()
    assert store.get("x", "before") == {}
    assert store.get("x", "outer") is None
    assert store.next_number("x") == 1
    with store.transaction():
        store.put("x", "later", {})
    assert store.get("x", "later") == {}


def test_nobody_writes_during_a_transaction(store: Store, path: Path) -> None:
    """Once a transaction began, even by a look, other writers wait for its end; readers see nothing unfinished."""
    order: list[str] = []
    begun = threading.Event()

    def second() -> None:
        begun.set()
        with closing(Store(path)) as other:
            other.put("x", "2", {})
            order.append("second")

    with closing(Store(path)) as reader, store.transaction():
        assert store.get("x", "1") is None
        thread = threading.Thread(target=second)
        thread.start()
        begun.wait()
        thread.join(0.3)
        assert thread.is_alive()
        store.put("x", "1", {})
        assert reader.get("x", "1") is None
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert store.kinds() == {"x": 2}


def test_another_process_writes_too(store: Store, path: Path) -> None:
    """What a program beside the cloud orders is seen at once."""
    code = "import sys; from pathlib import Path; from localcloud.store import Store; "
    code += "Store(Path(sys.argv[1])).add_fault({'mode': 'error'})"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert [body for _, body in store.faults()] == [{"mode": "error"}]


def test_calls_are_counted_by_cloud_and_operation(store: Store) -> None:
    """Each pair has a count of its own; an operation that nobody called counts nothing."""
    for cloud, operation in [("aws", "read User"), ("aws", "read User"), ("hetzner", "read User")]:
        store.count_call(cloud, operation)
    assert store.calls() == Counter({("aws", "read User"): 2, ("hetzner", "read User"): 1})
    assert store.calls()["aws", "other"] == 0


def test_faults_are_changed_and_removed_by_id(store: Store) -> None:
    """Faults keep the order they were given in; one is replaced or removed without the others."""
    for number in range(3):
        store.add_fault({"number": number})
    (first, _), (second, _), _ = store.faults()
    store.replace_fault(first, {"number": 10})
    store.replace_fault(second, None)
    assert [body["number"] for _, body in store.faults()] == [10, 2]


def test_a_closed_store_is_closed(path: Path) -> None:
    """After its end a store refuses instead of losing something silently."""
    store = Store(path)
    store.close()
    with pytest.raises(sqlite3.ProgrammingError):
        store.put("x", 1, {})
