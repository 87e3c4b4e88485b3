"""Drills on real processes: killed at random points, three at once on one database, and outages."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from git import Repo
from sqlalchemy import select
from sqlalchemy.orm import Session

from registry.customers import Status
from tests.webhook.drills.company import Company, a_company
from webhook.database.events import EventState
from webhook.database.ledger import LedgerEntry, LedgerKind

KILLS = 25
"""On each of the two databases: 50 together."""
NAMES = ("ash", "birch", "cedar", "dogwood", "elm", "fir")


@pytest.fixture
def company(tmp_path: Path, database_url: str) -> Iterator[Company]:
    """A company on each database."""
    with a_company(tmp_path, database_url) as made:
        yield made


def price(company: Company, plan: str) -> str:
    """Make a plan's price."""
    return str(company.world.price(f"{plan}_month", metadata={"plan": plan}).id)


def active(company: Company) -> set[str]:
    """Return who is active."""
    return {key for key, each in company.registry().items() if each.status is Status.ACTIVE}


def welcomes(company: Company) -> Counter[str]:
    """Count the welcome letters by address."""
    found = {to: count for (to, subject), count in company.letters.letters.items() if "is ready" in subject}
    return Counter(found)


def test_kills_lose_and_double_nothing(company: Company) -> None:
    """Web and worker are killed at random points of sign-ups, upgrades, pauses and ends; all ends as Stripe has it."""
    dice = random.Random(20261124)
    personal, team = price(company, "personal"), price(company, "team")
    company.start("web", "worker-1")
    subscriptions: dict[str, str] = {}
    steps = [(name, deed) for deed in ("sign up", "upgrade") for name in NAMES]
    steps += [("ash", "pause"), ("birch", "end"), ("cedar", "pause"), ("ash", "resume")]
    for number in range(max(KILLS, len(steps))):
        if number < len(steps):
            name, deed = steps[number]
            if deed == "sign up":
                subscriptions[name] = company.sign_up(name, price=personal)
            elif deed == "upgrade":
                item = company.world.v1.subscriptions.retrieve(subscriptions[name])["items"].data[0].id
                company.world.v1.subscriptions.update(subscriptions[name], {"items": [{"id": item, "price": team}]})
            elif deed == "end":
                company.rest()  # an end that comes before the beginning was applied leaves nothing to end
                company.world.v1.subscriptions.cancel(subscriptions[name])
            else:
                pause = {"behavior": "void"} if deed == "pause" else ""
                company.world.v1.subscriptions.update(subscriptions[name], {"pause_collection": pause})  # pyright: ignore[reportArgumentType]
        time.sleep(dice.uniform(0.2, 2.5))
        if number < KILLS:
            victim = dice.choice(("web", "worker-1"))
            company.kill(victim)
            time.sleep(dice.uniform(0, 0.3))
            company.start(victim)
    company.rest()
    expected = dict.fromkeys(NAMES, Status.ACTIVE) | {"birch": Status.DELETING, "cedar": Status.SUSPENDED}
    company.until(
        "the registry is as Stripe is",
        lambda: (
            {key.removeprefix("c-"): each.status for key, each in company.registry().items() if key[2:] in NAMES}
            == expected
        ),
    )
    company.rest()
    entries = company.registry()
    assert {entries[f"c-{name}"].plan for name in NAMES} == {"team"}
    assert {entries[f"c-{name}"].stripe_subscription for name in NAMES} == {*subscriptions.values()}
    states = company.states()
    assert not states[EventState.PARKED] + states[EventState.FAILED] + states[EventState.RECEIVED], states
    assert set(company.letters.letters.values()) == {1}
    assert welcomes(company).keys() <= {f"{name}@example.org" for name in NAMES}
    # A letter whose sending was cut off is a person's rather than sent twice: that may happen to few.
    assert len(welcomes(company)) >= len(NAMES) - 2
    with Repo(company.folder / "registry") as repo:
        added = [str(each.message) for each in repo.iter_commits() if "there is no entry yet" in str(each.message)]
        assert len(added) == len(NAMES)
        assert not repo.is_dirty()


