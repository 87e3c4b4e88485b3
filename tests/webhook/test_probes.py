"""What an operator and a load balancer are told: the service's own part decides, the others' is told of."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from tests.webhook.conftest import Write
from webhook.app import create_app
from webhook.database.event_intake import record_event
from webhook.database.events import NewEvent
from webhook.database.workers import LONG, beat
from webhook.registry_view import RegistryView
from webhook.stripe_events import Intake

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
SECRET = "whsec_0123456789abcdef"


@pytest.fixture
def app(view: RegistryView, engine: Engine) -> Flask:
    """The application with a database, at a fixed time."""
    return create_app(view, intake=Intake(engine=engine, secrets=(SECRET,), clock=lambda: NOW))


def say(engine: Engine, *, ago: float = 2.0, **said: Any) -> None:
    """Have a worker said something some seconds ago."""
    with Session(engine) as session, session.begin():
        beat(session, "one:1", now=NOW - timedelta(seconds=ago), **{"engine_version": "3.259.0", **said})


def ready(client: FlaskClient) -> tuple[int, str, dict[str, str]]:
    """Return the answer's code, its status and its checks."""
    response = client.get("/readyz")
    assert response.json is not None
    return response.status_code, response.json["status"], response.json["checks"]


def gauge(client: FlaskClient, name: str) -> float:
    """Return a number of /metrics."""
    (line,) = [each for each in client.get("/metrics").text.splitlines() if each.startswith(f"{name} ")]
    return float(line.split()[1])


def test_all_is_well(client: FlaskClient, engine: Engine) -> None:
    """Each part is told as ok, and who works on what."""
    say(engine, updating=["eu-1"])
    checks = {"registry": "ok", "database": "ok", "queue": "ok", "engine": "ok"}
    assert ready(client) == (200, "ok", checks)
    response = client.get("/readyz")
    assert response.json is not None
    assert response.json["workers"] == [
        {"name": "one:1", "seen_seconds_ago": 2.0, "engine": "3.259.0", "updating": ["eu-1"]}
    ]
    assert gauge(client, "hosting_worker_seen_seconds") == 2


def test_without_a_worker_it_is_degraded(client: FlaskClient) -> None:
    """200 all the same: taken out of service, it could not even take events in."""
    code, status, checks = ready(client)
    assert (code, status) == (200, "degraded")
    assert "no worker has been seen ever" in checks["queue"]
    assert checks["engine"].startswith("unknown")
    assert gauge(client, "hosting_worker_seen_seconds") == math.inf


def test_a_dead_worker_is_told_with_its_silence(client: FlaskClient, engine: Engine) -> None:
    """Seconds for a person and for an alert."""
    say(engine, ago=120)
    assert ready(client)[1] == "degraded"
    assert "for 120 s" in ready(client)[2]["queue"]
    assert gauge(client, "hosting_worker_seen_seconds") == 120


def test_an_engine_that_fails_is_told(client: FlaskClient, engine: Engine) -> None:
    """In the worker's words; the queue is ok."""
    say(engine, engine_version=None, engine_problem="there is no engine")
    code, status, checks = ready(client)
    assert (code, status, checks["queue"]) == (200, "degraded", "ok")
    assert checks["engine"] == "one:1: there is no engine"


def test_an_event_that_is_stuck_is_told(client: FlaskClient, engine: Engine) -> None:
    """And how long it waits, from the first second."""
    say(engine)
    assert gauge(client, "hosting_stripe_events_waiting_seconds") == 0
    received = NOW - LONG - timedelta(seconds=60)
    event = NewEvent(id="evt_1", type="x", api_version=None, created=received, received_at=received, payload={})
    record_event(engine, event)
    code, status, checks = ready(client)
    assert (code, status, checks["engine"]) == (200, "degraded", "ok")
    assert "an event has waited since 2026-11-24T11:44:00+00:00" in checks["queue"]
    assert gauge(client, "hosting_stripe_events_waiting_seconds") == 960


def test_its_own_part_decides(client: FlaskClient, engine: Engine, write: Write) -> None:
    """A registry that is refused: 503, whatever the workers say, and a worker that is well is told as well."""
    say(engine)
    write("customers: nonsense\n")
    code, status, checks = ready(client)
    assert (code, status) == (503, "not ready")
    assert checks["registry"] != "ok"
    assert (checks["queue"], checks["engine"]) == ("ok", "ok")
