"""The simulated AWS: buckets with their settings, users, policies and keys, on a real S3 and IAM API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from components.backup_bucket import tls_only_policy
from localcloud.aws.api import Api
from localcloud.aws.kinds import aws
from localcloud.aws.s3_server import s3_server
from localcloud.faults import Faults
from localcloud.provider import CloudError, Kind, Properties
from localcloud.store import Store

BUCKET = "aws:s3/bucket:Bucket"
USER = "aws:iam/user:User"
POLICY = "aws:iam/userPolicy:UserPolicy"
KEY = "aws:iam/accessKey:AccessKey"
NAME = "markitup-backups-eu-1"


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server(tmp_path_factory.mktemp("s3") / "recording.jsonl") as url:
        yield url


@pytest.fixture
def api(endpoint: str) -> Iterator[Api]:
    httpx.post(f"{endpoint}/moto-api/reset").raise_for_status()
    made = Api(endpoint)
    yield made
    made.s3.close()
    made.iam.close()


@pytest.fixture
def kinds(api: Api, tmp_path: Path) -> Iterator[dict[str, Kind]]:
    with closing(Store(tmp_path / "cloud.db")) as store:
        yield dict(aws(api, Faults(store)).kinds)


@pytest.fixture
def bucket(kinds: dict[str, Kind]) -> str:
    key, _ = kinds[BUCKET].create({"bucket": NAME}, "backups")
    return key


SETTINGS: dict[str, tuple[Properties, Properties, str, Any, Any]] = {
    # Kind: inputs, changed inputs, what to ask the API, its answer's part before and after the change.
    "bucketVersioning:BucketVersioning": (
        {"versioningConfiguration": {"status": "Enabled"}},
        {"versioningConfiguration": {"status": "Suspended"}},
        "get_bucket_versioning:Status",
        "Enabled",
        "Suspended",
    ),
    "bucketLifecycleConfiguration:BucketLifecycleConfiguration": (
        {
            "rules": [
                {
                    "id": "old",
                    "status": "Enabled",
                    "filter": {"prefix": "restic/"},
                    "expiration": {"days": 30},
                    "noncurrentVersionExpiration": {"noncurrentDays": 7},
                    "abortIncompleteMultipartUpload": {"daysAfterInitiation": 2},
                }
            ]
        },
        {"rules": [{"id": "new", "status": "Disabled", "noncurrentVersionExpiration": {"noncurrentDays": 8}}]},
        "get_bucket_lifecycle_configuration:Rules",
        [
            {
                "ID": "old",
                "Status": "Enabled",
                "Filter": {"Prefix": "restic/"},
                "Expiration": {"Days": 30},
                "NoncurrentVersionExpiration": {"NoncurrentDays": 7},
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 2},
            }
        ],
        [
            {
                "ID": "new",
                "Status": "Disabled",
                "Filter": {"Prefix": ""},
                "NoncurrentVersionExpiration": {"NoncurrentDays": 8},
            }
        ],
    ),
    "bucketPublicAccessBlock:BucketPublicAccessBlock": (
        {
            "blockPublicAcls": True,
            "blockPublicPolicy": True,
            "ignorePublicAcls": True,
            "restrictPublicBuckets": True,
        },
        {"blockPublicAcls": True, "restrictPublicBuckets": False},
        "get_public_access_block:PublicAccessBlockConfiguration",
        {"BlockPublicAcls": True, "BlockPublicPolicy": True, "IgnorePublicAcls": True, "RestrictPublicBuckets": True},
        {
            "BlockPublicAcls": True,
            "BlockPublicPolicy": False,
            "IgnorePublicAcls": False,
            "RestrictPublicBuckets": False,
        },
    ),
    "bucketOwnershipControls:BucketOwnershipControls": (
        {"rule": {"objectOwnership": "BucketOwnerEnforced"}},
        {"rule": {"objectOwnership": "BucketOwnerPreferred"}},
        "get_bucket_ownership_controls:OwnershipControls",
        {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]},
    ),
    "bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": (
        {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]},
        {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms"}}]},
        "get_bucket_encryption:ServerSideEncryptionConfiguration",
        "AES256",
        "aws:kms",
    ),
    "bucketPolicy:BucketPolicy": (
        {"policy": json.dumps({"Version": "2012-10-17", "Statement": []})},
        {"policy": json.dumps({"Version": "2012-10-17", "Statement": [{"Sid": "other"}]})},
        "get_bucket_policy:Policy",
        '{"Version": "2012-10-17", "Statement": []}',
        '{"Version": "2012-10-17", "Statement": [{"Sid": "other"}]}',
    ),
}
LEFT_BEHIND = {"bucketVersioning:BucketVersioning": "Suspended"}
"""Settings that can't be taken away, and what they become."""


