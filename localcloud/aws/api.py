"""Calls to the S3 and IAM APIs; AWS's refusals become the provider's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError

from localcloud.provider import CloudError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ACCOUNT = "123456789012"
"""moto's account."""
GONE = frozenset({"404", "NoSuchBucket", "NoSuchEntity", "NoSuchBucketPolicy", "NoSuchKey"})


class Api:
    """Clients for one endpoint."""

    def __init__(self, endpoint: str, region: str = "us-east-1") -> None:
        settings = {
            "endpoint_url": endpoint,
            "region_name": region,
            "aws_access_key_id": "local",
            "aws_secret_access_key": "local",
            "config": Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}),
        }
        self.s3: S3Client = boto3.client("s3", **settings)
        self.iam = boto3.client("iam", **settings)


@contextmanager
def refusals() -> Iterator[None]:
    """Turn AWS's errors into the provider's."""
    try:
        yield
    except ClientError as error:
        status = int(error.response["ResponseMetadata"]["HTTPStatusCode"])
        raise CloudError(f"{status}: {error}", status=status) from error
    except ParamValidationError as error:
        raise CloudError(str(error)) from error


def is_gone(error: ClientError) -> bool:
    """Whether the error says that the thing does not exist."""
    return error.response["Error"]["Code"] in GONE
