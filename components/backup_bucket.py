"""The S3 bucket that holds every customer's backups, and who may write to it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True, kw_only=True)
class BackupBucketArgs:
    """What the bucket is made of.

    Attributes:
        bucket: Its name, unique in the whole of AWS.
        retention_days: Days after which a backup, and an overwritten version of one, is deleted.
        writers: Cells that get credentials of their own; a cell writes below ``<cell>/`` only.
        tags: AWS tags.
        protect: Refuse to delete the bucket.
    """

    bucket: str
    retention_days: int
    writers: Sequence[str]
    tags: Mapping[str, str]
    protect: bool


@dataclass(frozen=True, kw_only=True)
class WriterCredentials:
    """Access key of one cell: may list, read and add its own backups, never delete one."""

    access_key_id: pulumi.Output[str]
    secret_access_key: pulumi.Output[str]


class BackupBucket(pulumi.ComponentResource):
    """A versioned, encrypted, private bucket, one prefix per cell and customer.

    A stolen server's credentials can't destroy backups: writers can't delete, an overwritten object
    stays as an old version until ``retention_days`` are over, and only the lifecycle rule deletes.
    """

    bucket_name: pulumi.Output[str]
    credentials: dict[str, WriterCredentials]

    def __init__(self, name: str, args: BackupBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hosting:storage:BackupBucket", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        bucket = aws.s3.Bucket(
            name,
            bucket=args.bucket,
            tags=dict(args.tags),
            opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
        )
        aws.s3.BucketOwnershipControls(
            name,
            bucket=bucket.id,
            rule=aws.s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=child,
        )
        private = aws.s3.BucketPublicAccessBlock(
            name,
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        versioning = aws.s3.BucketVersioning(
            name,
            bucket=bucket.id,
            versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
            opts=child,
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=bucket.id,
            rules=[
                aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
                    apply_server_side_encryption_by_default=(
                        aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
                            sse_algorithm="AES256"
                        )
                    )
                )
            ],
            opts=child,
        )
        aws.s3.BucketLifecycleConfiguration(
            name,
            bucket=bucket.id,
            rules=[_retention(args.retention_days), _no_left_over_markers()],
            # Rules for old versions are refused before versioning is on.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[versioning]),
        )
        aws.s3.BucketPolicy(
            name,
            bucket=bucket.id,
            policy=bucket.arn.apply(tls_only_policy),
            # A policy put at the same time as the public access block conflicts (OperationAborted).
            opts=pulumi.ResourceOptions(parent=self, depends_on=[private]),
        )
        self.bucket_name = bucket.bucket
        self.credentials = {cell: self._writer(name, cell, bucket.arn, args.tags) for cell in args.writers}
        self.register_outputs({"bucket_name": self.bucket_name})

    def _writer(
        self, name: str, cell: str, bucket_arn: pulumi.Output[str], tags: Mapping[str, str]
    ) -> WriterCredentials:
        child = pulumi.ResourceOptions(parent=self)
        user = aws.iam.User(f"{name}-{cell}", name=f"{name}-{cell}", tags={**tags, "cell": cell}, opts=child)
        aws.iam.UserPolicy(
            f"{name}-{cell}",
            user=user.name,
            policy=bucket_arn.apply(lambda arn: writer_policy(arn, cell)),
            opts=child,
        )
        key = aws.iam.AccessKey(f"{name}-{cell}", user=user.name, opts=child)
        return WriterCredentials(access_key_id=key.id, secret_access_key=pulumi.Output.secret(key.secret))


def _retention(days: int) -> aws.s3.BucketLifecycleConfigurationRuleArgs:
    return aws.s3.BucketLifecycleConfigurationRuleArgs(
        id=f"delete-after-{days}-days",
        status="Enabled",
        filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
        expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=days),
        noncurrent_version_expiration=aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
            noncurrent_days=days
        ),
        abort_incomplete_multipart_upload=aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
            days_after_initiation=1
        ),
    )


def _no_left_over_markers() -> aws.s3.BucketLifecycleConfigurationRuleArgs:
    """Return the rule that removes what marks an object as deleted once no version of it is left."""
    return aws.s3.BucketLifecycleConfigurationRuleArgs(
        id="remove-left-over-markers",
        status="Enabled",
        filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=""),
        expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(expired_object_delete_marker=True),
    )


def tls_only_policy(bucket_arn: str) -> str:
    """Return the bucket policy that refuses every request without TLS, as JSON."""
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "TlsOnly",
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "s3:*",
                    "Resource": [bucket_arn, f"{bucket_arn}/*"],
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                }
            ],
        }
    )


def writer_policy(bucket_arn: str, cell: str) -> str:
    """Return the policy of a cell's writer, as JSON: list, read and add below ``<cell>/``; nothing deletes."""
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "ListOwn",
                    "Effect": "Allow",
                    "Action": "s3:ListBucket",
                    "Resource": bucket_arn,
                    "Condition": {"StringLike": {"s3:prefix": f"{cell}/*"}},
                },
                {
                    "Sid": "ReadAndAddOwn",
                    "Effect": "Allow",
                    "Action": ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"],
                    "Resource": f"{bucket_arn}/{cell}/*",
                },
            ],
        }
    )
