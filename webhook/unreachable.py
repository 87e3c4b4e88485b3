"""A database that can't be reached is one that is away: whatever kept the connection from being made.

DBOS waits for a database that is away, and knows that by the error's words. Where the database is a container that is
down, its name leads nowhere, and DBOS does not know these words: the workflow's thread ended while its row said that it
runs, so that nobody began it anew until the worker was started again. It does heed SQLAlchemy's mark on the error.
"""

from __future__ import annotations

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext


def mark_failures_to_connect() -> None:
    """Mark them as a lost connection, on all databases of this process."""
    event.listen(Engine, "handle_error", _mark)


def _mark(context: ExceptionContext) -> None:
    if context.connection is None:
        context.is_disconnect = True
