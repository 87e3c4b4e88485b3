"""Errors as Stripe words them: https://docs.stripe.com/api/errors."""

from __future__ import annotations

from localcloud.store import Thing

API_VERSION = "2026-10-28.endive"
"""What the SDK in the lock file (16.1) speaks."""


class ApiError(Exception):
    """A refusal, answered as ``{"error": {"type", "code", "param", "message"}}``.

    Attributes:
        status: HTTP status.
        body: The answer.
        keeps: Whether what was done before the refusal stays: a declined card leaves its traces.
    """

    def __init__(
        self, status: int, kind: str, message: str, *, code: str | None = None, keeps: bool = False, **more: object
    ) -> None:
        super().__init__(message)
        self.status = status
        self.keeps = keeps
        fields = {"code": code, "message": message, **more}
        self.body: Thing = {"error": {"type": kind, **{k: v for k, v in fields.items() if v is not None}}}


def invalid(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """Return the refusal of a request's parameter."""
    return ApiError(400, "invalid_request_error", message, code=code, param=param)


def missing(kind: str, key: str, param: str = "id", *, status: int = 404) -> ApiError:
    """Return the refusal of an id that nothing has; 404 in a path, 400 in a parameter."""
    title = kind.rsplit(".", 1)[-1].replace("_", "")
    message = f"No such {title}: '{key}'"
    return ApiError(status, "invalid_request_error", message, code="resource_missing", param=param)


def no_such_route(method: str, path: str) -> ApiError:
    """Return the refusal of a path that this Stripe doesn't have."""
    return ApiError(404, "invalid_request_error", f"Unrecognized request URL ({method}: {path}).")


def unauthorized(key: str) -> ApiError:
    """Return the refusal of a call without a test key."""
    if not key:
        return ApiError(401, "invalid_request_error", "You did not provide an API key.")
    return ApiError(401, "invalid_request_error", f"Invalid API Key provided: {key[:8]}****{key[-4:]}")


def rate_limited() -> ApiError:
    """Return the refusal of too many calls."""
    message = "Request rate limit exceeded."
    return ApiError(429, "invalid_request_error", message, code="rate_limit")


def out_of_order(status: int = 500) -> ApiError:
    """Return the answer of a Stripe with a fault of its own."""
    return ApiError(status, "api_error", "An unknown error occurred.")


def declined(code: str, decline_code: str, message: str, **more: object) -> ApiError:
    """Return the refusal of a card; what it left behind stays."""
    return ApiError(402, "card_error", message, code=code, keeps=True, decline_code=decline_code, **more)


def key_reused(key: str) -> ApiError:
    """Return the refusal of an idempotency key that came with other parameters before."""
    message = (
        "Keys for idempotent requests can only be used with the same parameters they were first used with. "
        f"Try using a key other than '{key}' if you meant to execute a different request."
    )
    return ApiError(400, "idempotency_error", message)
