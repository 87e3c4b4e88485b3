"""Stripe's Checkout by plain HTTP: what is sent, what is tried again, and what a refusal becomes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, jsonify, request

from tests.localcloud.stripe_world import World, a_world, served
from webhook.event_types import API_VERSION
from webhook.stripe_checkout import (
    StripeAwayError,
    StripeCheckout,
    StripeError,
    StripeRefusedError,
    form_fields,
)

PARAMS = {
    "mode": "subscription",
    "customer_email": "gil@example.org",
    "allow_promotion_codes": True,
    "metadata": {"customer_id": "c-12345678", "region": None},
    "success_url": "https://portal.example.org/done",
}
SESSION = {"id": "cs_test_1", "status": "open", "payment_status": "unpaid", "url": "https://x", "metadata": {}}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """The simulated Stripe."""
    with a_world(tmp_path) as opened:
        yield opened


@pytest.fixture
def client(world: World) -> Iterator[StripeCheckout]:
    """Asks it."""
    made = StripeCheckout("sk_test_local", api_url=world.base, sleep=lambda _: None)
    yield made
    made.close()


class Recorder:
    """A server that notes requests and answers what it is told."""

    def __init__(self, stack: ExitStack) -> None:
        self.requests: list[dict[str, Any]] = []
        self.answers: list[tuple[int, Any]] = []
        self.slept: list[float] = []
        app = Flask("recorder")
        app.add_url_rule("/<path:path>", "take", self.take, methods=["GET", "POST"])
        self.client = StripeCheckout("rk_test_x", api_url=f"{served(app, stack)}/", sleep=self.slept.append)
        stack.callback(self.client.close)

    def take(self, path: str) -> Response:
        """Note and answer."""
        self.requests.append({"path": path, "headers": dict(request.headers), "form": request.form.to_dict()})
        status, body = self.answers.pop(0) if self.answers else (200, SESSION)
        response = jsonify(body)
        response.status_code = status
        return response


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """Where requests end."""
    with ExitStack() as stack:
        yield Recorder(stack)


def test_parameters_are_a_form() -> None:
    """Nested names in brackets, booleans in words, nothing for None."""
    fields = dict(form_fields({**PARAMS, "line_items": [{"price": "price_1", "quantity": 1}]}))
    assert fields == {
        "mode": "subscription",
        "customer_email": "gil@example.org",
        "allow_promotion_codes": "true",
        "metadata[customer_id]": "c-12345678",
        "line_items[0][price]": "price_1",
        "line_items[0][quantity]": "1",
        "success_url": "https://portal.example.org/done",
    }


def test_each_request_says_who_asks_and_in_which_version(recorder: Recorder) -> None:
    """And the key under which it is one request, however often it comes."""
    recorder.client.create(PARAMS, idempotency_key="key-1")
    (seen,) = recorder.requests
    assert seen["path"] == "v1/checkout/sessions"
    assert seen["headers"]["Authorization"] == "Bearer rk_test_x"
    assert seen["headers"]["Stripe-Version"] == API_VERSION
    assert seen["headers"]["Idempotency-Key"] == "key-1"
    assert seen["headers"]["Content-Type"] == "application/x-www-form-urlencoded"
    assert seen["form"]["metadata[customer_id]"] == "c-12345678"


@pytest.mark.parametrize("status", [409, 429, 500, 503])
def test_a_failure_is_tried_once_more(recorder: Recorder, status: int) -> None:
    """With the same key, after a moment; the second one is told."""
    recorder.answers = [(status, {"error": {"type": "api_error"}})]
    assert recorder.client.create(PARAMS, idempotency_key="key-1").id == "cs_test_1"
    assert [each["headers"]["Idempotency-Key"] for each in recorder.requests] == ["key-1", "key-1"]
    assert len(recorder.slept) == 1
    recorder.answers = [(status, {}), (status, {})]
    with pytest.raises(StripeAwayError, match=f"answered {status} to POST /v1/checkout/sessions"):
        recorder.client.create(PARAMS, idempotency_key="key-2")
    assert len(recorder.requests) == 4


def test_a_refusal_is_not_tried_again(recorder: Recorder) -> None:
    """It says what Stripe calls it, and nothing of what was sent."""
    body = {"type": "invalid_request_error", "code": "email_invalid", "param": "customer_email", "message": "gil@x"}
    recorder.answers = [(400, {"error": body})]
    with pytest.raises(StripeRefusedError) as caught:
        recorder.client.create(PARAMS, idempotency_key="key-1")
    assert str(caught.value) == "Stripe answered 400 to POST /v1/checkout/sessions: email_invalid customer_email"
    assert (caught.value.code, caught.value.param, len(recorder.requests)) == (400, "customer_email", 1)


def test_an_answer_that_is_none(recorder: Recorder) -> None:
    """A page of a proxy in between, say."""
    with ExitStack() as stack:
        app = Flask("proxy")
        app.add_url_rule("/<path:path>", "take", lambda path: "<html>", methods=["GET", "POST"])
        client = StripeCheckout("rk_test_x", api_url=served(app, stack), sleep=lambda _: None)
        with pytest.raises(StripeAwayError, match="did not answer GET /v1/prices: JSONDecodeError"):
            client.price("team_month")
        client.close()


def test_nobody_answers() -> None:
    """Nothing listens: an exception of our own, without the address or the key."""
    client = StripeCheckout("rk_test_secret", api_url="http://127.0.0.1:9", sleep=lambda _: None)
    with pytest.raises(StripeAwayError) as caught:
        client.retrieve("cs_test_1")
    assert str(caught.value) == "Stripe did not answer GET /v1/checkout/sessions/:id: ConnectError"
    client.close()


def test_a_session_s_life(world: World, client: StripeCheckout) -> None:
    """Found by its price's key, opened once for a key, looked at, ended; a second end changes nothing."""
    price = world.price("team_month")
    assert client.price("team_month") == price.id
    with pytest.raises(StripeRefusedError, match=r"no price with the lookup key pro_month.*hosting stripe sync"):
        client.price("pro_month")
    params = {**PARAMS, "line_items": [{"price": price.id, "quantity": 1}]}
    made = client.create(params, idempotency_key="key-1")
    assert client.create(params, idempotency_key="key-1") == made
    assert (made.status, made.payment_status, made.is_paid) == ("open", "unpaid", False)
    assert made.metadata == {"customer_id": "c-12345678"}
    assert str(made.url) not in repr(made)
    assert client.retrieve(made.id) == made
    for _ in range(2):
        ended = client.expire(made.id)
        assert ended is not None
        assert (ended.status, ended.url) == ("expired", None)


