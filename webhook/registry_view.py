"""The registry as the web process sees it: read again when the file changes, never written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from registry.cells import Cell
from registry.customers import Customer, Registry
from registry.errors import RegistryError
from registry.load import load


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A registry with the look-ups that Caddy's questions need."""

    registry: Registry
    by_subdomain: Mapping[str, Customer] = field(default_factory=dict)
    by_domain: Mapping[str, Customer] = field(default_factory=dict)


class RegistryView:
    """Follows the file. While it is refused, the last good state answers and ``problem`` says why."""

    def __init__(self, path: Path, *, cells: Mapping[str, Cell], domain: str, clock: Callable[[], date]) -> None:
        self.domain = domain
        self._path = path
        self._cells = cells
        self._clock = clock
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._snapshot: Snapshot | None = None
        self._problem: str | None = None

    def snapshot(self) -> Snapshot:
        """Return the last good state; a registry without customers if there never was one."""
        with self._lock:
            stamp = self._current_stamp()
            if stamp != self._stamp or self._snapshot is None:
                self._refresh()
                self._stamp = stamp
            return self._snapshot if self._snapshot is not None else Snapshot(registry=Registry(customers={}))

    def is_blind(self) -> bool:
        """Whether no good state was ever read: then nobody's name is known to be unknown."""
        self.snapshot()
        return self._snapshot is None

    def problem(self) -> str | None:
        """Return why the file is refused as it is now; None where it is sound."""
        self.snapshot()
        return self._problem

    def find(self, host: str) -> Customer | None:
        """Return the customer behind a host name, if there is one."""
        name = host.rsplit(":", 1)[0].rstrip(".").lower()
        snapshot = self.snapshot()
        label, _, parent = name.partition(".")
        if parent == self.domain:
            return snapshot.by_subdomain.get(label)
        return snapshot.by_domain.get(name)

    def _current_stamp(self) -> tuple[int, int, int] | None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _refresh(self) -> None:
        try:
            registry = load(self._path, cells=self._cells, domain=self.domain, today=self._clock())
        except RegistryError as error:
            self._problem = str(error)
            return
        self._problem = None
        customers = registry.customers.values()
        self._snapshot = Snapshot(
            registry=registry,
            by_subdomain={entry.subdomain: entry for entry in customers},
            by_domain={entry.domain: entry for entry in customers if entry.domain is not None},
        )
