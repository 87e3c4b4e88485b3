"""The demo's customer: the same pages as everybody's, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from demo.sign_up import SignUpError, follow, order, pay
from tests.webhook.sign_up_desk import SignUps, served_sign_ups


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[SignUps]:
    """The sign-up pages, served, with a simulated Stripe."""
    with served_sign_ups(tmp_path) as opened:
        yield opened


def test_the_demo_s_customer_signs_up(desk: SignUps) -> None:
    """Orders, pays, waits until the page says that the wiki is live; a second order of the name is refused."""
    with httpx.Client(base_url=desk.public_url) as browser:
        back = pay(order(browser))
        with pytest.raises(SignUpError, match=r"glade paid and is not live after 0 s \((unknown|paid)\)"):
            follow(browser, back, seconds=0)
        desk.put(desk.reservations()["glade"].customer_id)
        assert follow(browser, back, seconds=10) == "https://glade.markitup.io:8443"
    with (
        httpx.Client(base_url=desk.public_url) as other,
        pytest.raises(SignUpError, match="answered 422: “glade” is taken"),
    ):
        order(other)
