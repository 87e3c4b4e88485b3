"""Backups of the control service's database, straight from Postgres into the bucket: nothing touches the disk.

``backup`` runs for good: a dump a day, each read back whole by ``pg_restore`` before it counts. ``backup once``
makes one now. ``backup check`` is the container's health: has one been made in the last 26 hours?
``restore latest`` (or a key of the bucket) fills an empty database.

Postgres by ``PGHOST``, ``PGUSER``, ``PGPASSWORD``, ``PGDATABASE``; the bucket by ``BACKUP_BUCKET``; S3 by the usual
``AWS_...`` variables.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import boto3
import psycopg
from boto3.s3.transfer import TransferConfig

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = "control/"
DAY_SECONDS = 24 * 3600
LATE_SECONDS = DAY_SECONDS + 2 * 3600
RETRY_SECONDS = 600
DONE = Path("/tmp/backup-done")  # noqa: S108 - the container's own, in memory
STREAM = TransferConfig(multipart_chunksize=16 * 1024 * 1024, max_concurrency=2)
"""Bounds the memory: two parts of 16 MiB; 10,000 parts are 156 GiB, S3's own limit for an upload."""
DUMP = ("pg_dump", "--format=custom", "--no-owner", "--no-privileges")
READ_BACK = ("pg_restore", "--file=/dev/null")
RESTORE = ("pg_restore", "--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction")
READ = ".sha256"
"""Behind a dump's key: that of its check sum, which is there once the dump was read back whole. Here nobody may delete
a dump that was not, so this tells the two apart."""
OWN_SCHEMAS = ("pg_catalog", "information_schema", "pg_toast")


class BackupError(Exception):
    """There is no backup, or it was not restored; the message says why."""


class Dump:
    """The output of a running ``pg_dump``; its end is an error unless the program came to its own end well.

    Otherwise half a dump would be stored like a whole one.
    """

    def __init__(self, process: subprocess.Popen[bytes], output: IO[bytes]) -> None:
        self._process = process
        self._output = output
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        content = self._output.read(size)
        self.digest.update(content)
        if (not content or size < 0) and self._process.wait() != 0:
            message = f"pg_dump ended with {self._process.returncode}; nothing was stored"
            raise BackupError(message)
        return content


def back_up(s3: S3Client, bucket: str) -> str:
    """Store a dump and read it back; return its key.

    Raises:
        BackupError: the dump or its check failed.
        Exception: S3 or the database can't be reached.
    """
    key = f"{PREFIX}{datetime.now(tz=UTC):%Y-%m-%dT%H%M%SZ}.dump"
    with subprocess.Popen(DUMP, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        dump = Dump(process, process.stdout)
        s3.upload_fileobj(cast("IO[bytes]", dump), bucket, key, Config=STREAM)
    size, digest = feed(s3, bucket, key, READ_BACK)
    if digest != dump.digest.hexdigest():
        message = f"{key} is not what was dumped: its check sum is another one"
        raise BackupError(message)
    s3.put_object(Bucket=bucket, Key=f"{key}{READ}", Body=f"{digest}  {key.rpartition('/')[2]}\n".encode())
    DONE.touch()
    say(f"backup {key}: {size} bytes, read back")
    return key


def restore(s3: S3Client, bucket: str, key: str) -> str:
    """Fill the database from a backup, all of it or nothing; return the key.

    Raises:
        BackupError: there is no such backup, the database is not empty, or ``pg_restore`` refused.
    """
    if key == "latest":
        key = newest(s3, bucket)[0]
    with psycopg.connect() as connection:
        query = "SELECT count(*) FROM pg_tables WHERE NOT schemaname = ANY(%s)"
        row = connection.execute(query, [list(OWN_SCHEMAS)]).fetchone()
    if row is None or row[0]:
        message = f"{os.environ['PGDATABASE']} has tables: a restore would mix two states. Fix: create an empty one."
        raise BackupError(message)
    size, _ = feed(s3, bucket, key, [*RESTORE, f"--dbname={os.environ['PGDATABASE']}"])
    say(f"restored {key}: {size} bytes")
    return key


def newest(s3: S3Client, bucket: str) -> tuple[str, datetime]:
    """Return key and time of the newest backup that was read back.

    Raises:
        BackupError: there is none.
    """
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=PREFIX)
    objects = (each for page in pages for each in page.get("Contents", []))
    found = {each["Key"]: each["LastModified"] for each in objects if "Key" in each and "LastModified" in each}
    read = [(key, moment) for key, moment in found.items() if f"{key}{READ}" in found]
    if not read:
        message = f"{bucket} has no backup below {PREFIX} that was read back"
        raise BackupError(message)
    return max(read, key=lambda each: each[1])


def feed(s3: S3Client, bucket: str, key: str, argv: Sequence[str]) -> tuple[int, str]:
    """Stream an object into a program; return its size in bytes and its SHA-256 in hex.

    Raises:
        BackupError: the program refused it.
    """
    body = s3.get_object(Bucket=bucket, Key=key)["Body"]
    size, digest = 0, hashlib.sha256()
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None  # noqa: S101 - for the type checker
        try:
            for chunk in body.iter_chunks(1024 * 1024):
                size += len(chunk)
                digest.update(chunk)
                process.stdin.write(chunk)
            process.stdin.close()
        except BrokenPipeError:
            pass  # the program's own exit code says more
    if process.returncode != 0:
        message = f"{argv[0]} ended with {process.returncode} on {key}"
        raise BackupError(message)
    return size, digest.hexdigest()


def every_day(s3: S3Client, bucket: str) -> None:
    """Back up a day after the newest backup, at once where there is none; after a failure try again soon."""
    while True:
        try:
            age = (datetime.now(tz=UTC) - newest(s3, bucket)[1]).total_seconds()
        except Exception:  # noqa: BLE001 - none, or S3 is away: the backup itself will say so
            age = DAY_SECONDS
        else:
            DONE.touch()
            os.utime(DONE, (time.time() - age, time.time() - age))
        if age < DAY_SECONDS:
            time.sleep(min(DAY_SECONDS - age, RETRY_SECONDS))
            continue
        try:
            back_up(s3, bucket)
        except Exception as error:  # noqa: BLE001 - the next try is soon, and the health check tells
            say(f"backup failed, next try in {RETRY_SECONDS} s: {type(error).__name__}: {error}")
            time.sleep(RETRY_SECONDS)


def say(line: str) -> None:
    """Write to the container's log."""
    print(line, flush=True)  # noqa: T201


def main(arguments: list[str]) -> int:
    """Run a command; return the exit code."""
    if arguments == ["backup", "check"]:
        return 0 if DONE.exists() and time.time() - DONE.stat().st_mtime < LATE_SECONDS else 1
    s3 = boto3.client("s3")
    bucket = os.environ["BACKUP_BUCKET"]
    try:
        match arguments:
            case ["backup"]:
                every_day(s3, bucket)
            case ["backup", "once"]:
                back_up(s3, bucket)
            case ["restore", key]:
                restore(s3, bucket, key)
            case _:
                say(__doc__ or "")
                return 2
    except BackupError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
