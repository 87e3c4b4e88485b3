"""IAM's resource types as pulumi_aws 7 names them: users, their policies and access keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from localcloud.aws.api import ACCOUNT, Api, is_gone, refusals
from localcloud.provider import CloudError, Field, Properties

if TYPE_CHECKING:
    from mypy_boto3_iam.type_defs import TagTypeDef


class UserKind:
    """``aws.iam.User``."""

    fields: Mapping[str, Field] = {
        "name": Field(type=str, replaces=True),
        "path": Field(type=str),
        "tags": Field(type=dict),
        "forceDestroy": Field(type=bool),
    }

    def __init__(self, api: Api) -> None:
        self._iam = api.iam

    def create(self, inputs: Properties, name: str) -> tuple[str, Properties]:
        user = inputs.get("name") or name
        with refusals():
            self._iam.create_user(UserName=user, Tags=_tags(inputs))
        return user, self._outputs(user)

    def read(self, key: str, state: Properties) -> Properties | None:
        try:
            self._iam.get_user(UserName=key)
        except ClientError as error:
            return _none_if_gone(error)
        return {**state, **self._outputs(key)}

    def update(self, key: str, state: Properties, inputs: Properties) -> Properties:
        with refusals():
            self._iam.untag_user(UserName=key, TagKeys=list(state.get("tags") or {}))
            self._iam.tag_user(UserName=key, Tags=_tags(inputs))
        return self._outputs(key)

    def delete(self, key: str, state: Properties) -> None:
        with refusals():
            try:
                self._iam.delete_user(UserName=key)
            except ClientError as error:
                _none_if_gone(error)

    def _outputs(self, user: str) -> Properties:
        return {"name": user, "path": "/", "arn": f"arn:aws:iam::{ACCOUNT}:user/{user}"}


class UserPolicyKind:
    """``aws.iam.UserPolicy``."""

    fields: Mapping[str, Field] = {
        "user": Field(type=str, required=True, replaces=True),
        "name": Field(type=str, replaces=True),
        "policy": Field(type=str, required=True),
    }

    def __init__(self, api: Api) -> None:
        self._iam = api.iam

    def create(self, inputs: Properties, name: str) -> tuple[str, Properties]:
        policy = inputs.get("name") or name
        self._put(inputs["user"], policy, inputs)
        return f"{inputs['user']}:{policy}", {"name": policy}

    def read(self, key: str, state: Properties) -> Properties | None:
        user, policy = key.split(":", 1)
        try:
            self._iam.get_user_policy(UserName=user, PolicyName=policy)
        except ClientError as error:
            return _none_if_gone(error)
        return state

    def update(self, key: str, state: Properties, inputs: Properties) -> Properties:
        user, policy = key.split(":", 1)
        self._put(user, policy, inputs)
        return {"name": policy}

    def delete(self, key: str, state: Properties) -> None:
        user, policy = key.split(":", 1)
        with refusals():
            try:
                self._iam.delete_user_policy(UserName=user, PolicyName=policy)
            except ClientError as error:
                _none_if_gone(error)

    def _put(self, user: str, policy: str, inputs: Properties) -> None:
        with refusals():
            self._iam.put_user_policy(UserName=user, PolicyName=policy, PolicyDocument=inputs["policy"])


class AccessKeyKind:
    """``aws.iam.AccessKey``; its secret is told once, at creation."""

    fields: Mapping[str, Field] = {
        "user": Field(type=str, required=True, replaces=True),
        "status": Field(type=str, one_of=("Active", "Inactive")),
    }

    def __init__(self, api: Api) -> None:
        self._iam = api.iam

    def create(self, inputs: Properties, name: str) -> tuple[str, Properties]:
        with refusals():
            key = self._iam.create_access_key(UserName=inputs["user"])["AccessKey"]
        return key["AccessKeyId"], {"secret": key["SecretAccessKey"], "status": key["Status"]}

    def read(self, key: str, state: Properties) -> Properties | None:
        with refusals():
            try:
                keys = self._iam.list_access_keys(UserName=state["user"])["AccessKeyMetadata"]
            except ClientError as error:
                return _none_if_gone(error)
        return state if key in {each.get("AccessKeyId") for each in keys} else None

    def update(self, key: str, state: Properties, inputs: Properties) -> Properties:
        status = inputs.get("status", "Active")
        with refusals():
            self._iam.update_access_key(UserName=inputs["user"], AccessKeyId=key, Status=status)
        return {"secret": state["secret"], "status": status}

    def delete(self, key: str, state: Properties) -> None:
        with refusals():
            try:
                self._iam.delete_access_key(UserName=state["user"], AccessKeyId=key)
            except ClientError as error:
                _none_if_gone(error)


def _tags(inputs: Properties) -> list[TagTypeDef]:
    return [{"Key": key, "Value": value} for key, value in sorted((inputs.get("tags") or {}).items())]


def _none_if_gone(error: ClientError) -> None:
    if not is_gone(error):
        raise CloudError(str(error)) from error
