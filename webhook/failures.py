"""What a visitor is told when something fails: that it did, and under which number the log has it."""

from __future__ import annotations

import traceback
from pathlib import Path

import structlog
from flask import Flask, Response, make_response
from werkzeug.exceptions import HTTPException

PROJECT = Path(__file__).resolve().parent.parent


def answer_failures(app: Flask) -> None:
    """Answer what no route has caught; no text of an exception leaves the service, or gets into its log."""

    @app.errorhandler(Exception)
    def _failed(error: Exception) -> Response | HTTPException:
        if isinstance(error, HTTPException):
            return error  # a refusal of Flask's own, such as 404 or 405
        log_failure("request failed", error)
        request_id = structlog.contextvars.get_contextvars().get("request_id", "unknown")
        response = make_response(f"Something failed here. The log has it as request {request_id}.\n", 500)
        response.content_type = "text/plain; charset=utf-8"
        return response


def log_failure(message: str, error: BaseException) -> None:
    """Log an exception by its kind and place: its text may hold an address, as Postgres' ``Key (email)=(...)``."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(PROJECT / "webhook")]
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in (*ours[-3:], *frames[-1:])]
    cause = getattr(error, "orig", None)
    structlog.get_logger("webhook").error(
        message,
        error=type(error).__name__,
        cause=None if cause is None else type(cause).__name__,
        code=getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None),
        places=places,
    )
