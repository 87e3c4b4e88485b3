"""Is the service alive, and can it work."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify
from sqlalchemy import Engine

from webhook.database.schema import database_problem
from webhook.registry_view import RegistryView


def probes_blueprint(view: RegistryView, engine: Engine | None = None) -> Blueprint:
    """Return ``/healthz`` and ``/readyz``; without a database, readiness is the registry's."""
    blueprint = Blueprint("probes", __name__)

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    @blueprint.get("/readyz")
    def readyz() -> tuple[Response, int]:
        problems = {"registry": view.problem()}
        if engine is not None:
            problems["database"] = database_problem(engine)
        ready = not any(problems.values())
        checks = {name: problem or "ok" for name, problem in problems.items()}
        return jsonify(status="ok" if ready else "not ready", checks=checks), 200 if ready else 503

    return blueprint
