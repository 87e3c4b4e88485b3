"""Fixtures: a cell of the test's own, on the real Engine and a real S3 API."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import boto3
import pytest
from botocore.config import Config
from sqlalchemy import Engine

from localcloud.aws.s3_server import s3_server
from tests.integration.data.premises import Premises
from tests.integration.images.conftest import client, markitup, network, tenant, yard
from tests.integration.images.yard import Yard
from tests.webhook.databases import light_engine
from webhook.bucket import Bucket

__all__ = ["client", "light_engine", "markitup", "network", "tenant", "yard"]  # fixtures: pytest finds them here


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve S3."""
    with s3_server(tmp_path_factory.mktemp("s3") / "recording") as url:
        yield url


@pytest.fixture
def bucket(s3: str) -> Bucket:
    """Make a bucket of the test's own."""
    client = boto3.client(
        "s3",
        endpoint_url=s3,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name="eu-central-1",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=30),
    )
    name = f"test-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return Bucket(client=client, name=name)


@pytest.fixture
def premises(yard: Yard, tenant: str, bucket: Bucket, light_engine: Engine) -> Premises:
    """Give a test its cell."""
    return Premises(yard=yard, image=tenant, bucket=bucket, engine=light_engine)
