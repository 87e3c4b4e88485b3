"""Settings of the control service, from environment variables ``HOSTING_*``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Where the control service finds what it needs; each field is a variable ``HOSTING_<NAME>``."""

    model_config = SettingsConfigDict(env_prefix="HOSTING_", frozen=True, extra="ignore")

    settings_file: Annotated[Path, Field(description="The environment's stack file, such as Pulumi.prod.yaml.")] = Path(
        "Pulumi.prod.yaml"
    )
