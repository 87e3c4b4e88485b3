"""The plans, read once from plans.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

import yaml
from pydantic import BaseModel, ConfigDict, Field


class Plan(BaseModel):
    """What a plan gives and costs.

    Attributes:
        memory_mib: Memory limit in MiB.
        cpus: CPU limit in cores.
        storage_gib: Storage limit in GiB.
        users: Most users of one instance.
        monthly_cents: Price a month in US cents.
        yearly_cents: Price a year in US cents.
        custom_domain: Whether a domain of the customer's own is part of it.
        features: What the pricing page lists.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    memory_mib: int = Field(gt=0)
    cpus: float = Field(gt=0)
    storage_gib: int = Field(gt=0)
    users: int = Field(gt=0)
    monthly_cents: int = Field(gt=0)
    yearly_cents: int = Field(gt=0)
    custom_domain: bool
    features: tuple[str, ...]


def _read() -> Mapping[str, Plan]:
    data = yaml.safe_load((files("registry") / "plans.yaml").read_text(encoding="utf-8"))
    return MappingProxyType({name: Plan(name=name, **values) for name, values in data.items()})


PLANS: Mapping[str, Plan] = _read()
"""Plan name to plan, smallest first."""
