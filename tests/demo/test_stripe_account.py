"""The demo's account at the simulated Stripe: made once, found again, its endpoint's secret never lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.stripe_account import SECRET, AccountError, ensure_account
from tests.localcloud.stripe_world import World, a_world
from webhook.stripe_catalogue import RESOURCES
from webhook.stripe_sync import read_account


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with a_world(tmp_path) as made:
        yield made


def ensure(world: World, previous: str = "") -> str:
    """Make the account, as `make demo` does; return the secret."""
    return ensure_account(
        world.client,
        webhook_url=world.receiver.url,
        portal_url="https://portal.markitup.localhost/portal",
        previous={SECRET: previous} if previous else {},
    )


def test_a_second_demo_finds_it(world: World) -> None:
    """The same objects, the same secret; where that was lost, another endpoint with another one."""
    secret = ensure(world)
    before = read_account(world.client)
    assert all(before[resource] for resource in RESOURCES)
    assert ensure(world, secret) == secret
    assert read_account(world.client) == before
    other = ensure(world)
    (endpoint,) = world.v1.webhook_endpoints.list().data
    assert other != secret
    assert endpoint.url == world.receiver.url


def test_the_endpoint_gets_events_that_its_secret_signs(world: World) -> None:
    """A sign-up through the account arrives, signed."""
    world.receiver.secrets.append(ensure(world))
    (price,) = world.v1.prices.list({"lookup_keys": ["personal_month"]}).data
    world.subscribed(price)
    world.settle()
    assert "checkout.session.completed" in world.receiver.types()
    assert world.receiver.refused == []


def test_what_was_made_by_hand_is_no_riddle(world: World) -> None:
    """The message says what is in the way, and how to begin anew."""
    world.price("team_month", 5)
    with pytest.raises(AccountError, match=r"(?s)lookup key team_month.*make down"):
        ensure(world)
