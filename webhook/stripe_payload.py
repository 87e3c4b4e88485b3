"""What is kept of an event: the fields that somebody reads, by name.

An event is a hint, and its objects are read again from Stripe before anything is done, so of the hundred fields that
Stripe sends a dozen are enough. What is not stored can't leak, needn't be erased and takes no time; a field that
Stripe adds next year stays out by itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,254}")
"""An id, a word of Stripe's, a version, one of our names: no address has an @, no full name a space."""

Shape = Mapping[str, "Shape | None"]
"""The fields to keep, and of each that holds fields which of those; None where it holds a value."""


def _shape(*values: str, **fields: Shape) -> Shape:
    return MappingProxyType({**dict.fromkeys(values), **fields})


def _event(thing: Shape, **data: Shape) -> Shape:
    names = ("id", "object", "type", "api_version", "created", "livemode")
    return _shape(*names, data=_shape(object=thing, **data), request=_shape("id", "idempotency_key"))


_NAME = ("id", "object")
READ = _event(
    _shape(
        *(*_NAME, "customer", "subscription", "status", "charge", "amount_refunded", "attempt_count"),
        metadata=_shape("customer_id", "subdomain", "plan"),
        parent=_shape(subscription_details=_shape("subscription")),
    ),
    previous_attributes=_shape("status"),
)
"""Of an event that is acted on or alerted (``webhook.subscriptions``)."""
NAMED = _event(_shape(*_NAME))
"""Of any other: in what nobody looks into, a person may be under any key."""


def kept_fields(payload: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    """Return those fields of an event that are named and hold what they should: a token, a whole number, yes or no."""
    return {
        key: _value(payload[key]) if below is None else kept_fields(_fields(payload[key]), below)
        for key, below in shape.items()
        if key in payload
    }


def _fields(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _value(value: object) -> str | int | None:
    if isinstance(value, dict):  # an expanded object in its id's place
        value = _fields(value).get("id")
    if isinstance(value, str):
        return value if TOKEN.fullmatch(value) else None
    return value if isinstance(value, int) else None
