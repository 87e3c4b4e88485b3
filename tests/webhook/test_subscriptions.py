"""What is read from Stripe, in both of its shapes, and which event asks for it."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import stripe
from stripe.params import _webhook_endpoint_create_params as endpoint

from registry.wishes import AlertKind, Subscription
from webhook import subscriptions
from webhook.subscriptions import (
    ACTED_ON,
    ALERTED,
    IGNORED,
    Account,
    alert_of,
    ignored_because,
    lookup_key,
    read,
    reduced,
    subject_of,
    subscription_of_invoice,
)

Thing = dict[str, Any]
CREATED, PERIOD_END = 1_767_225_600, 1_769_904_000
ROOT = Path(__file__).parents[2]


def price(**changes: Any) -> Thing:
    """Return the price of plan team by the month."""
    recurring = {"interval": "month", "interval_count": 1}
    return {"id": "price_1", "lookup_key": "team_month", "metadata": {}, "recurring": recurring, **changes}


def old_shape(**changes: Any) -> Thing:
    """Return a subscription as the API gave it before 2025-03-31."""
    return {
        "id": "sub_1",
        "object": "subscription",
        "customer": "cus_1",
        "status": "active",
        "created": CREATED,
        "current_period_start": CREATED,
        "current_period_end": PERIOD_END,
        "cancel_at_period_end": False,
        "cancel_at": None,
        "ended_at": None,
        "pause_collection": None,
        "latest_invoice": "in_1",
        "items": {"object": "list", "data": [{"id": "si_1", "object": "subscription_item", "price": price()}]},
        "metadata": {"customer_id": "c-acme7k2m", "subdomain": "acme", "region": "eu"},
        **changes,
    }


def new_shape(**changes: Any) -> Thing:
    """Return the same as the API gives it since then."""
    thing = old_shape()
    for name in ("current_period_start", "current_period_end"):
        thing["items"]["data"][0][name] = thing.pop(name)
    return {**thing, **changes}


def old_invoice(**changes: Any) -> Thing:
    """Return an open invoice as it was."""
    return {
        "id": "in_1",
        "object": "invoice",
        "status": "open",
        "attempt_count": 2,
        "created": CREATED,
        "subscription": "sub_1",
        **changes,
    }


def new_invoice(**changes: Any) -> Thing:
    """Return the same as it is."""
    thing = old_invoice()
    name = thing.pop("subscription")
    details = {"subscription": name, "metadata": {}}
    return {**thing, "parent": {"type": "subscription_details", "subscription_details": details}, **changes}


SHAPES: list[tuple[Callable[..., Thing], Callable[..., Thing]]] = [(old_shape, old_invoice), (new_shape, new_invoice)]
both = pytest.mark.parametrize(("shape", "invoice"), SHAPES, ids=["before 2025-03-31", "since"])
Shape = Callable[..., Thing]


@both
def test_both_shapes_reduce_to_the_same(shape: Shape, invoice: Shape) -> None:
    """Field for field."""
    raw = shape(status="past_due", latest_invoice=invoice())
    assert reduced(raw) == Subscription(
        id="sub_1",
        customer="cus_1",
        status="past_due",
        plan="team",
        interval="month",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        current_period_end=datetime(2026, 2, 1, tzinfo=UTC),
        failed_attempts=2,
        invoice="in_1",
        customer_id="c-acme7k2m",
        subdomain="acme",
        region="eu",
    )


@both
def test_what_decides_is_read(shape: Shape, invoice: Shape) -> None:
    """End, planned end, pause, an expanded customer, metadata that is empty."""
    assert reduced(shape(status="canceled", ended_at=PERIOD_END)).ended_at == datetime(2026, 2, 1, tzinfo=UTC)
    assert reduced(shape(cancel_at_period_end=True)).cancel_at_period_end
    assert reduced(shape(cancel_at=PERIOD_END)).cancel_at_period_end
    assert not reduced(shape()).cancel_at_period_end
    assert reduced(shape(pause_collection={"behavior": "void", "resumes_at": None})).paused
    assert not reduced(shape()).paused
    assert reduced(shape(customer={"id": "cus_2", "object": "customer"})).customer == "cus_2"
    assert reduced(shape(metadata={})).customer_id is None
    assert reduced(shape(metadata={"customer_id": "", "subdomain": "", "region": ""})).subdomain is None
    assert reduced(shape()).invoice == "in_1"
    assert reduced(shape(latest_invoice=None)).invoice is None
    assert reduced(shape(latest_invoice=invoice(status="paid", id="in_2"))).invoice == "in_2"


@both
def test_failed_attempts_are_those_of_what_is_due(shape: Shape, invoice: Shape) -> None:
    """Of the worst open invoice, even when a renewal's draft is the latest; a paid or void one counts nothing."""

    def attempts(latest: Thing | str | None, *others: Thing) -> tuple[int, str | None]:
        result = reduced(shape(status="past_due", latest_invoice=latest), others)
        return result.failed_attempts, result.invoice

    assert attempts(invoice(status="paid", attempt_count=4)) == (0, "in_1")
    assert attempts(invoice(status="void", attempt_count=4)) == (0, "in_1")
    assert attempts(invoice(status="draft", attempt_count=0, id="in_2"), invoice(attempt_count=3)) == (3, "in_1")
    assert attempts(invoice(status="uncollectible", attempt_count=4)) == (4, "in_1")
    assert attempts("in_9", invoice(attempt_count=1, id="in_8"), invoice(attempt_count=3)) == (3, "in_1")
    assert attempts(invoice(id="in_2", created=CREATED + 1), invoice()) == (2, "in_1")
    assert attempts(invoice(attempt_count=None)) == (0, "in_1")
    stranger = invoice(attempt_count=4, subscription="sub_2", parent=None)
    assert attempts(invoice(attempt_count=1), stranger) == (1, "in_1")


