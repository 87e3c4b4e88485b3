"""What all endpoints share: the project's things, the clock and the actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from localcloud.hetzner.catalogue import Catalogue
from localcloud.hetzner.errors import conflict, locked, not_found
from localcloud.store import Store, Thing

Resource = tuple[str, int]
"""Type and id of what an action is about: ``("server", 42)``."""


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """One project.

    Attributes:
        store: Holds everything.
        clock: Seconds since 1970.
        catalogue: What can be ordered.
        action_seconds: How long one action takes.
    """

    store: Store
    clock: Callable[[], float]
    catalogue: Catalogue
    action_seconds: float

    def new_id(self) -> int:
        """Return an id that nothing had before, of whatever kind."""
        return self.store.next_number("hetzner/id")

    def now(self) -> str:
        """Return the time as the API writes it."""
        return timestamp(self.clock())

    def all(self, kind: str) -> list[Thing]:
        """Return all things of a kind (``server``), oldest first."""
        return self.store.all(f"hetzner/{kind}")

    def find(self, kind: str, key: int) -> Thing | None:
        """Return a thing, or None."""
        return self.store.get(f"hetzner/{kind}", key)

    def need(self, kind: str, key: int) -> Thing:
        """Return a thing; raise ApiError ``not_found`` if there is none."""
        thing = self.find(kind, key)
        if thing is None:
            raise not_found(kind.replace("_", " "), key)
        return thing

    def save(self, kind: str, thing: Mapping[str, Any]) -> None:
        """Create or overwrite a thing."""
        self.store.put(f"hetzner/{kind}", thing["id"], thing)

    def remove(self, kind: str, key: int) -> None:
        """Delete a thing."""
        self.store.delete(f"hetzner/{kind}", key)

    def require_idle(self, kind: str, thing: Thing) -> None:
        """Raise ApiError if an action is changing a thing: ``locked`` for a server, ``conflict`` for a network."""
        if thing.get("busy_until", 0) > self.clock():
            raise conflict() if kind == "network" else locked(kind.replace("_", " "))

    def start(self, command: str, *resources: Resource, after: float | None = None) -> Thing:
        """Begin an action and return it; it ends by itself after ``action_seconds``.

        Args:
            command: What it does (``create_server``).
            resources: What it is about.
            after: When it begins, in seconds since 1970, if not now: it waits for another one.
        """
        begin = self.clock() if after is None else after
        action = {
            "id": self.new_id(),
            "command": command,
            "started": self.clock(),
            "ends": begin + self.action_seconds,
            "resources": [{"type": kind, "id": key} for kind, key in resources],
        }
        self.save("action", action)
        return action

    def action_view(self, action: Thing) -> Thing:
        """Return an action as the API shows it now."""
        left = action["ends"] - self.clock()
        whole = max(action["ends"] - action["started"], 1e-9)
        return {
            "id": action["id"],
            "command": action["command"],
            "status": "running" if left > 0 else "success",
            "progress": min(99, round(100 * (1 - left / whole))) if left > 0 else 100,
            "started": timestamp(action["started"]),
            "finished": None if left > 0 else timestamp(action["ends"]),
            "resources": action["resources"],
            "error": None,
        }


def timestamp(seconds: float) -> str:
    """Return a time as the API writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
