"""S3's resource types as pulumi_aws 7 names them: a bucket, and its settings as resources of their own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from botocore.exceptions import ClientError

from localcloud.aws.api import Api, is_gone, refusals, status_of
from localcloud.provider import CloudError, Field, Properties

BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class BucketKind:
    """``aws.s3.Bucket``; not deleted while anything is in it."""

    fields: Mapping[str, Field] = {
        "bucket": Field(type=str, replaces=True),
        "tags": Field(type=dict),
        "forceDestroy": Field(type=bool),
    }

    def __init__(self, api: Api, region: str) -> None:
        self._api = api
        self._region = region

    def create(self, inputs: Properties, name: str) -> tuple[str, Properties]:
        bucket = inputs.get("bucket") or name
        if BUCKET_NAME.fullmatch(bucket) is None:
            message = f"InvalidBucketName: {bucket}"
            raise CloudError(message)
        with refusals():
            if self._exists(bucket):
                message = f"BucketAlreadyOwnedByYou: {bucket}"
                raise CloudError(message, status=409)
            self._api.s3.create_bucket(
                Bucket=bucket,
                CreateBucketConfiguration={"LocationConstraint": self._region},  # type: ignore[typeddict-item]
            )
            self._tag(bucket, inputs)
        return bucket, self._outputs(bucket)

    def read(self, key: str, state: Properties) -> Properties | None:
        with refusals():
            return {**state, **self._outputs(key)} if self._exists(key) else None

    def update(self, key: str, state: Properties, inputs: Properties) -> Properties:
        with refusals():
            self._tag(key, inputs)
        return self._outputs(key)

    def delete(self, key: str, state: Properties) -> None:
        with refusals():
            if self._exists(key):
                self._api.s3.delete_bucket(Bucket=key)

    def _exists(self, bucket: str) -> bool:
        try:
            self._api.s3.head_bucket(Bucket=bucket)
        except ClientError as error:
            if is_gone(error):
                return False
            raise
        return True

    def _tag(self, bucket: str, inputs: Properties) -> None:
        tags = [{"Key": key, "Value": value} for key, value in sorted((inputs.get("tags") or {}).items())]
        self._api.s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})  # type: ignore[typeddict-item]

    def _outputs(self, bucket: str) -> Properties:
        return {
            "bucket": bucket,
            "arn": f"arn:aws:s3:::{bucket}",
            "region": self._region,
            "bucketDomainName": f"{bucket}.s3.amazonaws.com",
            "bucketRegionalDomainName": f"{bucket}.s3.{self._region}.amazonaws.com",
        }


@dataclass(frozen=True, kw_only=True)
class BucketSetting:
    """A resource that is one setting of a bucket: its id is the bucket's name.

    Attributes:
        fields: Inputs besides ``bucket``.
        put: Sets it, from the API, the bucket and the inputs.
        get: Reads it; raises ClientError where it is not set.
        remove: Takes it away.
    """

    api: Api
    own_fields: Mapping[str, Field]
    put: Callable[[Api, str, Properties], object]
    get: Callable[[Api, str], object]
    remove: Callable[[Api, str], object]

    @property
    def fields(self) -> Mapping[str, Field]:
        """All inputs."""
        return {"bucket": Field(type=str, required=True, replaces=True), **self.own_fields}

    def create(self, inputs: Properties, name: str) -> tuple[str, Properties]:
        with refusals():
            self.put(self.api, inputs["bucket"], inputs)
        return inputs["bucket"], {}

    def read(self, key: str, state: Properties) -> Properties | None:
        try:
            self.get(self.api, key)
        except ClientError as error:
            if status_of(error) == HTTPStatus.NOT_FOUND:
                return None
            raise CloudError(str(error)) from error
        return state

    def update(self, key: str, state: Properties, inputs: Properties) -> Properties:
        with refusals():
            self.put(self.api, key, inputs)
        return {}

    def delete(self, key: str, state: Properties) -> None:
        try:
            self.remove(self.api, key)
        except ClientError as error:
            if not is_gone(error):
                raise CloudError(str(error)) from error


def bucket_settings(api: Api) -> Mapping[str, BucketSetting]:
    """Return the settings by the last part of their token."""
    s3: Any = api.s3
    return {
        "BucketVersioning": BucketSetting(
            api=api,
            own_fields={"versioningConfiguration": Field(type=dict, required=True)},
            put=lambda _, bucket, i: s3.put_bucket_versioning(
                Bucket=bucket, VersioningConfiguration={"Status": i["versioningConfiguration"]["status"]}
            ),
            get=lambda _, bucket: s3.get_bucket_versioning(Bucket=bucket),
            remove=lambda _, bucket: s3.put_bucket_versioning(
                Bucket=bucket, VersioningConfiguration={"Status": "Suspended"}
            ),
        ),
        "BucketLifecycleConfiguration": BucketSetting(
            api=api,
            own_fields={"rules": Field(type=list, required=True)},
            put=lambda _, bucket, i: s3.put_bucket_lifecycle_configuration(
                Bucket=bucket, LifecycleConfiguration={"Rules": [_rule(rule) for rule in i["rules"]]}
            ),
            get=lambda _, bucket: s3.get_bucket_lifecycle_configuration(Bucket=bucket),
            remove=lambda _, bucket: s3.delete_bucket_lifecycle(Bucket=bucket),
        ),
        "BucketPublicAccessBlock": BucketSetting(
            api=api,
            own_fields={name: Field(type=bool) for name in PUBLIC_ACCESS},
            put=lambda _, bucket, i: s3.put_public_access_block(
                Bucket=bucket,
                PublicAccessBlockConfiguration={to: bool(i.get(name)) for name, to in PUBLIC_ACCESS.items()},
            ),
            get=lambda _, bucket: s3.get_public_access_block(Bucket=bucket),
            remove=lambda _, bucket: s3.delete_public_access_block(Bucket=bucket),
        ),
        "BucketOwnershipControls": BucketSetting(
            api=api,
            own_fields={"rule": Field(type=dict, required=True)},
            put=lambda _, bucket, i: s3.put_bucket_ownership_controls(
                Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": i["rule"]["objectOwnership"]}]}
            ),
            get=lambda _, bucket: s3.get_bucket_ownership_controls(Bucket=bucket),
            remove=lambda _, bucket: s3.delete_bucket_ownership_controls(Bucket=bucket),
        ),
        "BucketServerSideEncryptionConfiguration": BucketSetting(
            api=api,
            own_fields={"rules": Field(type=list, required=True)},
            put=lambda _, bucket, i: s3.put_bucket_encryption(
                Bucket=bucket,
                ServerSideEncryptionConfiguration={"Rules": [_encryption(rule) for rule in i["rules"]]},
            ),
            get=lambda _, bucket: s3.get_bucket_encryption(Bucket=bucket),
            remove=lambda _, bucket: s3.delete_bucket_encryption(Bucket=bucket),
        ),
        "BucketPolicy": BucketSetting(
            api=api,
            own_fields={"policy": Field(type=str, required=True)},
            put=lambda _, bucket, i: s3.put_bucket_policy(Bucket=bucket, Policy=i["policy"]),
            get=lambda _, bucket: s3.get_bucket_policy(Bucket=bucket),
            remove=lambda _, bucket: s3.delete_bucket_policy(Bucket=bucket),
        ),
    }


PUBLIC_ACCESS = {
    "blockPublicAcls": "BlockPublicAcls",
    "blockPublicPolicy": "BlockPublicPolicy",
    "ignorePublicAcls": "IgnorePublicAcls",
    "restrictPublicBuckets": "RestrictPublicBuckets",
}


def _encryption(rule: Properties) -> Properties:
    default = rule["applyServerSideEncryptionByDefault"]
    return {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": default["sseAlgorithm"]}}


def _rule(rule: Properties) -> Properties:
    """Return a lifecycle rule as the API wants it."""
    result: Properties = {
        "ID": rule["id"],
        "Status": rule["status"],
        "Filter": {"Prefix": (rule.get("filter") or {}).get("prefix", "")},
    }
    if "expiration" in rule:
        expiration = rule["expiration"]
        marker = {"ExpiredObjectDeleteMarker": expiration.get("expiredObjectDeleteMarker")}
        result["Expiration"] = {"Days": expiration["days"]} if "days" in expiration else marker
    if "noncurrentVersionExpiration" in rule:
        days = rule["noncurrentVersionExpiration"]["noncurrentDays"]
        result["NoncurrentVersionExpiration"] = {"NoncurrentDays": days}
    if "abortIncompleteMultipartUpload" in rule:
        days = rule["abortIncompleteMultipartUpload"]["daysAfterInitiation"]
        result["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": days}
    return result
