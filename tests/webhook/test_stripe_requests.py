"""Every request that our code makes to Stripe is one that Stripe's own description of its API allows.

The real code runs against the simulated Stripe, its requests are recorded as they go over the wire, and each is sent
again to stripe-mock, which answers 400 to what the description refuses. A new call needs a journey here: the test that
reads the source names it otherwise.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import stripe

from registry.customers import Customer
from tests.localcloud.stripe_world import World, a_world
from tests.webhook.stripe_mock import Recording, Request, StripeMock, a_stripe_mock
from webhook import stripe_orders
from webhook.checkout_booking import Booking
from webhook.checkout_order import Order
from webhook.database.engine import open_database
from webhook.database.migrate import migrate
from webhook.event_types import API_VERSION
from webhook.missed_events import take_in_missed
from webhook.stripe_catalogue import ENDPOINTS, LAUNCH_CODE, OURS, PORTALS, wanted
from webhook.stripe_checkout import StripeCheckout
from webhook.stripe_differences import differences
from webhook.stripe_sync import apply, read_account
from webhook.subscriptions import read

PROJECT = Path(__file__).parents[2]
METADATA = {"customer_id": "c-glade234", "subdomain": "glade"}
DESCRIBED = "2026-08-26.dahlia"
"""Version of the description in the pinned stripe-mock."""
NEWER: Mapping[tuple[str, str], tuple[str, str, str]] = {
    ("POST /v1/webhook_endpoints", "api_version"): (
        API_VERSION,
        DESCRIBED,
        "the description is older than the SDK and lists only versions up to its own",
    ),
}
"""Operation and parameter to the value that we send, the one that is checked instead, and why."""


def synchronise(client: stripe.StripeClient, world: World) -> None:
    """Make the account anew, then change each kind of object that can be changed."""

    def run(url: str, code: str | None) -> None:
        parts = wanted(webhook_url=url, portal_url="https://portal.example.org/portal", launch_code=code)
        apply(client, differences(read_account(client), parts).changes, lambda _: None)

    run("https://example.org/webhooks/stripe", LAUNCH_CODE)
    for service in (world.v1.products, world.v1.prices, world.v1.coupons, world.v1.billing_portal.configurations):
        for each in service.list({"limit": 100}).data:
            params: Any = {"metadata": {"plan": "", "part": each.metadata["part"]}} | (
                {} if each.object == "coupon" else {"active": False}
            )
            service.update(each.id, params | ({"name": "Other"} if "name" in each.to_dict() else {}))
    (price,) = world.v1.prices.list({"lookup_keys": ["team_month"]}).data
    dear: Any = {
        "product": price.product,
        "currency": "usd",
        "unit_amount": 1,
        "recurring": {"interval": "month"},
        "lookup_key": "team_month",
        "transfer_lookup_key": True,
        "metadata": {**OURS, "part": "price team_month", "plan": "team"},
    }
    world.v1.prices.create(dear)
    run("https://example.org/elsewhere", "FIRST20")
    (endpoint,) = world.v1.webhook_endpoints.list().data
    world.v1.webhook_endpoints.update(endpoint.id, {"disabled": True})
    run("https://example.org/elsewhere", None)


def order(client: stripe.StripeClient, world: World) -> None:
    """Have an operator do everything to a customer who pays."""
    (price,) = world.v1.prices.list({"lookup_keys": ["team_year"]}).data
    found = world.subscribed(price, metadata=METADATA, subscription_data={"metadata": METADATA})

    def give(make: Callable[[stripe_orders.Account], stripe_orders.Order]) -> None:
        account = stripe_orders.look(client, found.id)
        assert account is not None
        entry = Customer.model_validate(
            {
                "subdomain": "glade",
                "plan": "team",
                "status": "active",
                "cell": "eu-1",
                "stripe_customer": found.customer,
            }
        )
        stripe_orders.refuse_others(account, METADATA["customer_id"], entry)
        stripe_orders.give(client, make(account))

    give(stripe_orders.suspension)
    give(stripe_orders.resumption)
    give(lambda account: stripe_orders.plan_change(client, account, "pro"))
    give(stripe_orders.removal)


def look_again(client: stripe.StripeClient, world: World) -> None:
    """Have the worker look at a customer who does not pay: that reads invoices, too."""
    (price,) = world.v1.prices.list({"lookup_keys": ["personal_month"]}).data
    found = world.subscribed(price, metadata=METADATA, subscription_data={"metadata": METADATA})
    world.knob("fail_card", customer=found.customer)
    world.knob("advance", days=60)
    assert read(client, found.id).subscription.failed_attempts


def check_out(url: str, world: World) -> None:
    """Have a visitor order, go back, order again, and look how it goes on."""
    stripe_checkout = StripeCheckout("sk_test_local", api_url=url)
    with TemporaryDirectory() as folder:
        engine = open_database(f"sqlite:///{folder}/management.sqlite3")
        migrate(engine)
        booking = Booking(engine=engine, stripe=stripe_checkout, secret_key="k" * 32)
        visit = Order(plan="team", interval="year", subdomain="grove", email="ash@example.org", region="eu")
        pages = {
            "success_url": "https://portal.example.org/checkout/success?session_id={CHECKOUT_SESSION_ID}",
            "cancel_url": "https://portal.example.org/checkout/cancel?token=t",
        }
        booking.book(visit, "holder", **pages)
        booking.give_back("holder")
        booking.book(visit, "holder", **pages)
        (session, *_) = world.v1.checkout.sessions.list({"limit": 1}).data
        assert booking.look(session.id)[1] is not None
        engine.dispose()
    stripe_checkout.close()


def look_for_missed(client: stripe.StripeClient, _: World) -> None:
    """Have the worker ask for events that did not come."""
    with TemporaryDirectory() as folder:
        engine = open_database(f"sqlite:///{folder}/management.sqlite3")
        migrate(engine)
        assert take_in_missed(client, engine, now=datetime.now(tz=UTC) + timedelta(hours=1))
        engine.dispose()


def with_sdk(journey: Callable[[stripe.StripeClient, World], None]) -> Callable[[str, World], None]:
    """Return a journey that is made with a client of the SDK."""

    def run(url: str, world: World) -> None:
        http = stripe.RequestsClient()
        journey(stripe.StripeClient("sk_test_local", base_addresses={"api": url}, http_client=http), world)
        http.close()

    return run


JOURNEYS: Mapping[str, Callable[[str, World], None]] = {
    "stripe_sync.py": with_sdk(synchronise),
    "stripe_orders.py": with_sdk(order),
    "subscriptions.py": with_sdk(look_again),
    "stripe_checkout.py": check_out,
    "missed_events.py": with_sdk(look_for_missed),
}
"""Module that asks Stripe to a journey through all its requests: gets the address to ask, and the world behind it."""


@pytest.fixture(scope="module")
def mock() -> Iterator[StripeMock]:
    with a_stripe_mock() as running:
        yield running


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> list[Request]:
    """Run all journeys and return every request of them."""
    with a_world(tmp_path_factory.mktemp("cloud")) as world, ExitStack() as stack:
        recording = Recording(world, stack)
        for journey in JOURNEYS.values():
            journey(recording.url, world)
        return recording.requests


def test_the_description_allows_every_request(mock: StripeMock, recorded: list[Request]) -> None:
    """Parameters, their types and values, and paths; what only the age of the description refuses is listed above."""
    complaints: set[str] = set()
    for request in recorded:
        values = {name: checked for (op, name), (_, checked, _) in NEWER.items() if op == request.operation}
        complaint = mock.complaint(request.replaced(values) if values else request)
        if complaint:
            complaints.add(f"{request.operation}: {complaint} ({request.body})")
    assert sorted(complaints) == []


def test_exceptions_are_needed(mock: StripeMock, recorded: list[Request]) -> None:
    """Each one's value is sent, and is refused: an exception that a newer description makes needless has to go."""
    for (operation, name), (sent, _, reason) in NEWER.items():
        requests = [each for each in recorded if each.operation == operation]
        assert any(f"{name}={sent}" in each.body for each in requests), (operation, name)
        assert all("value is not in enumeration" in mock.complaint(each) for each in requests), reason


