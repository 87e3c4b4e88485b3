"""The backups' bucket on the recording mock: nobody outside reads it, no server can destroy it."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

import pulumi
import pytest

from components.backup_bucket import BackupBucket, BackupBucketArgs
from tests.conftest import Declare, Declared

ARN = "arn:aws:s3:::markitup-backups"


def declared_with(declare: Declare, *, protect: bool = True) -> Declared:
    """Declare a bucket with two writers; its outputs are the credentials."""

    def program() -> None:
        bucket = BackupBucket(
            "markitup-backups",
            BackupBucketArgs(
                bucket="markitup-backups",
                retention_days=30,
                writers=["eu-1", "eu-2"],
                tags={"managed-by": "pulumi"},
                protect=protect,
            ),
        )
        for cell, key in bucket.credentials.items():
            pulumi.export(cell, {"id": key.access_key_id, "secret": key.secret_access_key})

    return declare(program)


@pytest.fixture
def declared(declare: Declare) -> Declared:
    """A declared bucket."""
    return declared_with(declare)


def statements(policy: str) -> list[dict[str, Any]]:
    """Return a policy's statements."""
    document = json.loads(policy)
    assert document["Version"] == "2012-10-17"
    return list(document["Statement"])


def test_it_is_these_resources(declared: Declared) -> None:
    """A bucket with its seven properties, and for each writer a user, a policy and a key."""
    assert [kind.rsplit(":", 1)[-1] + " " + name for kind, name in declared.kinds] == [
        "AccessKey markitup-backups-eu-1",
        "AccessKey markitup-backups-eu-2",
        "User markitup-backups-eu-1",
        "User markitup-backups-eu-2",
        "UserPolicy markitup-backups-eu-1",
        "UserPolicy markitup-backups-eu-2",
        "Bucket markitup-backups",
        "BucketLifecycleConfiguration markitup-backups",
        "BucketOwnershipControls markitup-backups",
        "BucketPolicy markitup-backups",
        "BucketPublicAccessBlock markitup-backups",
        "BucketServerSideEncryptionConfiguration markitup-backups",
        "BucketVersioning markitup-backups",
    ]
    component = declared.one("hosting:storage:BackupBucket")
    assert {each.parent for each in declared.custom} == {component.urn}
    assert declared.component_outputs[component.urn] == {"bucket_name": "markitup-backups"}
    parts = [each for each in declared.custom if each.type.startswith("aws:s3/bucket") and "bucket" in each.inputs]
    assert {each.inputs["bucket"] for each in parts} == {"markitup-backups", "markitup-backups-id"}


def test_the_bucket_is_protected(declare: Declare) -> None:
    """Unless the caller gives it up, as a demo does."""
    assert declared_with(declare).one("Bucket").protect
    assert not declared_with(declare, protect=False).one("Bucket").protect


def test_the_bucket_is_not_emptied_by_deleting_it(declared: Declared) -> None:
    """Nothing forces the deletion of a bucket that holds backups."""
    assert "forceDestroy" not in declared.one("Bucket").inputs


def test_every_version_is_kept(declared: Declared) -> None:
    """Versioning is on: an overwritten backup is still there."""
    assert declared.one("BucketVersioning").inputs["versioningConfiguration"] == {"status": "Enabled"}


def test_current_and_old_versions_expire(declared: Declared) -> None:
    """Both after the retention, in the whole bucket, and unfinished uploads after a day; after versioning is on."""
    lifecycle = declared.one("BucketLifecycleConfiguration")
    rule, markers = lifecycle.inputs["rules"]
    assert markers["expiration"] == {"expiredObjectDeleteMarker": True}
    assert rule == {
        "id": "delete-after-30-days",
        "status": "Enabled",
        "filter": {"prefix": ""},
        "expiration": {"days": 30},
        "noncurrentVersionExpiration": {"noncurrentDays": 30},
        "abortIncompleteMultipartUpload": {"daysAfterInitiation": 1},
    }
    assert declared.one("BucketVersioning").urn in lifecycle.dependencies


