"""Structured logs: one JSON object a line, each with the request's id."""

from __future__ import annotations

import logging
import sys
import time
from uuid import uuid4

import structlog
from flask import Flask, Response, g, request


def configure_logs() -> None:
    """Write JSON to standard error."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        # Not bound once and for all: whoever takes standard error over (a test, a supervisor) gets what is written.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )


def log_requests(app: Flask) -> None:
    """Log each request once, without its query: that may carry a name or a token."""
    log = structlog.get_logger("webhook")

    @app.before_request
    def _begin() -> None:
        g.started = time.monotonic()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=uuid4().hex)

    @app.after_request
    def _end(response: Response) -> Response:
        milliseconds = round((time.monotonic() - g.started) * 1000, 1)
        log.info("request", method=request.method, path=request.path, status=response.status_code, ms=milliseconds)
        return response
