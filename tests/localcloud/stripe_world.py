"""A simulated Stripe that really serves, a receiver that checks signatures, and the real client."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import stripe
from flask import Flask, request
from werkzeug.serving import make_server

from localcloud.faults import Faults
from localcloud.store import Store
from localcloud.stripe_api.app import stripe_blueprint

DAY = 24 * 3600


class Receiver:
    """Takes events whose signature is good; answers what ``status`` says."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.refused: list[str] = []
        self.secrets: list[str] = []
        self.status = 200
        self.url = ""

    def answer(self) -> tuple[str, int]:
        """Check one event as a service would."""
        for secret in self.secrets:
            try:
                event: Any = stripe.Webhook.construct_event(
                    request.get_data(), request.headers["Stripe-Signature"], secret
                )
            except stripe.SignatureVerificationError as error:
                self.refused.append(str(error))
                continue
            if self.status < 300:
                self.events.append(event.to_dict())
            return "", self.status
        return "", 400

    def types(self) -> list[str]:
        """Return the types of all events in the order they came."""
        return [event["type"] for event in self.events]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the data of all events of a type."""
        return [event["data"] for event in self.events if event["type"] == kind]


class World:
    """Stripe, which can be stopped and started again, and who listens to it."""

    def __init__(self, folder: Path) -> None:
        self.receiver = Receiver()
        self._folder = folder
        self._running = ExitStack()
        self._outside = ExitStack()
        app = Flask("receiver")
        app.add_url_rule("/hook", "hook", self.receiver.answer, methods=["POST"])
        self.receiver.url = f"{served(app, self._outside)}/hook"
        self.start()

    def start(self) -> None:
        """Serve what the folder has."""
        self.store = Store(self._folder / "cloud.db")
        self._running.callback(self.store.close)
        self.faults = Faults(self.store, sleep=lambda _: None)
        blueprint = stripe_blueprint(self.store, self.faults, time.time)
        self._running.callback(blueprint.close)
        app = Flask("stripe")
        app.register_blueprint(blueprint, url_prefix="/stripe")
        self.base = f"{served(app, self._running)}/stripe"
        http = stripe.RequestsClient()
        self._running.callback(http.close)
        self.client = stripe.StripeClient("sk_test_local", base_addresses={"api": self.base}, http_client=http)
        self.v1 = self.client.v1

    def stop(self) -> None:
        """Stop serving."""
        self._running.close()

    def close(self) -> None:
        """Stop everything."""
        self.stop()
        self._outside.close()

    def listen(self, *types: str, **more: Any) -> Any:
        """Have events sent to the receiver."""
        params: Any = {"url": self.receiver.url, "enabled_events": list(types or ["*"]), **more}
        endpoint = self.v1.webhook_endpoints.create(params)
        assert endpoint.secret
        self.receiver.secrets.append(endpoint.secret)
        return endpoint

    def knob(self, name: str, **wish: Any) -> dict[str, Any]:
        """Turn a knob."""
        response = httpx.post(f"{self.base}/_test/{name}", json=wish, timeout=60)
        assert response.status_code == 200, response.text
        return response.json()

    def look(self, name: str) -> dict[str, Any]:
        """Look at a knob."""
        return httpx.get(f"{self.base}/_test/{name}").raise_for_status().json()

    def settle(self) -> None:
        """Wait until all events have been delivered."""
        assert self.knob("settle") == {"settled": True, "undelivered": 0}

    def price(self, key: str = "personal_monthly", cents: int = 799, interval: str = "month", **more: Any) -> Any:
        """Make a product with a price."""
        product = self.v1.products.create({"name": key.split("_", maxsplit=1)[0].title()})
        params: Any = {"product": product.id, "unit_amount": cents, "currency": "usd", "lookup_key": key}
        return self.v1.prices.create({**params, "recurring": {"interval": interval}, **more})

    def checkout(self, price: Any, **more: Any) -> Any:
        """Open a checkout session."""
        params: Any = {
            "mode": "subscription",
            "line_items": [{"price": price.id, "quantity": 1}],
            "success_url": "https://portal.example.org/done?session={CHECKOUT_SESSION_ID}",
            "cancel_url": "https://portal.example.org/cancelled",
            "metadata": {"subdomain": "acme"},
            "subscription_data": {"metadata": {"subdomain": "acme"}},
        }
        return self.v1.checkout.sessions.create({**params, **more})

    def press(self, url: str, action: str, **fields: str) -> httpx.Response:
        """Press a button on a hosted page."""
        return httpx.post(url, data={"action": action, "email": "owner@acme.example", **fields})

    def subscribed(self, price: Any, *, action: str = "pay", code: str = "", **more: Any) -> Any:
        """Sign somebody up through the hosted page and return the subscription."""
        session = self.checkout(price, **more)
        response = self.press(session.url, action, promotion_code=code)
        assert response.status_code == 303, response.text
        return self.subscription(self.v1.checkout.sessions.retrieve(session.id).subscription)

    def subscription(self, key: Any) -> Any:
        """Return a subscription with its latest invoice."""
        return self.v1.subscriptions.retrieve(key, {"expand": ["latest_invoice"]})


def period(subscription: Any) -> tuple[int, int]:
    """Return when the current period started and when it ends."""
    item = subscription["items"].data[0]
    return item.current_period_start, item.current_period_end


def served(app: Flask, stack: ExitStack) -> str:
    """Serve an app until the stack is closed; return its base URL."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    stack.callback(server.server_close)
    stack.callback(thread.join)
    stack.callback(server.shutdown)
    return f"http://127.0.0.1:{server.server_port}"


@contextmanager
def a_world(folder: Path) -> Iterator[World]:
    """Serve a world for one test."""
    world = World(folder)
    try:
        yield world
    finally:
        world.close()


def until(truth: Callable[[], object], seconds: float = 10) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not truth():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
