"""Checks a backup's archive: `python archive_check.py < ARCHIVE.tar.gz` prints what is in it, or what is wrong.

A program of its own, of the standard library only: the archive and the database in it are a customer's, so they are
taken apart in a process that may use little and knows nothing. No path in the archive is used as one: the only thing
written is the database, under a name of ours in a temporary folder. Prints JSON: ``entries``, ``users``, ``manifest``;
or ``problem``, in words of ours, for a file's name is the customer's.
"""

from __future__ import annotations

import gzip
import io
import json
import resource
import sqlite3
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path
from typing import IO, Any

MANIFEST = "manifest.json"
DATABASE = "markitup.db"
MOST_MANIFEST_BYTES = 10_000
CHUNK_BYTES = 1024**2
MOST_MEMORY_BYTES = 1024**3
BUFFER_BYTES = 20 * 512
"""As much does tarfile read at a time."""
END_BYTES = 2 * 512
"""Of zeros are at an archive's end, at least; Python's tarfile takes whatever is no entry for it."""


class BadArchiveError(Exception):
    """It is no good; the message says why."""


def check(stream: IO[bytes]) -> dict[str, Any]:
    """Read an archive to its end and return what is in it.

    Raises:
        BadArchiveError: it is damaged, incomplete or none of ours, or its database is damaged.
    """
    entries, users, manifest = 0, 0, None
    try:
        with gzip.GzipFile(fileobj=stream) as unpacked:
            plain = _Followed(unpacked)
            with tarfile.open(fileobj=plain, mode="r|", bufsize=BUFFER_BYTES) as archive:
                while (entry := archive.next()) is not None:
                    entries += 1
                    if entry.isreg() and entry.name == MANIFEST:
                        manifest = _manifest(archive.extractfile(entry))
                    elif entry.isreg() and entry.name == DATABASE:
                        users = _users(archive.extractfile(entry))
                    archive.members.clear()  # pyright: ignore[reportAttributeAccessIssue] - else it keeps them all
            size, is_end = plain.rest(archive.offset)
            while chunk := plain.read(CHUNK_BYTES):  # the check sum is at the end
                size, is_end = size + len(chunk), is_end and not any(chunk)
    except (EOFError, OSError, tarfile.TarError, zlib.error) as error:
        raise BadArchiveError(f"it is damaged or incomplete ({type(error).__name__})") from error
    if size < END_BYTES or not is_end:
        raise BadArchiveError("it is damaged or incomplete (it ends like no archive)")
    if manifest is None:
        raise BadArchiveError(f"it has no {MANIFEST}")
    return {"entries": entries, "users": users, "manifest": manifest}


class _Followed(io.BufferedIOBase):
    """A stream, how far it was read, and the last of that."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        super().__init__()
        self._stream = stream
        self._count = 0
        self._last = b""

    def read(self, size: int | None = -1, /) -> bytes:
        data = self._stream.read(size)
        self._count += len(data)
        self._last = (self._last + data)[-2 * BUFFER_BYTES :]
        return data

    def rest(self, offset: int) -> tuple[int, bool]:
        """Return how much was read behind a position of the last buffer, and whether all of it is zeros."""
        rest = self._last[len(self._last) - (self._count - offset) :]
        return len(rest), not any(rest)


def _manifest(content: IO[bytes] | None) -> dict[str, Any]:
    try:
        found = json.loads(b"" if content is None else content.read(MOST_MANIFEST_BYTES))
    except ValueError as error:
        raise BadArchiveError(f"its {MANIFEST} is no JSON") from error
    if not isinstance(found, dict):
        raise BadArchiveError(f"its {MANIFEST} is no object")
    return found  # pyright: ignore[reportUnknownVariableType] - JSON


def _users(content: IO[bytes] | None) -> int:
    """Check the database and return how many users it has."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "database"
        with path.open("wb", buffering=0) as copy:
            while content is not None and (chunk := content.read(CHUNK_BYTES)):
                _write(copy, chunk)
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if verdict != "ok":
                raise BadArchiveError("its database is damaged (integrity_check)")
            query = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'users'"
            if connection.execute(query).fetchone() == (0,):
                return 0
            (count,) = connection.execute("SELECT count(*) FROM users").fetchone()
        except sqlite3.Error as error:
            raise BadArchiveError(f"its database can't be read ({type(error).__name__})") from error
        else:
            return int(count)
        finally:
            connection.close()


def _write(copy: IO[bytes], chunk: bytes) -> None:
    try:
        while chunk:
            chunk = chunk[copy.write(chunk) :]
    except OSError as error:
        raise BadArchiveError(f"its database can't be looked at: {error.strerror} ({tempfile.gettempdir()})") from error


def main() -> int:
    """Check what is on stdin; return the exit code."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))
    try:
        found = check(sys.stdin.buffer)
    except BadArchiveError as error:
        found = {"problem": str(error)}
    except MemoryError:
        found = {"problem": "checking it takes too much memory"}
    sys.stdout.write(f"{json.dumps(found)}\n")
    return 1 if "problem" in found else 0


if __name__ == "__main__":
    sys.exit(main())