@pytest.mark.parametrize(
    ("changes", "plan"),
    [
        ({}, ("team", "month")),
        ({"lookup_key": "pro_year", "recurring": {"interval": "year"}}, ("pro", "year")),
        ({"lookup_key": None, "metadata": {"plan": "personal"}}, ("personal", "month")),
        ({"lookup_key": "spring-offer", "metadata": {"plan": "personal"}}, ("personal", "month")),
        ({"metadata": {"plan": "team"}}, ("team", "month")),
        ({"metadata": {"plan": "pro"}}, (None, None)),
        ({"lookup_key": None, "metadata": {"plan": "gold"}}, (None, None)),
        ({"lookup_key": None}, (None, None)),
        ({"lookup_key": "team_year"}, (None, None)),
        ({"lookup_key": "gold_month"}, (None, None)),
        ({"recurring": {"interval": "month", "interval_count": 3}}, (None, None)),
        ({"lookup_key": "team_week", "recurring": {"interval": "week"}}, (None, None)),
        ({"recurring": None}, (None, None)),
    ],
)
def test_a_price_means_a_plan_or_nothing(changes: Thing, plan: tuple[str | None, str | None]) -> None:
    """By lookup key, or by metadata where the key has moved on to a newer price; a contradiction is nothing."""
    for shape in (old_shape, new_shape):
        raw = shape()
        raw["items"]["data"][0]["price"] = price(**changes)
        result = reduced(raw)
        assert (result.plan, result.interval) == plan


def test_several_items_are_no_plan() -> None:
    """Nor is none."""
    for items in ([], [{"price": price()}, {"price": price()}]):
        assert reduced(old_shape(items={"data": items})).plan is None
    assert reduced(old_shape(items=None)).plan is None


def test_lookup_keys() -> None:
    """The name by which prices are found."""
    assert lookup_key("team", "year") == "team_year"


def event(kind: str, thing: Thing) -> Thing:
    """Return an event's payload."""
    return {"id": "evt_1", "object": "event", "type": kind, "data": {"object": thing}}


@pytest.mark.parametrize("kind", sorted(ACTED_ON))
def test_each_event_that_we_act_on_names_its_subscription(kind: str) -> None:
    """Both shapes, expanded or not; without one there is a reason."""
    if kind.startswith("customer.subscription."):
        things, nothing = [old_shape(), new_shape()], {}
    elif kind.startswith("checkout."):
        session = {"id": "cs_1", "object": "checkout.session", "mode": "subscription"}
        things = [{**session, "subscription": "sub_1"}, {**session, "subscription": new_shape()}]
        nothing = {**session, "mode": "payment", "subscription": None}
    else:
        things = [old_invoice(), new_invoice(), old_invoice(subscription=old_shape())]
        nothing = new_invoice(parent={"type": "quote_details", "subscription_details": None})
    for thing in things:
        assert subject_of(event(kind, thing)) == "sub_1"
        assert ignored_because(event(kind, thing)) is None
        assert alert_of(event(kind, thing)) is None
    assert subject_of(event(kind, nothing)) is None
    assert ignored_because(event(kind, nothing)) == "it is about no subscription"


