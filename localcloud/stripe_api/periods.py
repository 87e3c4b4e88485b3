"""Billing periods: months and years from an anchor, in UTC, to the second."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta

DAY = 24 * 3600


def add(at: int, interval: str, count: int = 1) -> int:
    """Return a time so many intervals later; the 31st becomes the last of a shorter month."""
    moment = datetime.fromtimestamp(at, UTC)
    if interval in {"day", "week"}:
        return at + int(timedelta(**{f"{interval}s": count}).total_seconds())
    months = moment.year * 12 + moment.month - 1 + count * (12 if interval == "year" else 1)
    year, month = divmod(months, 12)
    day = min(moment.day, monthrange(year, month + 1)[1])
    return int(moment.replace(year=year, month=month + 1, day=day).timestamp())


def period_after(anchor: int, start: int, interval: str, count: int) -> int:
    """Return the end of the period that starts at a time: the first anchor date after it."""
    number = 1
    while (end := add(anchor, interval, count * number)) <= start:
        number += 1
    return end
