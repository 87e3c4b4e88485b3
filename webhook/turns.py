"""One at a time, whoever starts it: a turn is taken, and given back by itself when its holder dies.

A stack is updated by one at a time, and what a payer's subscriptions come to is found by one at a time.

On Postgres a turn is an advisory lock of a connection, so that workers on many machines take turns; on SQLite, which
lives on one machine, it is a lock file. Either ends with its process, however that ends.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from webhook.database.engine import reading
from webhook.database.stacks import Standing, note_begun, note_finished, standing_of

PAUSE_SECONDS = 0.2
STACKS_AT_ONCE = 4
"""So many stacks does one process work on at a time; the next ones wait. Each takes a core and 300 MB (FACTS)."""
LOCK_CLASS = 1_213_484_628
"""First half of the advisory locks' numbers, so that they are nobody else's; a name's hash is the second."""


def _now() -> datetime:
    return datetime.now(tz=UTC)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One's turn at a stack.

    Attributes:
        stack: Its full name.
        standing: How it stood when the turn came.
    """

    stack: str
    standing: Standing
    _engine: Engine
    _clock: Callable[[], datetime]

    def begin(self) -> None:
        """Note that the engine is about to work."""
        with Session(self._engine) as session, session.begin():
            note_begun(session, self.stack, now=self._clock())

    def finish(self, *, covered: str | None, version: int | None) -> None:
        """Note that it came to its end."""
        with Session(self._engine) as session, session.begin():
            note_finished(session, self.stack, covered=covered, version=version)


class Turns:
    """Gives out turns."""

    def __init__(
        self, engine: Engine, *, clock: Callable[[], datetime] = _now, stacks_at_once: int = STACKS_AT_ONCE
    ) -> None:
        """Give out turns.

        Args:
            engine: The management database, which all who update the same stacks share.
            clock: The time, UTC.
            stacks_at_once: So many turns at stacks does this process have at a time.
        """
        self._engine = engine
        self._places = threading.BoundedSemaphore(stacks_at_once)
        self._clock = clock
        # Threads of this process wait here: a hundred that wait in the database would need a hundred connections.
        self._here: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def standing(self, stack: str) -> Standing:
        """Return how a stack stands, without waiting for a turn."""
        with Session(reading(self._engine)) as session:
            return standing_of(session, stack)

    @contextmanager
    def take(self, stack: str) -> Generator[Turn]:
        """Wait for one's turn at a stack, and give it back at the end."""
        with self._here[stack], self._places, self._alone(stack):
            yield Turn(stack=stack, standing=self.standing(stack), _engine=self._engine, _clock=self._clock)

    @contextmanager
    def alone(self, name: str) -> Generator[None]:
        """Wait until nobody else of that name is at work; names are few, for each is kept."""
        with self._here[name], self._alone(name):
            yield

    def _alone(self, name: str) -> AbstractContextManager[object]:
        if self._engine.dialect.name == "postgresql":
            return _advisory_lock(self._engine, name)
        folder = Path(str(self._engine.url.database)).parent / "turns"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{name}.lock", poll_interval=PAUSE_SECONDS)


@contextmanager
def _advisory_lock(engine: Engine, name: str) -> Generator[None]:
    names = {"class": LOCK_CLASS, "name": name}
    take = text("SELECT pg_try_advisory_lock(:class, hashtext(:name))")
    give_back = text("SELECT pg_advisory_unlock(:class, hashtext(:name))")
    # No transaction stays open meanwhile: it would hold back the database's own cleaning.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not connection.execute(take, names).scalar_one():
            time.sleep(PAUSE_SECONDS)
        try:
            yield
        finally:
            connection.execute(give_back, names)
