"""Is the service alive, can it do its own part, and is its work done by others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from flask import Blueprint, Response, jsonify
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from webhook.database.schema import database_problem
from webhook.database.workers import Work, engine_problem, look_at_work, queue_problem, seconds_since
from webhook.registry_view import RegistryView

UNKNOWN = "unknown while the database can't be asked"


def probes_blueprint(view: RegistryView, engine: Engine | None, *, clock: Callable[[], datetime]) -> Blueprint:
    """Return ``/healthz`` and ``/readyz``; without a database, readiness is the registry's.

    Only what keeps this process from its own part makes it not ready: without a worker or an engine it still takes
    events in and answers Caddy, and taken out of service it could not even do that.
    """
    blueprint = Blueprint("probes", __name__)

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    @blueprint.get("/readyz")
    def readyz() -> tuple[Response, int]:
        own = {"registry": view.problem()}
        others: Mapping[str, str | None] = {}
        workers: Sequence[Mapping[str, object]] = []
        if engine is not None:
            own["database"] = database_problem(engine)
            work = None if own["database"] else _work(engine, clock())
            others, workers = _problems(work, clock()), _workers(work, clock())
        ready = not any(own.values())
        status = "not ready" if not ready else "degraded" if any(others.values()) else "ok"
        checks = {name: problem or "ok" for name, problem in {**own, **others}.items()}
        return jsonify(status=status, checks=checks, workers=workers), 200 if ready else 503

    return blueprint


def _work(engine: Engine, now: datetime) -> Work | None:
    try:
        return look_at_work(engine, now=now)
    except SQLAlchemyError:
        return None


def _problems(work: Work | None, now: datetime) -> Mapping[str, str | None]:
    if work is None:
        return {"queue": UNKNOWN, "engine": UNKNOWN}
    return {"queue": queue_problem(work, now=now), "engine": engine_problem(work)}


def _workers(work: Work | None, now: datetime) -> Sequence[Mapping[str, object]]:
    return [
        {
            "name": worker.name,
            "seen_seconds_ago": round(seconds_since(worker.seen_at, now=now), 1),
            "engine": worker.engine_version,
            "updating": worker.updating,
        }
        for worker in (() if work is None else work.workers)
    ]
