"""What Prometheus reads: requests, Stripe's posts, the events in the database, and whether somebody applies them.

The counters are this process's own: the service runs one gunicorn worker with threads, as the documentation says.
With more workers each would tell its own numbers in turn. What is read from the database is the same everywhere.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from datetime import datetime

from flask import Blueprint, Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from webhook.database.events import count_events
from webhook.database.workers import look_at_work, seconds_since

METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The numbers of one application; not the module's, so that applications don't share them."""

    def __init__(self, engine: Engine, *, clock: Callable[[], datetime]) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter("hosting_http_requests", "Requests answered.", labels, registry=self.registry)
        self.seconds = Histogram(
            "hosting_http_request_seconds",
            "Time to answer, by route.",
            ("route",),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.posts = Counter(
            "hosting_stripe_posts",
            "What became of posts to the webhook endpoint; the type is told of signed events only.",
            ("type", "outcome"),
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)
        self.registry.register(StoredEvents(engine, clock))


class StoredEvents(Collector):
    """Counts the database's events at each reading; without a database the other numbers are told all the same."""

    def __init__(self, engine: Engine, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._clock = clock

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Name the metrics, so that registering needs no database."""
        yield from _families()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Count, and look at the clock."""
        up, events, seen, waiting = _families()
        now = self._clock()
        try:
            counts = count_events(self._engine)
            work = look_at_work(self._engine, now=now)
        except SQLAlchemyError:
            up.add_metric([], 0)
        else:
            up.add_metric([], 1)
            for (kind, state), number in sorted(counts.items()):
                events.add_metric([kind, str(state)], number)
            # Infinite where none ever was: an alert on "longer than" has to fire then too.
            seen.add_metric([], math.inf if work.seen_at is None else seconds_since(work.seen_at, now=now))
            waiting.add_metric([], 0 if work.waiting_since is None else seconds_since(work.waiting_since, now=now))
        yield from (up, events, seen, waiting)


def measure_requests(app: Flask, metrics: Metrics) -> None:
    """Count each request by its route's pattern: a path would let anybody make new time series."""

    @app.before_request
    def _begin() -> None:
        g.measured_from = time.perf_counter()

    @app.after_request
    def _end(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule is not None else "none"
        method = request.method if request.method in METHODS else "other"
        metrics.requests.labels(method, route, str(response.status_code)).inc()
        metrics.seconds.labels(route).observe(time.perf_counter() - g.measured_from)
        return response


def metrics_blueprint(metrics: Metrics) -> Blueprint:
    """Return ``/metrics``; the shared Caddy does not pass it on."""
    blueprint = Blueprint("metrics", __name__)

    @blueprint.get("/metrics")
    def read() -> Response:
        return Response(generate_latest(metrics.registry), content_type=CONTENT_TYPE_LATEST)

    return blueprint


def _families() -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
    return (
        GaugeMetricFamily("hosting_database_up", "Whether the management database answers."),
        GaugeMetricFamily("hosting_stripe_events", "Events in the database.", labels=["type", "state"]),
        GaugeMetricFamily("hosting_worker_seen_seconds", "Time since any worker was seen; infinite: never."),
        GaugeMetricFamily(
            "hosting_stripe_events_waiting_seconds", "Age of the oldest event that still waits; 0: none."
        ),
    )
