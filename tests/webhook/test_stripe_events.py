"""Stripe's webhook endpoint, on both databases: signed, fresh, durable, once; and silent about people."""

from __future__ import annotations

import http.client
import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import yaml
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session
from stripe import WebhookSignature, api_version
from werkzeug.test import TestResponse

from tests.webhook.conftest import CUSTOMERS
from webhook import stripe_events
from webhook.app import create_app
from webhook.database.engine import open_database
from webhook.database.events import EventRecord, EventState, find_event, settle_event
from webhook.database.schema import database_problem
from webhook.event_types import API_VERSION, HANDLED
from webhook.registry_view import RegistryView
from webhook.stripe_events import MOST_BYTES, Intake, pending_events
from webhook.subscriptions import ignored_because

ROOT = Path(__file__).parents[2]
OLD, NEW, STRANGER = "whsec_old_0123456789abcdef", "whsec_new_0123456789abcdef", "whsec_other_0123456789abcde"
NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
PEOPLE = {
    "email": "ada@example.org",
    "name": "Ada Lovelace",
    "phone": "+44 20 7946 0000",
    "address": {"city": "London", "line1": "12 St James's Square", "postal_code": "SW1Y"},
}
WORDS = ("ada@", "lovelace", "7946 0000", "london", "james", "sw1y")


def event(event_id: str = "evt_1", kind: str = "checkout.session.completed", **changes: Any) -> dict[str, Any]:
    """Return an event with a person in it."""
    return {
        "id": event_id,
        "object": "event",
        "api_version": API_VERSION,
        "created": int(NOW.timestamp()) - 2,
        "type": kind,
        "livemode": False,
        "data": {
            "object": {
                "id": "cs_test_1",
                "object": "checkout.session",
                "customer": "cus_1",
                "subscription": "sub_1",
                "amount_total": 799,
                "metadata": {"subdomain": "acme", "note": "Call Ada Lovelace"},
                "customer_details": PEOPLE,
                "customer_email": "ada@example.org",
                "a_field_of_next_year": "ada@example.org",
                "url": "https://checkout.stripe.com/c/pay/cs_test_1#secret",
            }
        },
        **changes,
    }


def sign(body: str | bytes, secret: str = NEW, at: datetime = NOW) -> str:
    """Return the header as Stripe's own library makes it."""
    text_ = body if isinstance(body, str) else body.decode()
    return WebhookSignature.generate_signature_header(text_, secret, int(at.timestamp()))


def post(client: FlaskClient, body: str, header: str | None = None) -> TestResponse:
    """Post a body, signed unless a header is given; an empty one is left away."""
    signature = sign(body) if header is None else header
    headers = {"Stripe-Signature": signature} if signature else {}
    return client.post("/webhooks/stripe", data=body, headers=headers)