def test_everything_is_encrypted(declared: Declared) -> None:
    """By the service, without anybody's doing."""
    (rule,) = declared.one("BucketServerSideEncryptionConfiguration").inputs["rules"]
    assert rule["applyServerSideEncryptionByDefault"] == {"sseAlgorithm": "AES256"}


def test_nothing_is_public(declared: Declared) -> None:
    """All four switches are on, and access lists have no effect."""
    block = declared.one("BucketPublicAccessBlock").inputs
    assert {key: value for key, value in block.items() if key != "bucket"} == {
        "blockPublicAcls": True,
        "blockPublicPolicy": True,
        "ignorePublicAcls": True,
        "restrictPublicBuckets": True,
    }
    assert declared.one("BucketOwnershipControls").inputs["rule"] == {"objectOwnership": "BucketOwnerEnforced"}


def test_only_tls_gets_in(declared: Declared) -> None:
    """Everybody's every request without it is refused, on the bucket and on what is in it."""
    policy = declared.one("BucketPolicy")
    (statement,) = statements(policy.inputs["policy"])
    assert statement == {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [ARN, f"{ARN}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    assert declared.one("BucketPublicAccessBlock").urn in policy.dependencies


@pytest.mark.parametrize(
    "action",
    [
        "s3:DeleteObject",
        "s3:DeleteObjectVersion",
        "s3:DeleteBucket",
        "s3:PutLifecycleConfiguration",
        "s3:PutBucketVersioning",
        "s3:PutBucketPolicy",
        "s3:DeleteBucketPolicy",
        "s3:PutObjectAcl",
        "s3:BypassGovernanceRetention",
        "iam:CreateAccessKey",
    ],
)
def test_a_writer_can_destroy_nothing(declared: Declared, action: str) -> None:
    """No statement, not even by a wildcard, allows what would lose a backup."""
    for policy in declared.all("UserPolicy"):
        for statement in statements(policy.inputs["policy"]):
            allowed = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            assert statement["Effect"] == "Allow"
            assert not [pattern for pattern in allowed if fnmatchcase(action.lower(), pattern.lower())]


def test_a_writer_reaches_its_own_prefix_only(declared: Declared) -> None:
    """It reads and adds objects below its cell's name, and lists nothing else."""
    for cell in ("eu-1", "eu-2"):
        listing, objects = statements(declared.one("UserPolicy", f"markitup-backups-{cell}").inputs["policy"])
        assert (listing["Action"], listing["Resource"]) == ("s3:ListBucket", ARN)
        assert listing["Condition"] == {"StringLike": {"s3:prefix": f"{cell}/*"}}
        assert objects["Resource"] == f"{ARN}/{cell}/*"
        assert {"s3:GetObject", "s3:PutObject"} <= set(objects["Action"])


def test_each_writer_has_its_own_key(declared: Declared) -> None:
    """Its secret half is marked secret wherever it goes."""
    assert set(declared.outputs) == {"eu-1", "eu-2"}
    assert declared.secret_outputs == {"eu-1.secret", "eu-2.secret"}
    assert declared.outputs["eu-1"]["secret"] == "secret-of-markitup-backups-eu-1"
    for cell in ("eu-1", "eu-2"):
        name = f"markitup-backups-{cell}"
        assert declared.one("UserPolicy", name).inputs["user"] == name
        assert declared.one("AccessKey", name).inputs["user"] == name


def test_everything_that_can_be_is_tagged(declared: Declared) -> None:
    """The bucket carries the tags, a writer's user also its cell."""
    assert declared.one("Bucket").inputs["tags"] == {"managed-by": "pulumi"}
    assert declared.one("User", "markitup-backups-eu-1").inputs["tags"] == {"managed-by": "pulumi", "cell": "eu-1"}
