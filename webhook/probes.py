"""Is the service alive, and can it work."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from webhook.registry_view import RegistryView


def probes_blueprint(view: RegistryView) -> Blueprint:
    """Return ``/healthz`` and ``/readyz``."""
    blueprint = Blueprint("probes", __name__)

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    @blueprint.get("/readyz")
    def readyz() -> tuple[Response, int]:
        problem = view.problem()
        checks = {"registry": problem or "ok"}
        return jsonify(status="ok" if problem is None else "not ready", checks=checks), 200 if problem is None else 503

    return blueprint
