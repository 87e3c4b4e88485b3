"""Answers a repeated request as it was answered before: https://docs.stripe.com/api/idempotent_requests."""

from __future__ import annotations

import hashlib
import json

from localcloud.store import Thing
from localcloud.stripe_api.account import Account
from localcloud.stripe_api.errors import key_reused
from localcloud.stripe_api.periods import DAY

LONGEST_KEY = 255


def recall(account: Account, key: str, request: Thing) -> tuple[int, Thing] | None:
    """Return the status and answer that a key had before; None if it is new or older than a day.

    Raises:
        ApiError: the key came with another request.
    """
    kept = account.store.get("stripe/idempotency", key)
    if kept is None or kept["at"] < account.wall() - DAY:
        return None
    if kept["request"] != _digest(request):
        raise key_reused(key)
    return kept["status"], kept["answer"]


def remember(account: Account, key: str, request: Thing, status: int, answer: Thing) -> None:
    """Keep an answer for the next time; refusals of parameters aren't kept, as the request was never carried out."""
    body = {"request": _digest(request), "status": status, "answer": answer, "at": account.wall()}
    account.store.put("stripe/idempotency", key, body)


def _digest(request: Thing) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
