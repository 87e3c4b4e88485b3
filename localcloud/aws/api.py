"""Calls to the S3 and IAM APIs; AWS's refusals become the provider's."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError

from localcloud.provider import CloudError

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_s3 import S3Client

ACCOUNT = "123456789012"
"""moto's account."""
GONE = frozenset({"404", "NoSuchBucket", "NoSuchEntity", "NoSuchBucketPolicy", "NoSuchKey"})


class Api:
    """Clients for one endpoint."""

    def __init__(self, endpoint: str, region: str = "us-east-1") -> None:
        session = boto3.Session(region_name=region, aws_access_key_id="local", aws_secret_access_key="local")  # noqa: S106 - moto takes any
        config = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"})
        self.s3: S3Client = session.client("s3", endpoint_url=endpoint, config=config)
        self.iam: IAMClient = session.client("iam", endpoint_url=endpoint, config=config)


@contextmanager
def refusals() -> Generator[None]:
    """Turn AWS's errors into the provider's."""
    try:
        yield
    except ClientError as error:
        status = status_of(error)
        raise CloudError(f"{status}: {error}", status=status) from error
    except ParamValidationError as error:
        raise CloudError(str(error)) from error


def is_gone(error: ClientError) -> bool:
    """Whether the error says that the thing does not exist."""
    return error.response.get("Error", {}).get("Code") in GONE


def status_of(error: ClientError) -> int:
    """Return the HTTP status of a refusal."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500))
