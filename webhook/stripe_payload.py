"""What is kept of an event: its structure, without the people in it.

An event is a hint, and its objects are read again from Stripe before anything is done, so names, addresses and links
are not needed here; and what is not stored can't leak, and needn't be erased.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, cast

TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,254}")
"""An id, a word of Stripe's, a number, a version, one of our names: no address has an @, no full name a space."""
_is_token = TOKEN.fullmatch
PERSONAL = frozenset(
    {
        "address",
        "bank_account",
        "billing_details",
        "card",
        "client_secret",
        "collected_information",
        "custom_fields",
        "customer_account",
        "customer_address",
        "customer_details",
        "customer_email",
        "customer_name",
        "customer_phone",
        "customer_shipping",
        "customer_tax_ids",
        "description",
        "email",
        "evidence",
        "footer",
        "individual_name",
        "invoice_settings",
        "ip",
        "ip_address",
        "memo",
        "name",
        "nickname",
        "owner",
        "payment_method_details",
        "phone",
        "preferred_locales",
        "receipt_email",
        "receipt_number",
        "shipping",
        "shipping_details",
        "source",
        "statement_descriptor",
        "statement_descriptor_suffix",
        "tax_ids",
        "username",
    }
)
"""Keys of whatever depth below which personal data is: they go, with all that is in them."""
DEEPEST = 20


def without_personal_data(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event with ids, words, numbers and dates only.

    Two rules, either of which would do for Stripe's objects as they are today: keys for personal data go with what
    they hold, and so does any text that is no token, whatever its key.
    """
    return cast("dict[str, Any]", _kept(payload, 0))


def only_its_name(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event with no more of its object than its id and kind: for types that nobody looks into.

    In those a person may be in a word or number (a tax id, a first name, a date of birth), which no rule tells apart.
    """
    data = payload.get("data")
    thing = cast("dict[str, Any]", data).get("object") if isinstance(data, dict) else None
    named = (
        {name: cast("dict[str, Any]", thing).get(name) for name in ("id", "object")} if isinstance(thing, dict) else {}
    )
    return without_personal_data({**payload, "data": {"object": named}})


def _kept(value: object, depth: int) -> object:
    if depth > DEEPEST:
        return None
    if isinstance(value, str):
        return value if _is_token(value) else None
    if isinstance(value, dict):
        pairs = cast("dict[str, object]", value).items()
        return {key: _kept(each, depth + 1) for key, each in pairs if key not in PERSONAL and _is_token(key)}
    if isinstance(value, list):
        return [_kept(each, depth + 1) for each in cast("list[object]", value)]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
