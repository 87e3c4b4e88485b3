"""The backups' bucket: streams in and out of it, at constant memory. The only module here that knows S3."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from stacks.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART_BYTES = 16 * 1024**2
"""Of an upload; S3 takes 10,000 parts, so an archive may have 156 GiB: more than the largest plan's 100."""
PARTS_IN_MEMORY = 2
CHUNK_BYTES = 1024**2
CONNECT_SECONDS = 10
SILENCE_SECONDS = 60
TRIES = 4


class BucketError(Exception):
    """The bucket can't be reached, or refuses; the message says what to do."""


class Readable(Protocol):
    """What can be read to its end; a read that raises ends an upload without an object."""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, fewer than asked for at the end only; by default all that is left."""
        ...


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """The bucket.

    Attributes:
        client: Of S3.
        name: Its name.
    """

    client: S3Client
    name: str

    @classmethod
    def of(cls, settings: Settings) -> Bucket:
        """Return an environment's bucket, with this process's credentials (boto3's usual places and variables)."""
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=SILENCE_SECONDS,
            retries={"mode": "standard", "total_max_attempts": TRIES},
        )
        client = boto3.client("s3", region_name=settings.backup_region, config=config)
        return cls(client=client, name=settings.backup_bucket)

    def upload(self, key: str, stream: Readable) -> None:
        """Make an object of a stream; it is there once all of it was read, and not at all otherwise.

        Raises:
            BucketError: it can't be stored.
        """
        transfer = TransferConfig(
            multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=PARTS_IN_MEMORY
        )
        transfer.max_in_memory_upload_chunks = PARTS_IN_MEMORY
        with self._told(key):
            self.client.upload_fileobj(
                stream,  # pyright: ignore[reportArgumentType] - it has the one method that is used
                self.name,
                key,
                ExtraArgs={"ContentType": "application/gzip"},
                Config=transfer,
            )

    def read(self, key: str) -> Iterator[bytes]:
        """Yield an object's content.

        Raises:
            BucketError: it is not there, or can't be read to its end.
        """
        with self._told(key):
            body = self.client.get_object(Bucket=self.name, Key=key)["Body"]
            with body:
                yield from body.iter_chunks(CHUNK_BYTES)

    def write(self, key: str, text: str) -> None:
        """Make a small object.

        Raises:
            BucketError: it can't be stored.
        """
        with self._told(key):
            self.client.put_object(Bucket=self.name, Key=key, Body=text.encode(), ContentType="text/plain")

    def size_of(self, key: str) -> int | None:
        """Return an object's size in bytes; None where there is none.

        Raises:
            BucketError: it can't be asked for.
        """
        with self._told(key):
            try:
                return self.client.head_object(Bucket=self.name, Key=key)["ContentLength"]
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in {"404", "NoSuchKey"}:
                    return None
                raise

    @contextmanager
    def _told(self, key: str) -> Generator[None]:
        try:
            yield
        except (BotoCoreError, Boto3Error, ClientError) as error:
            raise BucketError(
                f"s3://{self.name}/{key}: {error}. Fix: see that the bucket is there, can be reached and takes the"
                " worker's credentials, then try again."
            ) from error