def test_an_invoice_names_its_subscription_in_either_place() -> None:
    """Or in none."""
    assert subscription_of_invoice(old_invoice()) == "sub_1"
    assert subscription_of_invoice(new_invoice()) == "sub_1"
    assert subscription_of_invoice(new_invoice(parent=None)) is None
    assert subscription_of_invoice({}) is None


def test_disputes_refunds_and_stuck_invoices_alert() -> None:
    """Once for each state of theirs, with a link; they name no subscription to act on and nobody's data."""
    dispute = {"id": "dp_1", "object": "dispute", "charge": "ch_1", "status": "needs_response"}
    charge = {"id": "ch_1", "object": "charge", "amount_refunded": 500, "billing_details": {"email": "ann@example.org"}}
    refund = {"id": "re_1", "object": "refund", "charge": {"id": "ch_1"}, "status": "failed"}
    cases: list[tuple[str, Thing, AlertKind, str, str]] = [
        ("charge.dispute.created", dispute, AlertKind.DISPUTE, "dispute:dp_1:needs_response", "/disputes/dp_1"),
        (
            "charge.dispute.closed",
            {**dispute, "status": "lost"},
            AlertKind.DISPUTE,
            "dispute:dp_1:lost",
            "ch_1 is lost",
        ),
        ("charge.refunded", charge, AlertKind.REFUND, "refund:ch_1:500", "/payments/ch_1"),
        ("refund.failed", refund, AlertKind.REFUND, "refund:re_1:failed", "/payments/ch_1"),
        ("invoice.finalization_failed", new_invoice(), AlertKind.INVOICE_STUCK, "invoice-stuck:in_1", "/invoices/in_1"),
    ]
    assert {kind for kind, *_ in cases} == set(ALERTED)
    for kind, thing, alert_kind, cause, told in cases:
        alert = alert_of(event(kind, thing))
        assert alert is not None
        assert (alert.kind, alert.cause) == (alert_kind, cause)
        assert told in alert.text
        assert " Fix: " in alert.text
        assert "ann" not in alert.text
        assert subject_of(event(kind, thing)) is None
        assert ignored_because(event(kind, thing)) is None


def known_types() -> set[str]:
    """Return the event types that the SDK knows."""
    tree = ast.parse(inspect.getsource(endpoint))
    found = {
        constant.value
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "enabled_events"
        for constant in ast.walk(node)
        if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
    }
    return found - {"*"}


def test_each_event_type_of_the_api_has_its_treatment() -> None:
    """Acted on, alerted, or ignored for a reason of its own; no rule is about types that do not exist."""
    known = known_types()
    assert len(known) > 250
    assert set(ACTED_ON) | set(ALERTED) <= known
    assert not set(ACTED_ON) & set(ALERTED)
    fallback = ignored_because(event("brand.new", {}))
    assert fallback == "we have no use for this type; it is new to us"
    for kind in known - set(ACTED_ON) - set(ALERTED):
        assert ignored_because(event(kind, {})) not in {None, fallback}, kind
    for start in IGNORED:
        assert any(kind.startswith(start) for kind in known), start
    assert ignored_because(event("customer.updated", {})) == IGNORED["customer."]
    assert ignored_because(event("customer.deleted", {})) == IGNORED["customer.deleted"]
    assert ignored_because(event("invoice_payment.paid", {})) == IGNORED["invoice_payment."]


@pytest.mark.parametrize(
    "payload", [{}, {"type": None}, {"type": "invoice.paid"}, {"type": "invoice.paid", "data": {}}]
)
def test_an_empty_event_asks_for_nothing(payload: Thing) -> None:
    """It is ignored with a reason, not a failure."""
    assert subject_of(payload) is None
    assert alert_of(payload) is None
    assert ignored_because(payload)


class Recorded(stripe.HTTPClient):
    """Answers from fixtures and records what was asked, so that the SDK's own objects come out."""

    name = "recorded"

    def __init__(self, answers: Mapping[str, Any]) -> None:
        super().__init__()
        self.answers = answers
        self.asked: list[tuple[str, dict[str, list[str]]]] = []

    def request(
        self, method: str, url: str, headers: Any, post_data: Any = None, *, _usage: Any = None
    ) -> tuple[str, int, Mapping[str, str]]:
        assert method == "get"
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        self.asked.append((parts.path, query))
        answer = self.answers.get(parts.path)
        if callable(answer):
            answer = answer(query)
        if answer is None:
            error = {"error": {"type": "invalid_request_error", "code": "resource_missing", "message": "No such"}}
            return json.dumps(error), 404, {}
        return json.dumps(answer), 200, {}

    def close(self) -> None:
        """Nothing is open."""


