"""Reads a backup back from the bucket: what does not come out of it as it went in is none."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webhook.bucket import Bucket

CHECK = Path(__file__).with_name("archive_check.py")


class VerificationError(Exception):
    """What is in the bucket is no good backup; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What was found in an archive.

    Attributes:
        sha256: Of the object, in hex.
        size_bytes: Of the object.
        entries: Files, folders and links in it.
        users: Accounts in its database.
        manifest: What it says of itself.
    """

    sha256: str
    size_bytes: int
    entries: int
    users: int
    manifest: dict[str, Any]


def verify(bucket: Bucket, key: str, *, seconds: int) -> Verified:
    """Read an object to its end, past archive_check.py in a process of its own.

    Args:
        bucket: Where it is.
        key: Its name there.
        seconds: After which it is given up.

    Raises:
        BucketError: it can't be read.
        VerificationError: it is no good.
    """
    digest, size = hashlib.sha256(), 0
    with (
        tempfile.TemporaryDirectory(prefix="hosting-backup-") as folder,
        subprocess.Popen(
            [sys.executable, "-I", str(CHECK)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"TMPDIR": folder},
        ) as process,
    ):
        deadline = threading.Timer(seconds, process.kill)
        deadline.start()
        try:
            with suppress(BrokenPipeError):  # it has seen enough, and says what
                for chunk in bucket.read(key):
                    digest.update(chunk)
                    size += len(chunk)
                    process.stdin.write(chunk)  # pyright: ignore[reportOptionalMemberAccess] - a pipe, see above
                process.stdin.close()  # pyright: ignore[reportOptionalMemberAccess]
            answer = process.stdout.read()  # pyright: ignore[reportOptionalMemberAccess]
        except BaseException:
            process.kill()
            raise
        finally:
            deadline.cancel()
    try:
        found: dict[str, Any] = json.loads(answer)
    except ValueError:
        found = {"problem": "it could not be looked through: too slow, or too large"}
    if "problem" in found:
        raise VerificationError(f"s3://{bucket.name}/{key}: {found['problem']}")
    return Verified(sha256=digest.hexdigest(), size_bytes=size, **found)
