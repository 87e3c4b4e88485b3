"""Writes new events by the database's driver alone.

Stripe waits for each, and SQLAlchemy's execution and its pool take longer than the database does (`make bench`). What
is said is SQLAlchemy's all the same: the statement, and how each column's values are written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from threading import BoundedSemaphore
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError, TimeoutError  # noqa: A004 - SQLAlchemy's is a failure of the database

from webhook.database.engine import POOL_SIZE, WAIT_SECONDS
from webhook.database.events import EventRecord, NewEvent
from webhook.database.insert import INSERTS


def record_event(engine: Engine, new: NewEvent) -> bool:
    """Keep an event unless it is there already; return whether it is new. It is on the disk when this returns.

    Raises:
        SQLAlchemyError: the lock was not to be had in time, or the database does not answer.
    """
    return _writer(engine).write(new)


class _Writer:
    """One statement that is a transaction by itself, on connections of its own.

    On Postgres they are in autocommit, for a BEGIN and a COMMIT would be two more round trips, and not asked whether
    they are still there: the statement finds out, and may be repeated. On SQLite it is one connection, so that
    threads write in turn: left to SQLite, those that wait for its lock sleep up to a tenth of a second at a time,
    and with eight threads one event in a hundred took a quarter of a second.
    """

    def __init__(self, engine: Engine) -> None:
        dialect = engine.dialect
        names = list(NewEvent.__dataclass_fields__)
        statement = INSERTS[dialect.name](EventRecord.__table__).on_conflict_do_nothing(index_elements=["id"])
        compiled = statement.compile(dialect=dialect, column_keys=names)
        self._sql = str(compiled)
        self._order: Sequence[str] | None = compiled.positiontup
        types = {name: EventRecord.__table__.c[name].type.dialect_impl(dialect) for name in names}
        self._writes: dict[str, Callable[[Any], Any]] = {
            name: write for name, type_ in types.items() if (write := type_.bind_processor(dialect)) is not None
        }
        self._engine = engine
        self._failure = dialect.loaded_dbapi.Error
        self._idle: deque[Any] = deque()
        self._turns = BoundedSemaphore(1 if dialect.name == "sqlite" else POOL_SIZE)
        event.listen(engine, "engine_disposed", lambda _: self._close())

    def write(self, new: NewEvent) -> bool:
        parameters = self._parameters(new)
        with self._turn():
            try:
                return self._execute(parameters)
            except self._failure as error:
                raise DBAPIError(self._sql, None, error) from None

    def _parameters(self, new: NewEvent) -> dict[str, Any] | list[Any]:
        row = dict(vars(new))
        for name, write in self._writes.items():
            row[name] = write(row[name])
        return row if self._order is None else [row[name] for name in self._order]

    @contextmanager
    def _turn(self) -> Generator[None]:
        if not self._turns.acquire(timeout=WAIT_SECONDS):
            message = "other threads of this process are writing"
            raise TimeoutError(message)
        try:
            yield
        finally:
            self._turns.release()

    def _execute(self, parameters: dict[str, Any] | list[Any]) -> bool:
        while True:
            connection, is_fresh = self._connection()
            try:
                is_new = connection.execute(self._sql, parameters).rowcount == 1
            except self._failure as error:
                is_gone = self._engine.dialect.is_disconnect(error, connection, None)
                connection.close()
                if is_fresh or not is_gone:
                    raise
            else:
                self._idle.append(connection)
                return is_new

    def _connection(self) -> tuple[Any, bool]:
        """Return a connection and whether it was made just now."""
        try:
            return self._idle.pop(), False
        except IndexError:
            return _connection_of_its_own(self._engine), True

    def _close(self) -> None:
        while self._idle:
            self._idle.pop().close()


@lru_cache(maxsize=4)
def _writer(engine: Engine) -> _Writer:
    return _Writer(engine)


def _connection_of_its_own(engine: Engine) -> Any:  # noqa: ANN401 - the driver's: sqlite3's or psycopg's
    """Return a connection made as all of the database's are, which is no longer in its pool."""
    lent = engine.raw_connection()
    connection: Any = lent.driver_connection
    lent.detach()
    if engine.dialect.name == "postgresql":
        connection.autocommit = True
    return connection
