"""``hosting stripe sync``: shows, asks, applies, and finds nothing to do afterwards."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.localcloud.stripe_world import World, a_world
from tests.scripts.test_cli import Hosting, hosting, project
from webhook.stripe_catalogue import RESOURCES
from webhook.stripe_sync import read_account

__all__ = ["hosting", "project"]  # fixtures: pytest finds them here

SYNC = ("stripe", "sync")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with a_world(tmp_path / "cloud") as made:
        monkeypatch.setenv("HOSTING_STRIPE_API_KEY", "sk_test_local")
        monkeypatch.setenv("HOSTING_STRIPE_API_URL", made.base)
        yield made


def count(world: World) -> int:
    """Count the account's objects."""
    return sum(len(each) for each in read_account(world.client).values())


def test_a_dry_run_only_shows(hosting: Hosting, world: World) -> None:
    """Exit code 1 while something differs, 0 when nothing does."""
    code, out, _ = hosting(*SYNC, "--dry-run")
    assert code == 1
    assert "price team_month" in out
    assert "https://portal.markitup.io/webhooks/stripe" in out
    assert count(world) == 0
    assert hosting(*SYNC, "--yes", "--json")[0] == 0
    code, out, err = hosting(*SYNC, "--dry-run")
    assert (code, out) == (0, "")
    assert "nothing to change" in err


def test_data_for_programs(hosting: Hosting, world: World) -> None:
    """Each difference with what is and what shall be, and the secret of a new endpoint; the second time nothing."""
    code, out, err = hosting(*SYNC, "--yes", "--json")
    data = json.loads(out)
    assert (code, data["applied"], len(data["changes"])) == (0, True, count(world))
    assert data["webhook_secret"].startswith("whsec_")
    assert data["webhook_secret"] not in err
    (team,) = [each for each in data["changes"] if each["what"] == "price team_month"]
    assert (team["id"], team["now"], team["wanted"]["unit_amount"]) == (None, None, 1999)
    assert team["wanted"]["product"] == "<product team>"
    code, out, _ = hosting(*SYNC, "--json")
    assert (code, json.loads(out)) == (0, {"changes": [], "applied": False, "webhook_secret": None, "notes": []})


def test_it_asks(hosting: Hosting, world: World) -> None:
    """Nobody is here to say yes, so nothing is made."""
    code, _, err = hosting(*SYNC, "--json")
    assert (code, "Make 13 changes at Stripe (prod)?" in err, "say --yes" in err) == (1, True, True)
    assert count(world) == 0


def test_the_secret_is_not_lost(hosting: Hosting, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told once: to a terminal, with where to put it, or as data; elsewhere nothing is made."""
    code, _, err = hosting(*SYNC, "--yes")
    assert (code, "told once, and nobody would see it here" in err) == (1, True)
    assert count(world) == 0
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    code, out, _ = hosting(*SYNC, "--yes")
    assert code == 0
    assert "told only now: whsec_" in out
    assert "HOSTING_STRIPE_WEBHOOK_SECRETS of the web process" in out


def test_the_offer_and_the_endpoint_are_options(hosting: Hosting, world: World) -> None:
    """Another code, no offer, another address: shown as what differs, and changed."""
    assert hosting(*SYNC, "--yes", "--json")[0] == 0
    code, out, _ = hosting(*SYNC, "--yes", "--launch-code", "FIRST20", "--webhook-url", "https://hooks.example.org/x")
    assert (code, "FIRST20" in out, "https://hooks.example.org/x" in out) == (0, True, True)
    assert {each.code: each.active for each in world.v1.promotion_codes.list().data} == {
        "LAUNCH50": False,
        "FIRST20": True,
    }
    assert hosting(*SYNC, "--yes", "--no-launch-offer")[0] == 0
    assert not world.v1.promotion_codes.list({"active": True}).data


def test_what_is_in_the_way_stops_it(hosting: Hosting, world: World) -> None:
    """Others' objects are named with the fix, and nothing is changed."""
    stranger = world.price("team_month", 5)
    before = {name: len(each) for name, each in read_account(world.client).items()}
    code, _, err = hosting(*SYNC, "--yes", "--json")
    assert (code, stranger.id in err, "Fix: take the key off it in Stripe." in err) == (1, True, True)
    assert {name: len(each) for name, each in read_account(world.client).items()} == before
    assert set(before) == set(RESOURCES)


def test_stripe_s_refusals_are_told(hosting: Hosting, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, a wrong one, nobody there: what it means and the fix, without a stack trace."""
    cases = {
        ("HOSTING_STRIPE_API_KEY", ""): "HOSTING_STRIPE_API_KEY is not set",
        ("HOSTING_STRIPE_API_KEY", "sk_live_1"): "Stripe refuses the key in HOSTING_STRIPE_API_KEY",
        ("HOSTING_STRIPE_API_URL", "http://127.0.0.1:9"): "Stripe can't be reached",
    }
    for (name, value), says in cases.items():
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            code, _, err = hosting(*SYNC, "--yes", "--json")
        assert (code, says in err, "Traceback" in err) == (1, True, False), err
    assert count(world) == 0