def listing(*things: Thing, more: bool = False) -> Thing:
    """Return a list as the API gives it."""
    return {"object": "list", "data": [*things], "has_more": more, "url": "/v1/subscriptions"}


def asked(answers: Mapping[str, Any], name: str = "sub_1") -> tuple[Account, Recorded]:
    """Return what is read from recorded answers."""
    http = Recorded(answers)
    return read(stripe.StripeClient("sk_test_1", http_client=http, max_network_retries=0), name), http


CUSTOMER = {"id": "cus_1", "object": "customer", "email": "ann@example.org", "name": "Ann"}


@both
def test_reading_asks_for_the_present_state(shape: Shape, invoice: Shape) -> None:
    """The subscription with customer and latest invoice, the customer's others; no invoices where nothing is due."""
    subject = shape(customer=CUSTOMER, latest_invoice=invoice(status="paid"))
    account, http = asked(
        {"/v1/subscriptions/sub_1": subject, "/v1/subscriptions": listing(shape(latest_invoice=invoice()))}
    )
    assert account == Account(subscription=reduced(subject), others=(), email="ann@example.org", name="Ann")
    assert [path for path, _ in http.asked] == ["/v1/subscriptions/sub_1", "/v1/subscriptions"]
    assert [value for (value,) in http.asked[0][1].values()] == ["customer", "latest_invoice"]
    assert http.asked[1][1]["status"] == ["all"]
    assert http.asked[1][1]["customer"] == ["cus_1"]


@both
def test_what_is_due_is_read_from_all_open_invoices(shape: Shape, invoice: Shape) -> None:
    """The renewal's draft is the latest, the third attempt failed at the one before it."""
    subject = shape(status="past_due", customer=CUSTOMER, latest_invoice=invoice(id="in_2", status="draft"))
    answers = {
        "/v1/subscriptions/sub_1": subject,
        "/v1/subscriptions": listing(),
        "/v1/invoices": listing(invoice(attempt_count=3)),
    }
    account, http = asked(answers)
    assert (account.subscription.failed_attempts, account.subscription.invoice) == (3, "in_1")
    assert account.subscription.stopped
    (query,) = [query for path, query in http.asked if path == "/v1/invoices"]
    assert (query["subscription"], query["status"]) == (["sub_1"], ["open"])


def test_others_are_those_of_the_same_instance() -> None:
    """Of all pages; a customer's subscription to something else is none of them."""
    pages = {
        None: listing(new_shape(), new_shape(id="sub_2", status="canceled", ended_at=PERIOD_END), more=True),
        "sub_2": listing(new_shape(id="sub_3", status="unpaid"), new_shape(id="sub_4", metadata={"customer_id": "x"})),
    }
    answers = {
        "/v1/subscriptions/sub_1": new_shape(customer=CUSTOMER),
        "/v1/subscriptions": lambda query: pages[query.get("starting_after", [None])[0]],
        "/v1/invoices": listing(),
    }
    account, _ = asked(answers)
    assert [(each.id, each.status) for each in account.others] == [("sub_2", "canceled"), ("sub_3", "unpaid")]


def test_whose_it_is_unknown_has_no_others() -> None:
    """Without metadata nothing says that they are the same instance's."""
    account, http = asked({"/v1/subscriptions/sub_1": new_shape(customer=CUSTOMER, metadata={})})
    assert account.others == ()
    assert len(http.asked) == 1


def test_a_deleted_customer_has_no_address() -> None:
    """The subscription is read all the same."""
    gone = {"id": "cus_1", "object": "customer", "deleted": True}
    account, _ = asked(
        {"/v1/subscriptions/sub_1": new_shape(customer=gone, status="canceled"), "/v1/subscriptions": listing()}
    )
    assert (account.email, account.name, account.subscription.customer) == (None, None, "cus_1")


def test_a_subscription_that_is_not_there_is_an_error() -> None:
    """For the caller to park: a test-mode event, or another account's."""
    with pytest.raises(stripe.InvalidRequestError):
        asked({})


def test_the_module_does_not_load_the_sdk() -> None:
    """The web process asks it what an event is about, and has no use for 33 MiB more."""
    program = "import sys, webhook.subscriptions; sys.exit('stripe' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
    assert subscriptions.__doc__
