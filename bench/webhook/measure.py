"""Measures each database, alone and beside updates, and judges by the limits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from bench.webhook.app import BARE, EMPTY, EVENT
from bench.webhook.postgres import postgres
from bench.webhook.service import ROOT, Service, running
from bench.webhook.updates import updating

P50_RATIO, P99_MS, RESIDENT_MB = 2.0, 25.0, 100.0
"""The limits: of the event's median to an empty route's; of its 99th percentile while an update runs; of memory."""
CONNECTIONS = (1, 8)
RATE = 200
"""Events a second: those of 40 sign-ups, each of which causes five (`make demo`)."""
ROUNDS = 20
REQUESTS = 50
"""Of each route in each round, over all connections."""
FLUSHED_BYTES = 24 * 1024
"""What SQLite writes for an event: the pages of the table and of its three indexes, twice where they are full."""
Figures = dict[str, Any]


def measure() -> Figures:
    """Return the figures of both databases; milliseconds, MB."""
    with tempfile.TemporaryDirectory() as folder:
        results = {"sqlite": _measure(Path(folder), f"sqlite:///{folder}/management.sqlite3")}
    with tempfile.TemporaryDirectory() as folder, postgres() as url:
        if url is not None:
            results["postgres"] = _measure(Path(folder), url)
    limits = {"p50_ratio": P50_RATIO, "p99_ms_beside_updates": P99_MS, "resident_mb": RESIDENT_MB}
    return {"limits": limits, "databases": results, "met": all(each["met"] for each in results.values())}


def _measure(folder: Path, url: str) -> Figures:
    with running(folder, url) as service:
        _send(service, 1, 0)  # its first requests import and compile what the others find done
        alone = [_row(service, folder, number) for number in CONNECTIONS]
        with updating(folder / "updates") as updates:
            paced = [_row(service, folder, number, rate=RATE) for number in CONNECTIONS]
            beside = [_row(service, folder, number) for number in CONNECTIONS]
        resident = service.resident_megabytes()
    fits = {
        "p50_ratio": all(row["ratio"] <= P50_RATIO for row in alone),
        "p99_ms_beside_updates": all(row["event"]["p99"] <= P99_MS for row in paced),
        "resident_mb": resident <= RESIDENT_MB,
    }
    return {
        "alone": alone,
        "beside_updates": [*paced, *beside],
        "updates_seconds": updates.seconds,
        "resident_mb": resident,
        "fits": fits,
        "met": all(fits.values()),
    }


def _row(service: Service, folder: Path, connections: int, *, rate: int = 0) -> Figures:
    """Measure so many connections, at a rate or as fast as they are answered."""
    flush = _milliseconds(_flusher(folder))
    rounds = _send(service, connections, rate)
    event, empty, bare = (_figures(rounds[route]) for route in (EVENT, EMPTY, BARE))
    flush = sorted([*flush, *_milliseconds(_flusher(folder))])
    return {
        "connections": connections,
        "rate": rate or None,
        "empty": empty,
        "empty_without_log_and_metrics": bare,
        "event": event,
        "ratio": round(event["p50"] / empty["p50"], 2),
        "flush_p50": round(median(flush), 2),
    }


def _send(service: Service, connections: int, rate: int) -> dict[str, list[list[float]]]:
    each = max(REQUESTS // connections, 1)
    numbers = (service.port, connections, ROUNDS, each, rate)
    argv = [sys.executable, "-m", "bench.webhook.client", *map(str, numbers)]
    done = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=300)
    return json.loads(done.stdout)


def _figures(rounds: Sequence[Sequence[float]]) -> dict[str, float]:
    """Return the median of the rounds' medians, which a busy moment does not move, and percentiles of all requests."""
    hundredths = quantiles([time_ for each in rounds for time_ in each], n=100)
    return {
        "p50": round(median(median(each) for each in rounds), 2),
        "p95": round(hundredths[94], 2),
        "p99": round(hundredths[98], 2),
    }


def _flusher(folder: Path) -> Callable[[], None]:
    """Return what brings an event's bytes onto this disk, and does nothing else: no durable answer is faster."""
    path = folder / "flush"
    path.write_bytes(bytes(FLUSHED_BYTES))

    def flush() -> None:
        with path.open("r+b", buffering=0) as file:
            file.write(bytes(FLUSHED_BYTES))
            os.fdatasync(file.fileno())

    return flush


def _milliseconds(work: Callable[[], None]) -> list[float]:
    times: list[float] = []
    for _ in range(REQUESTS):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1000)
    return times