class Queue:
    """Notes what it is told of; fails when it shall."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.failure: Exception | None = None

    def __call__(self, event_id: str) -> None:
        if self.failure is not None:
            raise self.failure
        self.told.append(event_id)


@pytest.fixture
def queue() -> Queue:
    """Where new events are announced."""
    return Queue()


@pytest.fixture
def intake(engine: Engine, queue: Queue) -> Intake:
    """Takes events in at a fixed time."""
    return Intake(engine=engine, secrets=(NEW, OLD), enqueue=queue, clock=lambda: NOW)


@pytest.fixture
def app(view: RegistryView, intake: Intake) -> Flask:
    """The application with a database."""
    return create_app(view, intake=intake)


def rows(engine: Engine) -> list[EventRecord]:
    """Return all events."""
    with Session(engine) as session:
        return list(session.query(EventRecord).order_by(EventRecord.id))


def metric(client: FlaskClient, line: str) -> float:
    """Return a number of /metrics."""
    answer = client.get("/metrics").get_data(as_text=True)
    found = [each.rsplit(" ", 1)[1] for each in answer.splitlines() if each.startswith(f"{line} ")]
    return float(found[0]) if found else 0


def test_an_event_is_durable_before_the_answer(client: FlaskClient, engine: Engine, queue: Queue) -> None:
    """Kept with what it said and when, announced once, and only then answered."""
    body = json.dumps(event())
    response = post(client, body)
    assert (response.status_code, response.text) == (200, "received\n")
    (row,) = rows(engine)
    assert (row.id, row.type, row.api_version) == ("evt_1", "checkout.session.completed", API_VERSION)
    assert (row.state, row.reason, row.attempts, row.applied_at) == (EventState.RECEIVED, None, 0, None)
    assert (row.created, row.received_at) == (NOW - timedelta(seconds=2), NOW)
    assert row.payload["data"]["object"]["subscription"] == "sub_1"
    assert row.payload["data"]["object"]["metadata"]["subdomain"] == "acme"
    assert queue.told == ["evt_1"]


def test_the_commit_comes_before_the_announcement(engine: Engine, view: RegistryView) -> None:
    """A worker that is fast finds the event: another connection sees it while it is announced."""
    seen: list[str] = []

    def look(event_id: str) -> None:
        with Session(engine) as session:
            found = find_event(session, event_id)
            seen.append("nothing" if found is None else found.id)

    intake = Intake(engine=engine, secrets=(NEW,), enqueue=look, clock=lambda: NOW)
    assert post(create_app(view, intake=intake).test_client(), json.dumps(event())).status_code == 200
    assert seen == ["evt_1"]


def test_an_announcement_that_fails_loses_nothing(client: FlaskClient, engine: Engine, queue: Queue) -> None:
    """Stripe is told 200, for the event is safe; the sweeper finds it until somebody has applied it."""
    queue.failure = RuntimeError("the queue of ada@example.org is gone")
    response = post(client, json.dumps(event()))
    assert (response.status_code, response.text) == (200, "received\n")
    assert pending_events(engine, NOW) == []
    assert pending_events(engine, NOW + timedelta(seconds=1)) == [("evt_1", NOW)]
    with Session(engine) as session, session.begin():
        settle_event(session, "evt_1", EventState.APPLIED, now=NOW)
    assert pending_events(engine, NOW + timedelta(seconds=1)) == []


def test_a_duplicate_is_welcome(client: FlaskClient, engine: Engine, queue: Queue) -> None:
    """200, one row, one announcement; also after it was applied, whose state it leaves alone."""
    body = json.dumps(event())
    assert post(client, body).text == "received\n"
    with Session(engine) as session, session.begin():
        settle_event(session, "evt_1", EventState.APPLIED, now=NOW)
    again = post(client, body)
    assert (again.status_code, again.text) == (200, "duplicate\n")
    assert [row.state for row in rows(engine)] == [EventState.APPLIED]
    assert queue.told == ["evt_1"]


def test_an_unknown_type_is_ignored_with_a_reason(client: FlaskClient, engine: Engine, queue: Queue) -> None:
    """200, or Stripe would hold invoices back; kept, announced to nobody."""
    for number, kind in enumerate(("invoice.created", "a.type.of.next.year")):
        response = post(client, json.dumps(event(f"evt_{number}", kind=kind)))
        assert (response.status_code, response.text) == (200, "ignored\n")
        row = rows(engine)[number]
        assert (row.state, row.reason) == (EventState.IGNORED, ignored_because({"type": kind}))
        assert row.reason
    assert queue.told == []
    assert pending_events(engine, NOW + timedelta(days=1)) == []


@pytest.mark.parametrize(
    ("kind", "thing"),
    [
        ("customer.tax_id.created", {"id": "txi_1", "object": "tax_id", "value": "DE811907980", "country": "DE"}),
        ("payment_method.attached", {"id": "pm_1", "object": "payment_method", "boleto": {"tax_id": "39053344705"}}),
        (
            "identity.verification_session.verified",
            {"id": "vs_1", "object": "x", "verified_outputs": {"first_name": "Jenny", "dob": {"year": 1980}}},
        ),
    ],
)
def test_of_what_is_ignored_only_its_name_is_kept(
    client: FlaskClient, engine: Engine, kind: str, thing: dict[str, Any]
) -> None:
    """A type that nobody looks into can have a person in a single word or number, under any key."""
    assert post(client, json.dumps(event(kind=kind, data={"object": thing}))).status_code == 200
    (row,) = rows(engine)
    assert row.payload["data"] == {"object": {"id": thing["id"], "object": thing["object"]}}
    assert (row.payload["id"], row.payload["type"]) == ("evt_1", kind)


@pytest.mark.parametrize("kind", sorted(HANDLED))
def test_each_handled_type_is_received(intake: Intake, kind: str) -> None:
    """By its exact name."""
    parsed = stripe_events.parse_event(json.dumps(event(kind=kind)).encode(), intake)
    assert (parsed.state, parsed.reason) == (EventState.RECEIVED, None)


@pytest.mark.parametrize("secret", [NEW, OLD])
def test_each_secret_is_good(client: FlaskClient, secret: str) -> None:
    """While one is exchanged for the other."""
    body = json.dumps(event())
    assert post(client, body, sign(body, secret)).status_code == 200


def test_stripe_signs_with_both_secrets_while_they_change(client: FlaskClient) -> None:
    """One header with two signatures, the second of which is known here; other schemes are passed over."""
    body = json.dumps(event())
    stamp, good = sign(body).split(",")
    strange = sign(body, STRANGER).split(",")[1]
    assert post(client, body, f"{stamp},{strange},{good},v0={'0' * 64}").status_code == 200


BODY = json.dumps(event())
REFUSED = {
    "missing": ("", "missing"),
    "empty of sense": ("hello", "not of the form"),
    "no time": (sign(BODY).split(",")[1], "not of the form"),
    "no signature": (sign(BODY).split(",")[0], "not of the form"),
    "two times": (f"t=1,{sign(BODY)}", "not of the form"),
    "a time that is no number": (sign(BODY).replace("t=", "t=x"), "not of the form"),
    "a time in other digits": (f"t=١٢٣,{sign(BODY).split(',')[1]}", "not of the form"),
    "another secret": (sign(BODY, STRANGER), "No signature"),
    "another body": (sign(BODY + " "), "No signature"),
    "another time": (f"t={int(NOW.timestamp()) - 1},{sign(BODY).split(',')[1]}", "No signature"),
    "the old scheme only": (sign(BODY).replace("v1=", "v0="), "not of the form"),
    "an upper-case scheme": (sign(BODY).replace("v1=", "V1="), "not of the form"),
    "not hexadecimal": (f"t={int(NOW.timestamp())},v1=ä", "No signature"),
    "too old": (sign(BODY, at=NOW - timedelta(seconds=301)), "older than 300 seconds"),
    "of the future": (sign(BODY, at=NOW + timedelta(seconds=301)), "more than 300 seconds ahead"),
    "old and by a stranger": (sign(BODY, STRANGER, NOW - timedelta(days=1)), "No signature"),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_a_signature_that_does_not_hold(client: FlaskClient, engine: Engine, queue: Queue, case: str) -> None:
    """400 with a text that says what is wrong; nothing is kept."""
    header, words = REFUSED[case]
    raw = header.encode("utf-8").decode("latin-1")  # as WSGI has it
    response = post(client, BODY, raw)
    assert response.status_code == 400
    assert words in response.text
    assert response.content_type.startswith("text/plain")
    assert rows(engine) == []
    assert queue.told == []


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_the_window_has_both_ends(client: FlaskClient, seconds: int) -> None:
    """Up to 300 seconds either way are good."""
    assert post(client, BODY, sign(BODY, at=NOW + timedelta(seconds=seconds))).status_code == 200


def test_the_body_is_checked_as_it_came(client: FlaskClient) -> None:
    """Not as parsed and written again: spaces and the order of keys are Stripe's."""
    for number, body in enumerate(
        (json.dumps(event("evt_a"), indent=3), json.dumps(event("evt_b"), ensure_ascii=False))
    ):
        assert post(client, body).status_code == 200, number


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not json",
        "[]",
        "null",
        '"evt_1"',
        "{}",
        '{"id": "evt_1"}',
        '{"id": 1, "type": "invoice.paid"}',
        '{"id": "evt_1", "type": ["invoice.paid"]}',
        '{"id": "in_1", "type": "invoice.paid"}',
        '{"id": "evt_\\u0000", "type": "invoice.paid"}',
        '{"id": "evt_1 or 1=1", "type": "invoice.paid"}',
        json.dumps({"id": "evt_" + "x" * 300, "type": "invoice.paid"}),
        '{"id": "evt_1", "type": "invoice.paid", "n": NaN}',
        "[" * 100_000,
    ],
)
def test_a_signed_body_that_is_no_event(client: FlaskClient, engine: Engine, body: str) -> None:
    """400, for sending it again would not help; never 500."""
    response = post(client, body)
    assert response.status_code == 400
    assert response.text.startswith("The body is no")
    assert rows(engine) == []


