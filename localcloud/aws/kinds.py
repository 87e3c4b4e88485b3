"""AWS as the engine sees it."""

from __future__ import annotations

from importlib.metadata import version

from localcloud.aws.api import Api
from localcloud.aws.buckets import BucketKind, bucket_settings
from localcloud.aws.users import AccessKeyKind, UserKind, UserPolicyKind
from localcloud.faults import Faults
from localcloud.provider import Cloud, Kind

VERSION = version("pulumi-aws")


def aws(api: Api, faults: Faults, region: str = "eu-central-1") -> Cloud:
    """Return the resource types that the estate uses, standing on a real S3 API."""
    kinds: dict[str, Kind] = {
        "aws:s3/bucket:Bucket": BucketKind(api, region),
        "aws:iam/user:User": UserKind(api),
        "aws:iam/userPolicy:UserPolicy": UserPolicyKind(api),
        "aws:iam/accessKey:AccessKey": AccessKeyKind(api),
    }
    for name, kind in bucket_settings(api).items():
        kinds[f"aws:s3/{name[0].lower()}{name[1:]}:{name}"] = kind
    return Cloud(name="aws", version=VERSION, kinds=kinds, faults=faults)