def asked(api: Api, question: str) -> Any:
    """Return the part of the API's answer about the bucket that a setting is about."""
    method, _, part = question.partition(":")
    answer = getattr(api.s3, method)(Bucket=NAME)[part]
    if part == "ServerSideEncryptionConfiguration":
        return answer["Rules"][0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"]
    return answer


def test_every_resource_type_has_a_test_here(kinds: dict[str, Kind]) -> None:
    """What the provider offers is what these tests look at."""
    assert set(kinds) == {BUCKET, USER, POLICY, KEY, *(f"aws:s3/{name}" for name in SETTINGS)}


def test_a_bucket_lives(kinds: dict[str, Kind], api: Api) -> None:
    """It is made in its region with its tags, read, tagged anew, deleted, and gone."""
    kind, inputs = kinds[BUCKET], {"bucket": NAME, "tags": {"cell": "eu-1", "a": "b"}}
    key, outputs = kind.create(inputs, "backups")
    assert (key, outputs["arn"], outputs["region"]) == (NAME, f"arn:aws:s3:::{NAME}", "eu-central-1")
    assert outputs["bucketRegionalDomainName"] == f"{NAME}.s3.eu-central-1.amazonaws.com"
    assert api.s3.get_bucket_location(Bucket=NAME)["LocationConstraint"] == "eu-central-1"
    assert tags(api) == {"cell": "eu-1", "a": "b"}
    assert kind.read(key, {**inputs, **outputs}) == {**inputs, **outputs}
    kind.update(key, {**inputs, **outputs}, {"bucket": NAME, "tags": {"cell": "eu-2"}})
    assert tags(api) == {"cell": "eu-2"}
    kind.delete(key, outputs)
    assert api.s3.list_buckets()["Buckets"] == []
    assert kind.read(key, outputs) is None
    kind.delete(key, outputs)


def tags(api: Api) -> dict[str, str]:
    """Return the bucket's tags."""
    return {each["Key"]: each["Value"] for each in api.s3.get_bucket_tagging(Bucket=NAME)["TagSet"]}


def test_a_bucket_without_a_name_takes_the_resources(kinds: dict[str, Kind], api: Api) -> None:
    """The logical name serves where no other is given."""
    assert kinds[BUCKET].create({}, "backups")[0] == "backups"
    assert [each.get("Name") for each in api.s3.list_buckets()["Buckets"]] == ["backups"]


@pytest.mark.parametrize("name", ["Upper", "under_score", "ab", "-dash", "dash-", "a" * 64])
def test_a_bad_bucket_name_is_refused(kinds: dict[str, Kind], api: Api, name: str) -> None:
    """Names are checked before anything is asked."""
    with pytest.raises(CloudError, match="InvalidBucketName"):
        kinds[BUCKET].create({"bucket": name}, "x")
    assert api.s3.list_buckets()["Buckets"] == []


def test_a_second_bucket_of_a_name_is_refused(kinds: dict[str, Kind], bucket: str) -> None:
    """The name is taken, by oneself too."""
    with pytest.raises(CloudError, match="BucketAlreadyOwnedByYou") as caught:
        kinds[BUCKET].create({"bucket": bucket}, "x")
    assert caught.value.status == 409


def test_a_bucket_with_something_in_it_stays(kinds: dict[str, Kind], api: Api, bucket: str) -> None:
    """Its deletion is refused and takes nothing away; emptied, it goes."""
    api.s3.put_object(Bucket=bucket, Key="backup", Body=b"precious")
    with pytest.raises(CloudError, match="BucketNotEmpty") as caught:
        kinds[BUCKET].delete(bucket, {})
    assert caught.value.status == 409
    assert api.s3.get_object(Bucket=bucket, Key="backup")["Body"].read() == b"precious"
    api.s3.delete_object(Bucket=bucket, Key="backup")
    kinds[BUCKET].delete(bucket, {})
    assert kinds[BUCKET].read(bucket, {}) is None


def test_a_bucket_with_old_versions_in_it_stays(kinds: dict[str, Kind], api: Api, bucket: str) -> None:
    """What was deleted from a versioned bucket still is in it."""
    kinds["aws:s3/bucketVersioning:BucketVersioning"].create(
        {"bucket": bucket, "versioningConfiguration": {"status": "Enabled"}}, "x"
    )
    api.s3.put_object(Bucket=bucket, Key="backup", Body=b"precious")
    api.s3.delete_object(Bucket=bucket, Key="backup")
    with pytest.raises(CloudError, match="BucketNotEmpty"):
        kinds[BUCKET].delete(bucket, {})


@pytest.mark.parametrize("name", list(SETTINGS))
def test_a_setting_lives(kinds: dict[str, Kind], api: Api, bucket: str, name: str) -> None:
    """It reaches the bucket as declared, is changed, read, taken away, and taking it away again is no error."""
    kind, (inputs, changed, question, before, after) = kinds[f"aws:s3/{name}"], SETTINGS[name]
    key, _ = kind.create({"bucket": bucket, **inputs}, "x")
    assert key == bucket
    assert asked(api, question) == before
    state = {"bucket": bucket, **inputs}
    assert kind.read(key, state) == state
    kind.update(key, state, {"bucket": bucket, **changed})
    assert asked(api, question) == after
    kind.delete(key, state)
    if name in LEFT_BEHIND:
        assert asked(api, question) == LEFT_BEHIND[name]
    else:
        with pytest.raises(ClientError):
            asked(api, question)
        assert kind.read(key, state) is None
    kind.delete(key, state)


@pytest.mark.parametrize("name", list(SETTINGS))
def test_a_setting_of_no_bucket_is_refused(kinds: dict[str, Kind], name: str) -> None:
    """Without its bucket a setting is neither made nor changed nor there; deleting it is no error."""
    kind, inputs = kinds[f"aws:s3/{name}"], {"bucket": NAME, **SETTINGS[name][0]}
    for call in (lambda: kind.create(inputs, "x"), lambda: kind.update(NAME, inputs, inputs)):
        with pytest.raises(CloudError, match="NoSuchBucket") as caught:
            call()
        assert caught.value.status == 404
    assert kind.read(NAME, inputs) is None
    kind.delete(NAME, inputs)


def test_a_user_lives(kinds: dict[str, Kind], api: Api) -> None:
    """A user is made with tags, refused twice, tagged anew, deleted and gone."""
    kind, inputs = kinds[USER], {"name": "backup-eu-1", "tags": {"cell": "eu-1"}}
    key, outputs = kind.create(inputs, "x")
    assert (key, outputs["arn"]) == ("backup-eu-1", api.iam.get_user(UserName=key)["User"]["Arn"])
    with pytest.raises(CloudError, match="EntityAlreadyExists"):
        kind.create(inputs, "x")
    state = {**inputs, **outputs}
    assert kind.read(key, state) == state
    kind.update(key, state, {"name": key, "tags": {"other": "tag"}})
    assert api.iam.list_user_tags(UserName=key)["Tags"] == [{"Key": "other", "Value": "tag"}]
    kind.delete(key, state)
    assert api.iam.list_users()["Users"] == []
    assert kind.read(key, state) is None
    kind.delete(key, state)


def test_a_users_policy_lives(kinds: dict[str, Kind], api: Api) -> None:
    """A policy is put on its user, changed, deleted and gone; without the user it is refused."""
    kind, inputs = kinds[POLICY], {"user": "backup-eu-1", "policy": policy("s3:GetObject")}
    with pytest.raises(CloudError, match="NoSuchEntity"):
        kind.create(inputs, "only-mine")
    kinds[USER].create({"name": "backup-eu-1"}, "x")
    key, outputs = kind.create(inputs, "only-mine")
    assert (key, outputs) == ("backup-eu-1:only-mine", {"name": "only-mine"})
    kind.update(key, inputs, {**inputs, "policy": policy("s3:PutObject")})
    document: Any = api.iam.get_user_policy(UserName="backup-eu-1", PolicyName="only-mine")["PolicyDocument"]
    assert document["Statement"][0]["Action"] == "s3:PutObject"
    assert kind.read(key, inputs) == inputs
    kind.delete(key, inputs)
    assert api.iam.list_user_policies(UserName="backup-eu-1")["PolicyNames"] == []
    assert kind.read(key, inputs) is None
    kind.delete(key, inputs)


def test_a_bucket_for_tls_only_takes_objects(api: Api, bucket: str) -> None:
    """This S3 has no TLS and stands for one that has; whatever else a bucket's policy denies is denied."""
    arn = f"arn:aws:s3:::{NAME}"
    api.s3.put_bucket_policy(Bucket=bucket, Policy=tls_only_policy(arn))
    api.s3.put_object(Bucket=bucket, Key="key", Body=b"1")
    assert api.s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"1"
    denied = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": f"{arn}/*"}
    both = {"Version": "2012-10-17", "Statement": [*json.loads(tls_only_policy(arn))["Statement"], denied]}
    api.s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(both))
    with pytest.raises(ClientError, match="Forbidden"):
        api.s3.put_object(Bucket=bucket, Key="key", Body=b"2")


def policy(action: str) -> str:
    """Return a policy that allows one action."""
    statement = {"Effect": "Allow", "Action": action, "Resource": f"arn:aws:s3:::{NAME}/*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_an_access_key_lives(kinds: dict[str, Kind], api: Api) -> None:
    """A key is made with its secret, switched off with the same secret, deleted and gone."""
    kind, inputs = kinds[KEY], {"user": "backup-eu-1"}
    with pytest.raises(CloudError, match="NoSuchEntity"):
        kind.create(inputs, "x")
    kinds[USER].create({"name": "backup-eu-1"}, "x")
    key, outputs = kind.create(inputs, "x")
    assert key.startswith("AKIA")
    assert len(outputs["secret"]) == 40
    assert outputs["status"] == "Active"
    state = {**inputs, **outputs}
    assert kind.read(key, state) == state
    assert kind.read("AKIAOTHER", state) is None
    off = kind.update(key, state, {**inputs, "status": "Inactive"})
    assert off == {"secret": outputs["secret"], "status": "Inactive"}
    assert api.iam.list_access_keys(UserName="backup-eu-1")["AccessKeyMetadata"][0].get("Status") == "Inactive"
    kind.delete(key, state)
    assert api.iam.list_access_keys(UserName="backup-eu-1")["AccessKeyMetadata"] == []
    kind.delete(key, state)


def test_what_belongs_to_a_user_that_is_gone_is_gone(kinds: dict[str, Kind]) -> None:
    """Reading and deleting a policy or key of no user is no error."""
    assert kinds[KEY].read("AKIA" * 5, {"user": "nobody"}) is None
    kinds[KEY].delete("AKIA" * 5, {"user": "nobody"})
    assert kinds[POLICY].read("nobody:x", {}) is None
    kinds[POLICY].delete("nobody:x", {})
