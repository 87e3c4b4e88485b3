"""Errors as Hetzner's API words them: https://docs.hetzner.cloud/reference/cloud#errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

STATUS = {
    "json_error": 400,
    "unauthorized": 401,
    "protected": 403,
    "not_found": 404,
    "conflict": 409,
    "firewall_already_applied": 409,
    "ip_not_available": 409,
    "primary_ip_already_assigned": 409,
    "primary_ip_assigned": 409,
    "server_already_attached": 409,
    "server_has_ipv4": 409,
    "server_has_ipv6": 409,
    "uniqueness_error": 409,
    "placement_error": 412,
    "resource_unavailable": 412,
    "locked": 423,
    "rate_limit_exceeded": 429,
}
"""HTTP status by error code; all others are 422."""


class ApiError(Exception):
    """A refusal, answered as ``{"error": {"code", "message", "details"}}``."""

    def __init__(
        self, code: str, message: str, *, details: Mapping[str, Any] | None = None, status: int | None = None
    ) -> None:
        super().__init__(f"{message} ({code})")
        self.status = status or STATUS.get(code, 422)
        self.answer = {"error": {"code": code, "message": message, "details": dict(details or {})}}


def invalid(problems: Mapping[str, Sequence[str]]) -> ApiError:
    """Return the refusal of an input, naming each field and what is wrong with it."""
    fields = [{"name": name, "messages": list(messages)} for name, messages in problems.items()]
    names = ", ".join(f"'{name}'" for name in problems)
    message = f"invalid input in field{'s' if len(problems) > 1 else ''} {names}"
    return ApiError("invalid_input", message, details={"fields": fields})


def unreadable() -> ApiError:
    """Return the refusal of a body that is no JSON object."""
    return ApiError("json_error", "Invalid JSON input in your request")


def unauthorized() -> ApiError:
    """Return the refusal of a call without a good token."""
    return ApiError("unauthorized", "the provided token is invalid")


def not_found(title: str, key: object) -> ApiError:
    """Return the refusal of a call about something that doesn't exist."""
    return ApiError("not_found", f"{title} with ID '{key}' not found")


def no_such_endpoint() -> ApiError:
    """Return the refusal of a path that the API doesn't have."""
    return ApiError("not_found", "404 page not found")


def protected(title: str, what: str = "deletion") -> ApiError:
    """Return the refusal to do what a thing is protected from."""
    return ApiError("protected", f"{title} {what} is protected")


def not_unique(title: str, field: str) -> ApiError:
    """Return the refusal of a second thing with the same name."""
    return ApiError("uniqueness_error", f"{title} {field} is already used", details={"fields": [{"name": field}]})


def locked(title: str) -> ApiError:
    """Return the refusal while another action runs."""
    return ApiError("locked", f"{title} is locked by another action")


def conflict() -> ApiError:
    """Return the refusal of a change while another one is made; clients retry it."""
    return ApiError("conflict", "the resource has changed during the request, please retry")


def rate_limited(per_hour: int) -> ApiError:
    """Return the refusal of too many calls."""
    return ApiError("rate_limit_exceeded", f"limit of {per_hour} requests per hour reached")


def out_of_service() -> ApiError:
    """Return the answer of a cloud with a fault of its own."""
    return ApiError("service_error", "error within a service", status=503)
