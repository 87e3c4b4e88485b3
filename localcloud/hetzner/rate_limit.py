"""So many calls an hour, refilled evenly."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

HOUR = 3600.0
"""Seconds."""


class RateLimit:
    """A bucket of calls: every call takes one, and it fills up within an hour.

    Args:
        per_hour: What it holds.
        clock: Seconds since 1970.
    """

    def __init__(self, per_hour: int, clock: Callable[[], float]) -> None:
        self.per_hour = per_hour
        self._clock = clock
        self._left = float(per_hour)
        self._at = clock()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take one call; return whether there was one left."""
        with self._lock:
            self._refill()
            allowed = self._left >= 1
            if allowed:
                self._left -= 1
            return allowed

    def headers(self) -> dict[str, str]:
        """Return what every answer says about the limit; ``Reset`` is when the bucket is full again."""
        with self._lock:
            self._refill()
            missing = self.per_hour - self._left
            full_at = self._at + missing * HOUR / self.per_hour
            return {
                "RateLimit-Limit": str(self.per_hour),
                "RateLimit-Remaining": str(int(self._left)),
                "RateLimit-Reset": str(math.ceil(full_at)),
            }

    def _refill(self) -> None:
        now = self._clock()
        self._left = min(float(self.per_hour), self._left + max(0.0, now - self._at) * self.per_hour / HOUR)
        self._at = now
