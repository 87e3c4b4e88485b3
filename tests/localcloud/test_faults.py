"""Faults on demand: which calls suffer, how often, and that other processes can order them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from localcloud.faults import Fault, Faults, Mode
from localcloud.store import Store, Thing


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "cloud.db")) as opened:
        yield opened


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def faults(store: Store, slept: list[float]) -> Faults:
    return Faults(store, sleep=slept.append)


@pytest.mark.parametrize("mode", list(Mode))
def test_each_mode_tells_the_caller_what_to_do(faults: Faults, slept: list[float], mode: Mode) -> None:
    """Slow is served here and needs nothing more; slow and a timeout take their seconds, the others none."""
    faults.order(Fault(cloud="aws", operation="create Bucket", mode=mode, seconds=7))
    assert faults.suffer("aws", "create Bucket") == (None if mode is Mode.SLOW else mode)
    assert slept == ([7] if mode in {Mode.SLOW, Mode.TIMEOUT} else [])
    assert faults.suffer("aws", "create Bucket") is None


@pytest.mark.parametrize(
    ("cloud", "operation", "suffers"),
    [
        ("hetzner", "POST /servers", True),
        ("hetzner", "POST /servers/:id/actions/reboot", True),
        ("hetzner", "GET /servers", False),
        ("hetzner", "post /servers", False),
        ("cloudflare", "POST /servers", False),
    ],
)
def test_a_pattern_of_one_cloud_matches(faults: Faults, cloud: str, operation: str, suffers: bool) -> None:
    """Only calls of the named cloud whose operation fits the pattern suffer, and the case counts."""
    faults.order(Fault(cloud="hetzner", operation="POST /servers*", mode=Mode.ERROR))
    assert (faults.suffer(cloud, operation) is Mode.ERROR) is suffers


def test_a_fault_lasts_for_as_many_calls_as_ordered(faults: Faults) -> None:
    """Three times is three times; calls that don't match use none of them up."""
    faults.order(Fault(cloud="aws", operation="create *", mode=Mode.ERROR, times=3))
    operations = ["create User", "read User", "create Bucket", "create User", "create User"]
    suffered = [faults.suffer("aws", operation) for operation in operations]
    assert suffered == [Mode.ERROR, None, Mode.ERROR, Mode.ERROR, None]


def test_the_fault_ordered_first_comes_first(faults: Faults) -> None:
    """Two faults for the same call are suffered one after the other."""
    faults.order(Fault(cloud="aws", operation="*", mode=Mode.RATE_LIMITED))
    faults.order(Fault(cloud="aws", operation="*", mode=Mode.ERROR))
    assert [faults.suffer("aws", "x") for _ in range(3)] == [Mode.RATE_LIMITED, Mode.ERROR, None]


def test_clearing_forgets_all(faults: Faults, store: Store) -> None:
    """After it nothing suffers, whatever was ordered for whichever cloud."""
    for cloud in ("aws", "hetzner"):
        faults.order(Fault(cloud=cloud, operation="*", mode=Mode.ERROR, times=5))
    faults.clear()
    assert faults.suffer("aws", "x") is None
    assert store.faults() == []


def test_every_call_is_counted_suffering_or_not(faults: Faults, store: Store) -> None:
    """Refused calls are calls too."""
    faults.order(Fault(cloud="aws", operation="*", mode=Mode.ERROR))
    for _ in range(3):
        faults.suffer("aws", "create User")
    assert store.calls() == Counter({("aws", "create User"): 3})


def test_one_fault_hits_one_of_many_calls(tmp_path: Path, faults: Faults) -> None:
    """Of calls at the same time in several processes exactly as many suffer as were ordered."""

    class Slow(Store):
        """Leaves time between looking and taking."""

        def faults(self) -> list[tuple[int, Thing]]:
            found = super().faults()
            time.sleep(0.01)
            return found

    faults.order(Fault(cloud="aws", operation="*", mode=Mode.ERROR, times=3))
    stores = [Slow(tmp_path / "cloud.db") for _ in range(4)]
    with ThreadPoolExecutor(max_workers=8) as threads:
        suffered = list(threads.map(lambda turn: Faults(stores[turn % 4]).suffer("aws", "x"), range(40)))
    assert suffered.count(Mode.ERROR) == 3
    for each in stores:
        each.close()


def test_a_slow_call_stops_nobody_else(tmp_path: Path, store: Store) -> None:
    """While one call sleeps others read and write."""

    def sleep(_: float) -> None:
        with closing(Store(tmp_path / "cloud.db")) as other:
            other.put("x", 1, {"written": "meanwhile"})

    faults = Faults(store, sleep=sleep)
    faults.order(Fault(cloud="aws", operation="*", mode=Mode.SLOW))
    assert faults.suffer("aws", "x") is None
    assert store.get("x", 1) == {"written": "meanwhile"}