@pytest.mark.parametrize(
    ("method", "path", "body", "says"),
    [
        ("POST", "/v1/subscriptions/sub_1", "made_up=1", "additional properties are not allowed"),
        ("POST", "/v1/subscriptions/sub_1", "pause_collection[behavior]=rest", "pause_collection"),
        ("POST", "/v1/prices", "currency=usd&unit_amount=much", "not numeric"),
        ("GET", "/v1/prices?made_up=1", "", "additional properties are not allowed"),
        ("POST", "/v1/subscriptions/sub_1/suspend", "", "Unrecognized request URL"),
    ],
)
def test_the_description_refuses_what_is_made_up(
    mock: StripeMock, method: str, path: str, body: str, says: str
) -> None:
    """The check can fail: parameters, values, types, queries and paths that Stripe does not have."""
    assert says in mock.complaint(Request(method=method, path=path, body=body))


def sources() -> Iterator[tuple[str, ast.AST]]:
    """Yield the nodes of production code with the file's name."""
    for package in ("webhook", "scripts"):
        for path in sorted((PROJECT / package).rglob("*.py")):
            yield from ((path.name, node) for node in ast.walk(ast.parse(path.read_text())))


def calls() -> Iterator[tuple[str, str]]:
    """Yield where production code calls the SDK, and the operation that it is."""
    verbs = {"list": ("GET", ""), "create": ("POST", ""), "retrieve": ("GET", "/:id"), "update": ("POST", "/:id")}
    verbs |= {"cancel": ("DELETE", "/:id"), "delete": ("DELETE", "/:id")}
    for name, node in sources():
        if isinstance(node, ast.Call):
            found = re.fullmatch(r".*\bv1\.([\w.]+)\.(\w+)", ast.unparse(node.func))
            if found:
                method, end = verbs.get(found[2], ("POST", f"/:id/{found[2]}"))
                yield name, f"{method} /v1/{found[1].replace('.', '/')}{end}"


def test_every_call_in_the_source_was_recorded(recorded: list[Request]) -> None:
    """A call without a journey would be a request that nobody checks. Fix: add it to JOURNEYS."""
    made = {request.operation for request in recorded}
    found = set(calls())
    assert ("stripe_orders.py", "DELETE /v1/subscriptions/:id") in found
    assert {where for where in found if where[1] not in made} == set()
    for resource in ("products", "prices", "promotion_codes", PORTALS, ENDPOINTS):
        assert {f"GET /v1/{resource}", f"POST /v1/{resource}", f"POST /v1/{resource}/:id"} <= made


def test_every_module_that_asks_stripe_has_a_journey() -> None:
    """Also one that speaks plain HTTP: it has the API's paths in its text."""
    by_sdk = {name for name, node in sources() if isinstance(node, ast.Attribute) and node.attr == "v1"}
    texts = ((name, node.value) for name, node in sources() if isinstance(node, ast.Constant))
    by_hand = {name for name, value in texts if isinstance(value, str) and value.startswith("/v1/")}
    assert by_sdk | by_hand == set(JOURNEYS)
