"""What exists in the local cloud: one SQLite file, so that it survives restarts and other processes can look."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Thing = dict[str, Any]

_TABLES = """
CREATE TABLE IF NOT EXISTS things (kind TEXT, key TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, key));
CREATE TABLE IF NOT EXISTS numbers (kind TEXT PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS calls (cloud TEXT, operation TEXT, count INTEGER NOT NULL, PRIMARY KEY (cloud, operation));
CREATE TABLE IF NOT EXISTS faults (id INTEGER PRIMARY KEY, body TEXT NOT NULL);
"""


class Store:
    """Things by kind (``hetzner/server``, ``cloudflare/record``) and key, each a JSON object.

    Safe for several threads and processes: inside ``transaction`` nobody else writes.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_TABLES)
        self._lock = threading.RLock()
        self._depth = 0

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Read and write with nobody in between; an exception undoes all of it. May be nested."""
        with self._lock:
            self._depth += 1
            try:
                if self._depth == 1:
                    self._connection.execute("BEGIN IMMEDIATE")
                yield
            except BaseException:
                if self._depth == 1:
                    self._connection.execute("ROLLBACK")
                raise
            else:
                if self._depth == 1:
                    self._connection.execute("COMMIT")
            finally:
                self._depth -= 1

    def put(self, kind: str, key: str | int, body: Mapping[str, Any]) -> None:
        """Create or overwrite a thing."""
        self._execute(
            "INSERT INTO things VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body",
            kind,
            str(key),
            json.dumps(body),
        )

    def get(self, kind: str, key: str | int) -> Thing | None:
        """Return a thing, or None."""
        rows = self._execute("SELECT body FROM things WHERE kind = ? AND key = ?", kind, str(key))
        return json.loads(rows[0][0]) if rows else None

    def all(self, kind: str) -> list[Thing]:
        """Return all things of a kind, oldest first."""
        return [
            json.loads(body) for (body,) in self._execute("SELECT body FROM things WHERE kind = ? ORDER BY rowid", kind)
        ]

    def delete(self, kind: str, key: str | int) -> bool:
        """Delete a thing; return whether there was one."""
        with self.transaction():
            there = self.get(kind, key) is not None
            self._execute("DELETE FROM things WHERE kind = ? AND key = ?", kind, str(key))
        return there

    def kinds(self) -> dict[str, int]:
        """Return each kind and how many things it has."""
        return dict(self._execute("SELECT kind, count(*) FROM things GROUP BY kind ORDER BY kind"))

    def next_number(self, kind: str) -> int:
        """Return the next whole number of a series, from 1; never the same twice."""
        with self.transaction():
            self._execute("INSERT OR IGNORE INTO numbers VALUES (?, 0)", kind)
            self._execute("UPDATE numbers SET last = last + 1 WHERE kind = ?", kind)
            return int(self._execute("SELECT last FROM numbers WHERE kind = ?", kind)[0][0])

    def count_call(self, cloud: str, operation: str) -> None:
        """Count one call of an operation."""
        self._execute(
            "INSERT INTO calls VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1", cloud, operation
        )

    def calls(self) -> Counter[tuple[str, str]]:
        """Return how often each (cloud, operation) was called."""
        return Counter({(cloud, name): count for cloud, name, count in self._execute("SELECT * FROM calls")})

    def add_fault(self, body: Mapping[str, Any]) -> None:
        """Append a fault to the list of those to come."""
        self._execute("INSERT INTO faults (body) VALUES (?)", json.dumps(body))

    def faults(self) -> list[tuple[int, Thing]]:
        """Return the faults to come, with their ids."""
        return [(key, json.loads(body)) for key, body in self._execute("SELECT id, body FROM faults ORDER BY id")]

    def replace_fault(self, key: int, body: Mapping[str, Any] | None) -> None:
        """Overwrite a fault; None removes it."""
        if body is None:
            self._execute("DELETE FROM faults WHERE id = ?", key)
        else:
            self._execute("UPDATE faults SET body = ? WHERE id = ?", json.dumps(body), key)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _execute(self, statement: str, *values: object) -> list[Any]:
        with self._lock:
            return self._connection.execute(statement, values).fetchall()