def test_a_body_that_is_not_utf_8(client: FlaskClient) -> None:
    """Signed over its bytes, and refused as no JSON."""
    import hmac  # noqa: PLC0415 - Stripe's helper signs text only

    body = b'{"id": "\xff"}'
    stamp = str(int(NOW.timestamp()))
    signature = hmac.new(NEW.encode(), f"{stamp}.".encode() + body, "sha256").hexdigest()
    headers = {"Stripe-Signature": f"t={stamp},v1={signature}"}
    response = client.post("/webhooks/stripe", data=body, headers=headers)
    assert (response.status_code, response.text) == (400, "The body is no JSON.\n")


def is_json(value: object) -> bool:
    """Whether JSON has a way to write a value: it has none for what is not finite."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=20,
    ),
    created=st.none() | st.integers() | st.floats(allow_nan=False) | st.text(),
    number=st.integers(0, 10**30),
)
def test_whatever_stripe_signs_is_kept(client: FlaskClient, data: object, created: object, number: int) -> None:
    """Any object below any date: both databases take it, for what they can't hold was left out before."""
    body = json.dumps({**event(f"evt_{number}"), "data": {"object": data}, "created": created}, allow_nan=True)
    assert post(client, body).status_code == (200 if is_json([data, created]) else 400)


def test_size(client: FlaskClient, engine: Engine) -> None:
    """As many bytes as the limit are good, one more is 413, whatever its signature."""
    body = json.dumps(event())
    exact = body + " " * (MOST_BYTES - len(body))
    assert post(client, exact).status_code == 200
    for more in (1, 2, 1000):
        response = post(client, exact + " " * more)
        assert (response.status_code, response.text) == (413, "The body is larger than 262144 bytes.\n")
    assert len(rows(engine)) == 1


