"""A customer's entry, and the registry of them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

CUSTOMER_ID = r"^[a-z][a-z0-9_-]{1,39}$"
QUARANTINE_DAYS = 90
"""Days for which the name of a deleted customer stays taken (issue 3)."""


class Status(StrEnum):
    """Where a customer is in its life; decides what is declared for it."""

    PENDING = "pending"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    DELETING = "deleting"
    PURGING = "purging"


RUNNING = frozenset({Status.PENDING, Status.ACTIVE})
"""Statuses with a container."""
LEAVING = frozenset({Status.DELETING, Status.PURGING})
"""Statuses with a last day."""


class Customer(BaseModel):
    """One entry of ``customers.yaml``; holds no personal data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subdomain: Annotated[
        str, Field(description="First label of the instance's address; 3-40 of a-z, 0-9, inner hyphens.")
    ]
    plan: Annotated[
        Literal["personal", "team", "pro"], Field(description="Plan; limits and prices are in registry/plans.yaml.")
    ]
    status: Annotated[
        Status,
        Field(
            description="pending: being set up. active: running. suspended: no container, data kept."
            " deleting: the same, until delete_after. purging: everything but the data is gone, which goes next."
        ),
    ]
    cell: Annotated[
        str, Field(description="Cell (server) that it lives on; chosen at sign-up, never changed by itself.")
    ]
    stripe_customer: Annotated[
        str | None, Field(pattern=r"^cus_[A-Za-z0-9_]{1,200}$", description="Stripe's id of the customer.")
    ] = None
    stripe_subscription: Annotated[
        str | None, Field(pattern=r"^sub_[A-Za-z0-9_]{1,200}$", description="Stripe's id of the subscription.")
    ] = None
    domain: Annotated[str | None, Field(description="Host name of the customer's own (plan pro).")] = None
    ring: Annotated[
        Literal["canary", "early", "stable"], Field(description="How early it gets a new version of the app.")
    ] = "stable"
    region: Annotated[Literal["eu", "us", "asia"] | None, Field(description="Region asked for at sign-up.")] = None
    delete_after: Annotated[
        date | None, Field(description="Last day of the grace period (status deleting, purging).")
    ] = None


FIELDS = tuple(Customer.model_fields)
"""Field names in the order in which they are written."""


@dataclass(frozen=True, kw_only=True)
class Registry:
    """The whole file, checked.

    Attributes:
        customers: Customer id to entry, in the file's order.
        quarantine: Subdomain to the last day on which it is still taken.
    """

    customers: Mapping[str, Customer]
    quarantine: Mapping[str, date] = field(default_factory=dict)
