"""Faults on demand: what the next calls of a cloud's operation shall suffer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from localcloud.store import Store


class Mode(StrEnum):
    """What happens to a call."""

    ERROR = "error"
    TIMEOUT = "timeout"
    SLOW = "slow"
    RATE_LIMITED = "rate-limited"
    CRASH_AFTER_CREATE = "crash-after-create"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One order for trouble.

    Attributes:
        cloud: ``hetzner``, ``cloudflare``, ``aws`` or ``stripe``.
        operation: Pattern of operations (``POST /servers``, ``create DnsRecord``), as in file names.
        mode: What happens. ``timeout`` answers nothing for ``seconds``, then drops the call;
            ``crash-after-create`` does the work and drops the call before it answers.
        times: How many calls suffer it.
        seconds: How long ``slow`` and ``timeout`` last.
    """

    cloud: str
    operation: str
    mode: Mode
    times: int = 1
    seconds: float = 1.0


class Faults:
    """The faults to come, kept in the store: any process may order one."""

    def __init__(self, store: Store, sleep: Callable[[float], None] = time.sleep) -> None:
        self._store = store
        self._sleep = sleep

    def order(self, fault: Fault) -> None:
        """Let the next matching calls suffer."""
        self._store.add_fault(asdict(fault))

    def clear(self) -> None:
        """Forget all faults to come."""
        for key, _ in self._store.faults():
            self._store.replace_fault(key, None)

    def suffer(self, cloud: str, operation: str) -> Mode | None:
        """Count a call and return what the caller has to do to it; ``slow`` is served here.

        Returns:
            None: serve it. ``error``, ``rate-limited``: refuse it. ``timeout``: drop it unserved.
            ``crash-after-create``: serve it and drop the answer.
        """
        self._store.count_call(cloud, operation)
        fault = self._take(cloud, operation)
        if fault is None:
            return None
        if fault.mode in {Mode.SLOW, Mode.TIMEOUT}:
            self._sleep(fault.seconds)
        return None if fault.mode is Mode.SLOW else fault.mode

    def _take(self, cloud: str, operation: str) -> Fault | None:
        with self._store.transaction():
            for key, body in self._store.faults():
                fault = Fault(
                    cloud=body["cloud"],
                    operation=body["operation"],
                    mode=Mode(body["mode"]),
                    times=body["times"],
                    seconds=body["seconds"],
                )
                if fault.cloud == cloud and fnmatchcase(operation, fault.operation):
                    left = fault.times - 1
                    self._store.replace_fault(key, {**body, "times": left} if left > 0 else None)
                    return fault
        return None