def test_only_post(client: FlaskClient) -> None:
    """Nothing else is answered here."""
    for method in ("get", "put", "delete", "patch"):
        assert getattr(client, method)("/webhooks/stripe").status_code == 405


def test_no_personal_data_is_kept_or_logged(
    client: FlaskClient, engine: Engine, queue: Queue, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not in the row, not in the log, also when announcing fails; the log has the event's id and type."""
    queue.failure = RuntimeError("no queue for ada@example.org")
    post(client, json.dumps(event()))
    post(client, json.dumps(event("evt_2", kind="customer.created")))
    post(client, json.dumps(event("evt_3")), "t=1,v1=bad")
    out, err = capfd.readouterr()
    logged = (out + err).lower()
    assert "evt_1" in logged
    assert "checkout.session.completed" in logged
    kept = " ".join(json.dumps(row.payload) for row in rows(engine)).lower()
    for word in (*WORDS, "checkout.stripe.com", NEW):
        assert word not in kept
        assert word not in logged


def test_another_api_version_is_kept_and_logged(
    client: FlaskClient, engine: Engine, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is an event all the same; the operator is told that the endpoint is of another version."""
    assert post(client, json.dumps(event(api_version="2020-08-27"))).status_code == 200
    out, err = capfd.readouterr()
    assert rows(engine)[0].api_version == "2020-08-27"
    assert "event of another API version" in out + err
    assert "2020-08-27" in out + err
    assert post(client, json.dumps(event("evt_2"))).status_code == 200
    out, err = capfd.readouterr()
    assert "another API version" not in out + err
    assert post(client, json.dumps(event("evt_3", api_version=None))).status_code == 200
    assert rows(engine)[2].api_version is None


def test_the_expected_api_version_is_the_sdks() -> None:
    """The endpoint at Stripe is made with it, and the worker reads objects in its shape."""
    assert api_version == API_VERSION


def test_a_hundred_posts_of_one_event(client: FlaskClient, app: Flask, engine: Engine, queue: Queue) -> None:
    """At the same time: all answered 200, one row, one announcement."""
    ready = threading.Barrier(100)

    def one(_: int) -> tuple[int, str]:
        ready.wait()
        response = post(app.test_client(), BODY)
        return response.status_code, response.text

    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(one, range(100)))
    assert sorted(answers) == [(200, "duplicate\n")] * 99 + [(200, "received\n")]
    assert len(rows(engine)) == 1
    assert queue.told == ["evt_1"]


def test_a_locked_database(view: RegistryView, engine: Engine, database_url: str, queue: Queue) -> None:
    """503, so that Stripe sends it again, which then succeeds; readers and Caddy's questions are answered meanwhile."""
    patient = open_database(database_url, wait_seconds=0.3)
    intake = Intake(engine=patient, secrets=(NEW,), enqueue=queue, clock=lambda: NOW)
    client = create_app(view, intake=intake).test_client()
    with engine.begin() as other:
        if engine.dialect.name == "postgresql":
            other.execute(text("LOCK TABLE events IN EXCLUSIVE MODE"))
        begin = time.monotonic()
        response = post(client, BODY)
        assert time.monotonic() - begin < 5
        assert (response.status_code, response.headers["Retry-After"]) == (503, "30")
        assert response.text == "The event could not be stored. Send it again later.\n"
        assert client.get("/readyz").status_code == 200
        assert client.get("/internal/ask?domain=wiki.example.org").status_code == 200
    assert queue.told == []
    assert post(client, BODY).text == "received\n"
    assert metric(client, 'hosting_stripe_posts_total{outcome="unavailable",type="checkout.session.completed"}') == 1
    patient.dispose()


def test_a_database_that_is_gone(
    client: FlaskClient, engine: Engine, queue: Queue, capfd: pytest.CaptureFixture[str]
) -> None:
    """503, not ready, and the log says what kind of failure, without the database's own words."""
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE events RENAME TO hidden"))
        connection.execute(text("DROP TABLE alembic_version"))
    response = post(client, BODY)
    assert response.status_code == 503
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json is not None
    assert ready.json["checks"]["registry"] == "ok"
    assert ready.json["checks"]["database"].startswith("its schema is at nothing")
    assert (
        ready.json["checks"]["queue"] == ready.json["checks"]["engine"] == "unknown while the database can't be asked"
    )
    assert client.get("/healthz").status_code == 200
    assert metric(client, "hosting_database_up") == 0
    out, err = capfd.readouterr()
    assert "the database did not take an event" in out + err
    assert "INSERT" not in out + err
    assert queue.told == []


def test_no_text_of_an_exception_reaches_the_client(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever goes wrong where nobody expected it: 500 with the request's id, by which the log has its place."""

    def fail(*_: object) -> None:
        message = "the key (email)=(ada@example.org) at /srv/hosting is secret"
        raise RuntimeError(message)

    monkeypatch.setattr(stripe_events, "record_event", fail)
    response = post(client, BODY)
    assert response.status_code == 500
    assert "ada@example.org" not in response.text
    assert "RuntimeError" not in response.text
    out, err = capfd.readouterr()
    (line,) = [
        json.loads(each) if each.startswith("{") else each for each in (out + err).splitlines() if "failed" in each
    ]
    number = response.text.split()[-1].rstrip(".")
    assert number in str(line)
    assert "RuntimeError" in str(line)
    assert "stripe_events.py:" in str(line)
    assert "ada@example.org" not in out + err


def test_flasks_own_refusals_stay(client: FlaskClient) -> None:
    """A page that is not there is 404, not 500."""
    assert client.get("/nowhere").status_code == 404


def test_an_endpoint_without_a_secret_can_not_be_made(engine: Engine) -> None:
    """It would accept anybody's events."""
    for secrets in ((), ("",), (NEW, "")):
        with pytest.raises(ValueError, match="anybody"):
            Intake(engine=engine, secrets=secrets)
    assert NEW not in repr(Intake(engine=engine, secrets=(NEW,)))


def test_metrics(client: FlaskClient) -> None:
    """Requests by route and status, posts by type and outcome, the database's events by type and state, seconds."""
    post(client, json.dumps(event()))
    post(client, json.dumps(event()))
    post(client, json.dumps(event("evt_2", kind="account.updated")))
    post(client, json.dumps(event("evt_3")), "t=1,v1=bad")
    client.get("/a/path/of/somebody")
    client.open("/healthz", method="BREW")
    kind = 'type="checkout.session.completed"'
    assert metric(client, f'hosting_stripe_posts_total{{outcome="received",{kind}}}') == 1
    assert metric(client, f'hosting_stripe_posts_total{{outcome="duplicate",{kind}}}') == 1
    assert metric(client, 'hosting_stripe_posts_total{outcome="ignored",type="other"}') == 1
    assert metric(client, 'hosting_stripe_posts_total{outcome="signature_bad",type="none"}') == 1
    assert metric(client, f'hosting_stripe_events{{state="received",{kind}}}') == 1
    assert metric(client, 'hosting_stripe_events{state="ignored",type="account.updated"}') == 1
    route = 'route="/webhooks/stripe"'
    assert metric(client, f'hosting_http_requests_total{{method="POST",{route},status="200"}}') == 3
    assert metric(client, f'hosting_http_requests_total{{method="POST",{route},status="400"}}') == 1
    assert metric(client, 'hosting_http_requests_total{method="GET",route="none",status="404"}') == 1
    assert metric(client, 'hosting_http_requests_total{method="other",route="/healthz",status="405"}') == 0
    assert metric(client, f"hosting_http_request_seconds_count{{{route}}}") == 4
    assert metric(client, "hosting_database_up") == 1
    assert metric(client, "hosting_worker_seen_seconds") == math.inf
    assert metric(client, "hosting_stripe_events_waiting_seconds") == 0
    everything = client.get("/metrics").get_data(as_text=True)
    assert "somebody" not in everything
    assert "BREW" not in everything


class Served:
    """The service as gunicorn runs it."""

    def __init__(self, folder: Path, database_url: str) -> None:
        production = yaml.safe_load((ROOT / "Pulumi.prod.yaml").read_text())
        production["config"]["hosting:registry"] = "customers.yaml"
        self.file = folder / "Pulumi.test.yaml"
        self.file.write_text(yaml.safe_dump(production))
        (folder / "customers.yaml").write_text(CUSTOMERS)
        self.variables = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HOSTING_")},
            "HOSTING_SETTINGS_FILE": str(self.file),
            "HOSTING_DATABASE_URL": database_url,
            "HOSTING_STRIPE_WEBHOOK_SECRETS": f"{NEW},{OLD}",
            "HOSTING_STRIPE_API_KEY": "sk_test_0123456789",
            "HOSTING_SECRET_KEY": "0123456789abcdef" * 2,
        }
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = folder / "log"

    def start(self) -> None:
        """Start it as the demo does, and wait until it answers."""
        argv = [sys.executable, "-m", "gunicorn", "--workers", "1", "--threads", "8", "--worker-class", "gthread"]
        argv += ["--bind", f"127.0.0.1:{self.port}", "webhook.app:serve()"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(argv, cwd=ROOT, env=self.variables, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while True:
            try:
                with urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as response:
                    checks = json.load(response)["checks"]
                    assert (checks["registry"], checks["database"]) == ("ok", "ok")
                    return
            except HTTPError as error:
                error.close()
                raise
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.1)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it, its worker too."""
        for worker in self.workers() if number == signal.SIGKILL else []:
            os.kill(worker, number)
        self.process.send_signal(number)
        self.process.wait(30)

    def workers(self) -> list[int]:
        """Return the ids of gunicorn's workers."""
        return [
            int(each) for each in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        ]

    def post(self, document: dict[str, Any], *, chunked: bool = False) -> tuple[int, str]:
        """Post a signed event of now."""
        body = json.dumps(document)
        headers = {"Stripe-Signature": sign(body, at=datetime.now(tz=UTC))}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        content = (
            iter([body.encode()[start : start + 4096] for start in range(0, len(body), 4096)]) if chunked else body
        )
        connection.request("POST", "/webhooks/stripe", content, headers, encode_chunked=chunked)
        response = connection.getresponse()
        answer = response.status, response.read().decode()
        connection.close()
        return answer


@pytest.fixture
def served(tmp_path: Path, database_url: str) -> Iterator[Served]:
    """A running service with an empty database."""
    service = Served(tmp_path, database_url)
    service.start()
    yield service
    if service.process.poll() is None:
        service.stop()


def test_the_process_is_small_and_keeps_its_word(served: Served, database_url: str) -> None:
    """It migrates an empty database, takes 400 events in, also in chunks, and each process stays below 100 MB.

    Killed at once afterwards, it has lost none of them.
    """
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: served.post(event(f"evt_{number}")), range(400)))
    assert answers == [(200, "received\n")] * 400
    assert served.post(event("evt_chunked"), chunked=True) == (200, "received\n")
    large = event("evt_large", padding="x" * MOST_BYTES)
    assert served.post(large, chunked=True)[0] == 413
    with urlopen(f"http://127.0.0.1:{served.port}/metrics", timeout=5) as response:
        assert b'hosting_stripe_events{state="received",type="checkout.session.completed"} 401.0' in response.read()
    for path in ("/checkout", "/checkout/availability?subdomain=glade", "/static/pages.css"):
        with urlopen(f"http://127.0.0.1:{served.port}{path}", timeout=5) as response:
            assert response.status == 200
    sizes = [resident_megabytes(pid) for pid in (served.process.pid, *served.workers())]
    assert len(sizes) == 2
    assert max(sizes) <= 100, sizes
    served.stop(signal.SIGKILL)
    engine = open_database(database_url)
    assert len(pending_events(engine, datetime.now(tz=UTC) + timedelta(seconds=1))) == 401
    engine.dispose()


def test_a_second_start_changes_nothing(served: Served, database_url: str) -> None:
    """Events from before are there, and known as duplicates."""
    assert served.post(event())[1] == "received\n"
    served.stop()
    served.start()
    assert served.post(event())[1] == "duplicate\n"
    engine = open_database(database_url)
    assert database_problem(engine) is None
    assert len(rows(engine)) == 1
    engine.dispose()
    log = served.log.read_text()
    assert '"event_id": "evt_1"' in log
    assert not [word for word in WORDS if word in log.lower()]


def test_it_starts_without_its_database(tmp_path: Path) -> None:
    """Caddy's questions are answered, /readyz says what is wrong, and events are asked for again."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "management.sqlite3").write_text("no database at all, but a text; " * 100)
    service = Served(tmp_path, f"sqlite:///{folder / 'management.sqlite3'}")
    with pytest.raises(HTTPError) as caught:
        service.start()
    assert caught.value.code == 503
    caught.value.close()
    try:
        assert service.post(event())[0] == 503
        with urlopen(f"http://127.0.0.1:{service.port}/internal/ask?domain=wiki.example.org", timeout=5) as response:
            assert response.status == 200
    finally:
        service.stop()


def resident_megabytes(pid: int) -> float:
    """Return how much memory a process has, in MB."""
    (line,) = [each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith("VmRSS")]
    return int(line.split()[1]) * 1024 / 1e6


def test_taking_events_in_needs_neither_engine_nor_sdk() -> None:
    """Neither Pulumi, nor Stripe's package, nor Alembic is loaded, nor the driver of the other database."""
    script = "import json, sys; import webhook.app; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert "sqlalchemy" in loaded
    assert not {"pulumi", "stripe", "alembic", "psycopg", "dbos", "boto3", "docker"} & loaded