def test_three_workers_share_the_work(company: Company) -> None:
    """20 sign-ups at once, two of them on one name: one entry and letter each, few updates, one call for a person."""
    personal = price(company, "personal")
    company.start("web", "worker-1", "worker-2", "worker-3")
    names = [f"wiki{number:02}" for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        subdomains = [*names[:19], names[0]]
        list(
            pool.map(
                lambda pair: company.sign_up(pair[0], price=personal, subdomain=pair[1]),
                zip(names, subdomains, strict=True),
            )
        )
    company.rest()
    company.until(
        "all but one are active",
        lambda: sum(each.status is Status.ACTIVE for each in company.registry().values()) == 1 + 19,
    )
    company.rest()
    assert len({each.subdomain for each in company.registry().values()}) == 20
    assert set(company.letters.letters.values()) == {1}
    assert len(welcomes(company)) == 19
    with Session(company.engine) as session:
        alerts = session.scalars(select(LedgerEntry.ref).where(LedgerEntry.kind == LedgerKind.ALERT)).all()
        updates = session.scalars(select(LedgerEntry.ref).where(LedgerEntry.kind == LedgerKind.UPDATE)).all()
    assert list(alerts) == ["name-taken"]
    assert len(updates) >= 19
    assert len(set(updates)) < len(updates) / 2  # most were taken along by another's


def test_a_dead_workers_work_is_taken_over(company: Company) -> None:
    """What a killed worker was at is continued by another one, without anybody starting it again."""
    personal = price(company, "personal")
    company.start("web", "worker-1")
    company.until("it works", lambda: "worker is ready" in (company.folder / "worker-1.log").read_text())
    company.sign_up("ash", price=personal)
    company.until("it is at it", lambda: "c-ash" in company.registry())
    company.kill("worker-1")
    company.start("worker-2")
    company.until("ash is active", lambda: "c-ash" in active(company))
    company.rest()
    assert set(company.letters.letters.values()) == {1}


def test_a_worker_that_is_told_to_stop_leaves_nothing_half_done(company: Company) -> None:
    """On SIGTERM it ends what it is at; a new version goes on with the rest."""
    personal = price(company, "personal")
    company.start("web", "worker-1")
    for name in NAMES[:3]:
        company.sign_up(name, price=personal)
    time.sleep(1.5)
    company.kill("worker-1", signal.SIGTERM)
    company.sign_up(NAMES[3], price=personal)
    company.start("worker-2")
    company.rest()
    company.until("all are active", lambda: active(company) >= {f"c-{name}" for name in NAMES[:4]})
    company.rest()
    assert set(company.letters.letters.values()) == {1}


def test_outages_are_sat_out(company: Company) -> None:
    """Stripe's API away for seconds, and its events twice and out of order: everybody gets what was paid for."""
    personal = price(company, "personal")
    company.start("web", "worker-1")
    company.world.knob("duplicate", count=20, new_id=True)
    company.world.knob("reorder", count=6, seconds=1)
    company.sign_up("ash", price=personal)
    company.world.knob("outage", seconds=6)
    time.sleep(6)
    company.sign_up("birch", price=personal)
    company.rest()
    company.until("both are active", lambda: {each.status for each in company.registry().values()} == {Status.ACTIVE})
    assert {"c-ash", "c-birch"} <= company.registry().keys()
    company.rest()
    assert not company.states()[EventState.PARKED]
    assert set(company.letters.letters.values()) == {1}


def test_a_locked_database_refuses_and_recovers(company: Company) -> None:
    """While the events' table is locked Stripe is told to come again, and nothing is lost."""
    personal = price(company, "personal")
    company.start("web")
    company.wait_for_web()
    with company.engine.connect() as connection:
        on_postgres = company.engine.dialect.name == "postgresql"  # on SQLite any transaction of ours locks it
        connection.exec_driver_sql("LOCK TABLE events IN ACCESS EXCLUSIVE MODE" if on_postgres else "SELECT 1")
        company.sign_up("ash", price=personal)
        time.sleep(6.5)
        assert httpx.get(f"http://127.0.0.1:{company.web_port}/healthz", timeout=5).status_code == 200
        connection.rollback()
    refusals = [line for line in (company.folder / "web.log").read_text().splitlines() if '"status": 503' in line]
    assert refusals
    company.start("worker-1")
    company.rest()
    company.until("ash is active", lambda: "c-ash" in active(company))
    company.rest()
    assert set(company.letters.letters.values()) == {1}
