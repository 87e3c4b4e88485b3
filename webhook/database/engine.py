"""Opens the management database: an SQLite file, or Postgres by its URL."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

WAIT_SECONDS = 5.0
"""How long a write waits for another one's lock, and a request for a connection. Stripe gives up after 10 s or more."""
POOL_SIZE = 8
"""Connections that are kept: one for each of gunicorn's threads."""
_BEGIN = "hosting_begin"
_SCHEMES = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}


class DatabaseUrlError(ValueError):
    """The URL is none of a database that this program knows; the message says which are."""


def parse_url(url: str) -> URL:
    """Return a checked URL with its driver.

    Raises:
        DatabaseUrlError: it is of another database, or names no file.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        message = "is no database URL; write sqlite:////absolute/path or postgresql://user:password@host/name"
        raise DatabaseUrlError(message) from None
    parsed = parsed.set(drivername=_SCHEMES.get(parsed.drivername, parsed.drivername))
    if parsed.drivername not in {"sqlite", "postgresql+psycopg"}:
        message = f"{parsed.drivername} is not supported; write sqlite:////absolute/path or postgresql://..."
        raise DatabaseUrlError(message)
    if parsed.drivername == "sqlite" and (not parsed.database or parsed.database == ":memory:"):
        message = "needs a file, for several processes share it: sqlite:////absolute/path"
        raise DatabaseUrlError(message)
    return parsed


def open_database(url: str, *, wait_seconds: float = WAIT_SECONDS) -> Engine:
    """Return the database; nothing is created or changed but SQLite's empty file, for its owner only.

    A transaction that is committed is on the disk, on both databases.

    Args:
        url: ``sqlite:////absolute/path`` or ``postgresql://...`` (psycopg 3).
        wait_seconds: How long a write waits for a lock before it fails.

    Raises:
        DatabaseUrlError: the URL is of another database.
    """
    parsed = parse_url(url)
    if parsed.drivername == "sqlite":
        return _open_sqlite(parsed, wait_seconds)
    milliseconds = int(wait_seconds * 1000)
    options = f"-c lock_timeout={milliseconds} -c synchronous_commit=on -c timezone=UTC"
    return create_engine(
        parsed,
        connect_args={"connect_timeout": max(2, round(wait_seconds)), "tcp_user_timeout": 10_000, "options": options},
        pool_size=POOL_SIZE,
        pool_timeout=wait_seconds,
        pool_pre_ping=True,
        hide_parameters=True,  # they hold personal data, and errors are logged
    )


def reading(engine: Engine) -> Engine:
    """Return the same database for transactions that only read: on SQLite they neither wait nor make others wait."""
    return engine.execution_options(**{_BEGIN: "BEGIN"})


def _open_sqlite(url: URL, wait_seconds: float) -> Engine:
    path = Path(str(url.database))
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite gives its other files the same mode
    engine = create_engine(
        url,
        connect_args={"timeout": wait_seconds},
        pool_size=POOL_SIZE,
        pool_timeout=wait_seconds,
        hide_parameters=True,
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where we say so, and not at the first write
    # FULL: a commit is on the disk. With NORMAL a power failure takes the last commits of a WAL database.
    for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON"):
        connection.execute(statement).close()


def _begin_sqlite(connection: Connection) -> None:
    """Begin; a writer waits for its turn now, for SQLite never lets a reader become a writer after another wrote."""
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN IMMEDIATE"))