def test_a_paid_session_stays_paid(world: World, client: StripeCheckout) -> None:
    """Ending it tells what it is."""
    params = {**PARAMS, "line_items": [{"price": world.price().id, "quantity": 1}]}
    made = client.create(params, idempotency_key="key-1")
    world.press(str(made.url), "pay")
    found = client.expire(made.id)
    assert found is not None
    assert (found.status, found.is_paid) == ("complete", True)


def test_nobody_s_session(client: StripeCheckout) -> None:
    """Is none, whatever its id looks like; a key that is refused is another matter."""
    for session_id in ("cs_test_nobody", "../customers", "a/b?c=d"):
        assert client.retrieve(session_id) is None
        assert client.expire(session_id) is None


def test_a_wrong_key_is_an_error(world: World) -> None:
    """Not an unknown session."""
    stranger = StripeCheckout("wrong", api_url=world.base, sleep=lambda _: None)
    asks: list[Callable[[str], object]] = [stranger.retrieve, stranger.expire]
    for ask in asks:
        with pytest.raises(StripeError, match="answered 401"):
            ask("cs_test_1")
    stranger.close()


def test_stripe_s_own_page_is_where_forms_lead() -> None:
    """Or the other one's, where another API is set."""
    for url, origin in (
        (None, "https://checkout.stripe.com"),
        ("http://127.0.0.1:8302/stripe", "http://127.0.0.1:8302"),
    ):
        client = StripeCheckout("rk_test_x", api_url=url)
        assert client.origin == origin
        client.close()
