"""The service as it is in production, and beside it two empty routes: with what every request passes, and without."""

from __future__ import annotations

from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from webhook import app as service

EMPTY = "/bench/empty"
MOUNT = "/bench/alone"
BARE = f"{MOUNT}/empty"
EVENT = "/webhooks/stripe"


def serve() -> Flask:
    """Return the service; ``EMPTY`` passes its log and its metrics, ``BARE`` is an application that has neither."""
    app = service.serve()
    app.add_url_rule(EMPTY, "bench_empty", lambda: "")
    bare = Flask("bare")
    bare.add_url_rule("/empty", "empty", lambda: "")
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {MOUNT: bare})  # type: ignore[method-assign]
    return app
