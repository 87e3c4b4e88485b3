"""Settings of the control server and its service: ``hosting:control``."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

SERVICE_PREFIX = "HOSTING_"
"""Variables that begin so are the service's own; others are the engine's."""
WORKERS_ONLY = ("HOSTING_GITHUB_", "HOSTING_REGISTRY_", "HOSTING_SMTP_")
"""Of the service's own, those with which commits are pushed and letters sent."""


class ControlSettings(BaseModel):
    """Where the control service runs, and as what. Descriptions become the configuration reference."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    location: Annotated[Literal["nbg1", "fsn1", "hel1", "ash", "hil", "sin"], Field(description="Hetzner location.")]
    server_types: Annotated[
        tuple[str, ...], Field(min_length=1, description="Sizes to order, best first; the first to be had is taken.")
    ]
    image: Annotated[str, Field(description="The control service's image, pinned; built from images/control.")]
    database_image: Annotated[
        str, Field(description="Postgres image, pinned; of the major version whose `pg_dump` images/control has.")
    ] = "postgres:15.14-bookworm"
    repository: Annotated[
        str,
        Field(
            description="Address of the git repository with the registry and the stack file, for the workers' SSH key."
        ),
    ]
    workers: Annotated[int, Field(ge=1, le=8, description="Worker containers.")] = 1
    environment: Annotated[
        dict[Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")], str],
        Field(
            description="Plain environment variables: `HOSTING_...` for web and workers (docs/control-service.md; those"
            " for git, GitHub and mail for the workers), others for the workers, and `AWS_...` for the backups too."
        ),
    ] = {}
    web_memory_mib: Annotated[int, Field(ge=128, description="Memory limit of the web container in MiB.")] = 256
    worker_memory_mib: Annotated[int, Field(ge=512, description="Memory limit of a worker in MiB.")] = 2_048
    database_memory_mib: Annotated[int, Field(ge=256, description="Memory limit of Postgres in MiB.")] = 1_024
    docker_host: Annotated[
        str | None, Field(description="Docker Engine; default: ssh://markitup@ the server's address.")
    ] = None
    http_port: Annotated[int, Field(gt=0, lt=65_536, description="Published for HTTP.")] = 80
    https_port: Annotated[int, Field(gt=0, lt=65_536, description="Published for HTTPS.")] = 443
    private_port: Annotated[
        int, Field(gt=0, lt=65_536, description="Where the cells ask, at the private address; see `control_url`.")
    ] = 8_300

    @field_validator("repository")
    @classmethod
    def _without_secret(cls, value: str) -> str:
        if has_secret(value):
            msg = "has a password or token in it, which would be committed here; the workers have an SSH key"
            raise ValueError(msg)
        return value

    @field_validator("image", "database_image")
    @classmethod
    def _pinned(cls, value: str) -> str:
        return check_pinned(value)


def reaches_web(variable: str) -> bool:
    """Whether the process that answers strangers gets an environment variable."""
    return variable.startswith(SERVICE_PREFIX) and not variable.startswith(WORKERS_ONLY)


def has_secret(address: str) -> bool:
    """Whether a git remote's address has a password or token in it: in https a login's name is one as often as not."""
    parts = urlsplit(address) if "://" in address else None
    return parts is not None and (
        parts.password is not None or (parts.scheme in {"http", "https"} and parts.username is not None)
    )


def check_pinned(value: str) -> str:
    """Return an image's reference.

    Raises:
        ValueError: it may name another image tomorrow.
    """
    name = value.rsplit("/", 1)[-1]
    if "@sha256:" not in value and (":" not in name or name.endswith(":latest")):
        msg = "must be pinned by a tag other than `latest`, or by a digest"
        raise ValueError(msg)
    return value
