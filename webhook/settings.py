"""Settings of the control service, from environment variables ``HOSTING_*``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, ValidationInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from stacks.control_settings import has_secret
from stacks.settings import SettingsError
from webhook.database.engine import parse_url

DATABASE_FILE = Path(".hosting") / "management.sqlite3"
"""Where the embedded database is, from the settings file's folder."""
PREFIX = "HOSTING_"
SHORTEST_KEY = 32
"""Characters of the secret key."""


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _webhook_secrets(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if not value:
        message = "is empty"
        raise ValueError(message)
    if any(not secret.get_secret_value().startswith("whsec_") for secret in value):
        message = "each must begin with whsec_"
        raise ValueError(message)
    if any(len(secret.get_secret_value()) < len("whsec_") + 16 for secret in value):
        message = "one is too short to be Stripe's"
        raise ValueError(message)
    return value


def _api_key(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith(("sk_test_", "sk_live_", "rk_test_", "rk_live_")):
        message = "must begin with sk_live_, rk_live_, sk_test_ or rk_test_"
        raise ValueError(message)
    return value


def _remote(value: str) -> str:
    if value.startswith("-") or any(character.isspace() for character in value):
        message = "is neither a remote's name nor a URL"
        raise ValueError(message)
    if has_secret(value):
        message = "has a password or token in it, which git would write into files and messages"
        raise ValueError(message)
    return value


def _secret_key(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < SHORTEST_KEY:
        message = f"must have at least {SHORTEST_KEY} characters"
        raise ValueError(message)
    return value


def _repository(value: str, info: ValidationInfo) -> str:
    if info.data.get("github_token", "") is None or info.data.get("registry_remote", "") is None:
        message = "needs HOSTING_GITHUB_TOKEN and HOSTING_REGISTRY_REMOTE with it"
        raise ValueError(message)
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+", value) is None:
        message = "must be owner/name"
        raise ValueError(message)
    return value


def _public_url(value: str | None) -> str | None:
    if value is None:
        return None
    parts = urlsplit(value.rstrip("/"))
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path or parts.query or parts.fragment:
        message = "must be https:// and a host name, without a path"
        raise ValueError(message)
    if parts.scheme == "http" and parts.hostname not in {"127.0.0.1", "localhost"}:
        message = "must begin with https://; http:// is for this machine only (127.0.0.1)"
        raise ValueError(message)
    return parts.geturl()


def _database_url(value: str) -> str:
    parse_url(value)
    return value


def _beside_settings(values: dict[str, Any]) -> str:
    settings_file: Path = values["settings_file"]
    return f"sqlite:///{settings_file.resolve().parent / DATABASE_FILE}"


def _fix(text: str) -> dict[str, Any]:
    return {"fix": text}


class FileSettings(BaseSettings):
    """Where the environment's own settings are."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="ignore")

    settings_file: Annotated[
        Path,
        Field(
            description="The environment's stack file, such as Pulumi.prod.yaml.",
            json_schema_extra=_fix("name the file."),
        ),
    ] = Path("Pulumi.prod.yaml")


class DatabaseSettings(FileSettings):
    """Where the management database is: what its own commands need, without any secret of Stripe's."""

    database_url: Annotated[
        str,
        AfterValidator(_database_url),
        Field(
            default_factory=_beside_settings,
            repr=False,
            description="The management database: sqlite:////absolute/path or postgresql://user:password@host/name;"
            f" by default the file {DATABASE_FILE} in the settings file's folder.",
            json_schema_extra=_fix("set it, or leave it away for the file."),
        ),
    ]


class ServiceSettings(DatabaseSettings):
    """Where the control service finds what it needs; each field is a variable ``HOSTING_<NAME>``."""

    stripe_webhook_secrets: Annotated[
        tuple[SecretStr, ...],
        NoDecode,
        BeforeValidator(_split),
        AfterValidator(_webhook_secrets),
        Field(
            description="Signing secrets of Stripe's webhook endpoint, with commas between them: the new one and the"
            " old one while they are exchanged.",
            json_schema_extra=_fix("copy the endpoint's signing secret (whsec_...) from Stripe's dashboard."),
        ),
    ]
    stripe_api_key: Annotated[
        SecretStr,
        AfterValidator(_api_key),
        Field(
            description="Key with which the service asks Stripe.",
            json_schema_extra=_fix("make a restricted key (rk_...) at Stripe, under Developers, API keys."),
        ),
    ]
    stripe_api_url: Annotated[str | None, Field(description="Other Stripe API than Stripe's (tests, demo).")] = None
    secret_key: Annotated[
        SecretStr,
        AfterValidator(_secret_key),
        Field(
            description="Key that signs visitors' cookies, forms and links; at least 32 characters, the same for all"
            " processes. A new one makes open forms be sent again.",
            json_schema_extra=_fix("make one: python -c 'import secrets; print(secrets.token_urlsafe(48))'"),
        ),
    ]
    public_url: Annotated[
        str | None,
        AfterValidator(_public_url),
        Field(
            description="Where visitors find this service, as https://portal.example.org; by default portal. and the"
            " settings file's domain.",
            json_schema_extra=_fix("write https:// and the host name, or leave it away."),
        ),
    ] = None
    smtp_host: Annotated[str | None, Field(description="Mail server; without one letters are not sent.")] = None
    smtp_port: Annotated[int, Field(description="Its port: 587 for STARTTLS, 465 for TLS from the start.")] = 587
    smtp_tls: Annotated[Literal["starttls", "tls", "none"], Field(description="How the connection is protected.")] = (
        "starttls"
    )
    smtp_user: Annotated[str | None, Field(description="Login at the mail server.")] = None
    smtp_password: Annotated[SecretStr | None, Field(description="Password for it.")] = None
    mail_from: Annotated[str, Field(description="Sender of all letters.")] = "MarkItUp hosting <hosting@markitup.io>"
    alerts_to: Annotated[
        str | None,
        Field(description="Address that alerts are sent to; without one they are in the log and in `hosting why`."),
    ] = None
    ca_file: Annotated[
        Path | None, Field(description="Roots that instances' certificates are checked with (demo).")
    ] = None
    registry_branch: Annotated[
        str | None,
        Field(description="Branch that the registry's commits go to; by default the one checked out."),
    ] = None
    registry_remote: Annotated[
        Annotated[str, AfterValidator(_remote)] | None,
        Field(
            description="Git remote (name or URL) that the registry is shared through; without one it is only here.",
            json_schema_extra=_fix("name it as `git remote` does; a token goes into HOSTING_GITHUB_TOKEN."),
        ),
    ] = None
    github_token: Annotated[
        SecretStr | None,
        Field(
            description="GitHub's token (contents and pull requests: write); git over https uses it too.",
            json_schema_extra=_fix("make a fine-grained token at GitHub for that repository."),
        ),
    ] = None
    github_url: Annotated[str | None, Field(description="API of a GitHub Enterprise Server (https://host/api/v3).")] = (
        None
    )
    github_repository: Annotated[
        Annotated[str, AfterValidator(_repository)] | None,
        Field(
            description="The remote's repository at GitHub, owner/name: proposals become pull requests there;"
            " without it they are plain branches.",
            json_schema_extra=_fix("copy it from the repository's address."),
        ),
    ] = None


def read_service_settings() -> ServiceSettings:
    """Return the settings from the environment.

    Raises:
        SettingsError: naming every variable that is missing or wrong, its meaning and the fix; never a value.
    """
    try:
        return ServiceSettings()  # pyright: ignore[reportCallIssue] - the environment has the arguments
    except ValidationError as error:
        message = _explain(error)
    raise SettingsError(message)


def read_database_settings() -> DatabaseSettings:
    """Return where the database is, from the environment.

    Raises:
        SettingsError: the URL is no database's that this program knows.
    """
    try:
        return DatabaseSettings()  # pyright: ignore[reportCallIssue] - the same
    except ValidationError as error:
        message = _explain(error)
    raise SettingsError(message)


def _explain(error: ValidationError) -> str:
    lines = ["The control service does not start; these environment variables are missing or wrong:"]
    for item in error.errors(include_url=False, include_input=False):
        name = str(item["loc"][0])
        field = ServiceSettings.model_fields[name]
        fix = (
            field.json_schema_extra["fix"]
            if isinstance(field.json_schema_extra, dict)
            else "set another value, or leave it away."
        )
        reason = "is missing" if item["type"] == "missing" else item["msg"].removeprefix("Value error, ")
        lines.append(f"  {PREFIX}{name.upper()}: {reason}. Meaning: {field.description} Fix: {fix}")
    return "\n".join(lines)
