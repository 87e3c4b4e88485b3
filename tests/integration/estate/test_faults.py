"""Trouble: a broken registry, a cell that is away, a cloud that refuses, an engine that is killed."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from localcloud.faults import Fault, Mode
from tests.integration.estate.estate import DOMAIN, ENVIRONMENT, LOCAL_CELL, SSH_CELL, SUBNETS, Estate
from webhook.cell_updates import CellUpdates, Result
from webhook.deploy import Deployer

NEW_RECORD = "create DnsRecord"
WAIT_SECONDS = 60.0


def test_broken_registry_declares_nothing(estate: Estate) -> None:
    """One wrong word in the file stops every stack before anything is asked of a cloud, and says where it is."""
    ages, calls = estate.ages(), estate.store.calls()
    alder = estate.site("alder")
    text = estate.registry_file.read_text().replace("plan: pro", "plan: gold")
    with estate.other_text(estate.registry_file, text):
        results = estate.up(*SUBNETS, platform=True) | estate.up(*SUBNETS)
        assert alder.is_healthy()
    assert sorted(results) == ["t-1", "t-2", "test"]
    assert all("customers/c-cedar/plan" in str(result.error) for result in results.values())
    assert all(result.changed == 0 for result in results.values())
    assert (estate.ages(), estate.store.calls()) == (ages, calls)


def test_cell_that_is_away_leaves_the_other_alone(estate: Estate) -> None:
    """While one cell's Engine can't be reached the other cell is updated, and both go on serving."""
    ages = estate.ages()
    estate.add("ginkgo", LOCAL_CELL)
    estate.add("hemlock", SSH_CELL)
    document = yaml.safe_load(estate.settings_file.read_text())
    document["config"]["hosting:cells"][SSH_CELL]["docker_host"] = "tcp://127.0.0.1:1"
    with estate.other_text(estate.settings_file, yaml.safe_dump(document, sort_keys=False)):
        results = estate.up(*SUBNETS)
    assert results[LOCAL_CELL].error is None
    assert estate.site("ginkgo").is_healthy()
    assert "127.0.0.1:1" in str(results[SSH_CELL].error)
    assert estate.site("dogwood").is_healthy()
    estate.apply(SSH_CELL)
    assert estate.site("hemlock").is_healthy()
    assert {name: age for name, age in estate.ages().items() if name in ages} == ages


def test_refusal_of_a_cloud_is_made_good(estate: Estate) -> None:
    """A DNS record that Cloudflare refuses fails the update, and the next one makes just that record."""
    estate.order(Fault(cloud="cloudflare", operation=NEW_RECORD, mode=Mode.ERROR))
    estate.add("hazel", SSH_CELL)
    assert "503 Service Unavailable" in str(estate.up(SSH_CELL)[SSH_CELL].error)
    assert f"hazel.{DOMAIN}" not in estate.records()
    ages = estate.ages()
    estate.apply(SSH_CELL)
    assert f"hazel.{DOMAIN}" in estate.records()
    assert len(estate.containers("c-hazel")) == 1
    assert {name: age for name, age in estate.ages().items() if name in ages} == ages
    assert estate.site("hazel").is_healthy()


@pytest.mark.parametrize(("name", "cell"), [("juniper", LOCAL_CELL), ("katsura", SSH_CELL)])
def test_killed_engine_is_continued(estate: Estate, name: str, cell: str) -> None:
    """After a SIGKILL in the middle of an update the next one finishes the work and leaves nothing twice."""
    customer = estate.add(name, cell)
    estate.order(Fault(cloud="cloudflare", operation=NEW_RECORD, mode=Mode.SLOW, seconds=6.0))
    update = threading.Thread(target=estate.up, args=(cell,), name="update")
    update.start()
    _wait("the instance is being made", lambda: len(estate.containers(customer)) == 1)
    (engine,) = (pid for pid in _children(os.getpid()) if f"{ENVIRONMENT}-{cell}" in _command(pid))
    plugins = _children(engine)
    os.kill(engine, signal.SIGKILL)
    try:
        assert f"{name}.{DOMAIN}" not in estate.records()
        _wait("Cloudflare has made the record all the same", lambda: f"{name}.{DOMAIN}" in estate.records())
        update.join()
        orphan = estate.container(customer)
        before = {key: age for key, age in estate.ages().items() if key != orphan.name}
        estate.apply(cell)
    finally:
        for plugin in plugins:
            with suppress(ProcessLookupError):
                os.kill(plugin, signal.SIGKILL)
    assert estate.container(customer).id != orphan.id
    assert estate.site(name).is_healthy()
    assert {key: age for key, age in estate.ages().items() if key in before} == before
    assert estate.apply(cell)[cell].changed == 0


def test_hung_engine_is_stopped(estate: Estate) -> None:
    """An update that waits for ever is ended at its deadline; the next one makes good what it left."""
    customer = estate.add("larch", LOCAL_CELL)
    estate.order(Fault(cloud="cloudflare", operation=NEW_RECORD, mode=Mode.SLOW, seconds=25.0))
    impatient = Deployer(replace(estate.target, seconds=12.0, grace_seconds=2.0), estate.said.append, estate.turns)
    started = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        (result,) = impatient.up([LOCAL_CELL], platform=False)
        gc.collect()
    assert time.monotonic() - started < 25
    assert "within 12 s" in str(result.error)
    _wait("Cloudflare has made the record all the same", lambda: f"larch.{DOMAIN}" in estate.records())
    estate.apply(LOCAL_CELL)
    assert len(estate.containers(customer)) == 1
    assert estate.site("larch").is_healthy()
    assert estate.apply(LOCAL_CELL)[LOCAL_CELL].changed == 0


def test_burst_of_changes_is_few_updates(estate: Estate) -> None:
    """100 changes of one cell that arrive while an update runs are at most three updates of the real engine."""
    updates = CellUpdates(estate.deployer, estate.registry_file, at=estate.registry().at)
    customer = estate.add("sumac", LOCAL_CELL)
    results: list[Result] = []

    def cover(commit: str) -> None:
        results.append(updates.cover(LOCAL_CELL, commit))

    threads: list[threading.Thread] = []
    for number in range(100):
        estate.change(customer, plan=("team", "personal")[number % 2])
        threads.append(threading.Thread(target=cover, args=(estate.head(),)))
        threads[-1].start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    assert len(results) == 100
    assert 1 <= len([each for each in results if not each.shared]) <= 3
    assert updates.cover(LOCAL_CELL, estate.head()).shared
    assert estate.site("sumac").is_healthy()


def _wait(what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {WAIT_SECONDS} s: {what}"
        time.sleep(0.05)


def _children(parent: int) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError, IndexError):
            if folder.name.isdigit() and (folder / "stat").read_text().rsplit(")", 1)[-1].split()[1] == str(parent):
                found.append(int(folder.name))
    return found


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""
