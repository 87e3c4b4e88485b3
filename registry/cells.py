"""Cells: one server each, and how much it can hold."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from registry.plans import Plan

SMALLEST_SUBNET = 25
"""Longest prefix of a tenants network: half of it, 64 addresses, serves 50 customers and their replacements."""


class Cell(BaseModel):
    """One server and its capacity; the defaults describe the reference size (8 vCPU, 16 GB, 240 GB).

    Over-commit factors say how many times a resource may be promised. An idle instance uses 123 MiB of the
    512 to 2,048 MiB it may use (FACTS, measured), and a wiki's CPU is idle nearly always: 3 and 8 let the
    reference size hold 30 to 50 instances of a usual mix, which is the company's own figure. Few customers
    come near their storage limit; 2 keeps a cell that fills up visible before it is full.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    region: Annotated[Literal["eu", "us", "asia"], Field(description="Region that customers choose.")]
    location: Annotated[Literal["nbg1", "fsn1", "hel1", "ash", "hil", "sin"], Field(description="Hetzner location.")]
    server_types: Annotated[
        tuple[str, ...], Field(min_length=1, description="Sizes to order, best first; the first to be had is taken.")
    ]
    memory_mib: Annotated[int, Field(gt=0, description="Memory of the server in MiB.")] = 16_384
    cpus: Annotated[float, Field(gt=0, description="Cores of the server.")] = 8.0
    storage_gib: Annotated[int, Field(gt=0, description="Disk of the server in GiB.")] = 240
    reserved_memory_mib: Annotated[int, Field(ge=0, description="Memory kept for the system, in MiB.")] = 1_536
    memory_overcommit: Annotated[float, Field(ge=1)] = 3.0
    cpu_overcommit: Annotated[float, Field(ge=1)] = 8.0
    storage_overcommit: Annotated[float, Field(ge=1)] = 6.0
    max_customers: Annotated[int, Field(gt=0, le=50, description="Most customers, whatever their plans.")] = 50
    subnet: Annotated[str, Field(description="Tenants network, private, at least a /25.")] = "172.30.0.0/24"
    docker_host: Annotated[
        str | None, Field(description="Docker Engine; default: ssh://markitup@ the server's address.")
    ] = None
    http_port: Annotated[int, Field(gt=0, lt=65_536)] = 80
    https_port: Annotated[int, Field(gt=0, lt=65_536)] = 443

    @model_validator(mode="after")
    def _subnet_is_usable(self) -> Self:
        network = IPv4Network(self.subnet)
        if not network.is_private or network.prefixlen > SMALLEST_SUBNET:
            msg = f"subnet {self.subnet} must be private and at least a /{SMALLEST_SUBNET}"
            raise ValueError(msg)
        return self


class Load(BaseModel):
    """What is promised to customers, or can be."""

    model_config = ConfigDict(frozen=True)

    customers: int = 0
    memory_mib: int = 0
    cpus: float = 0.0
    storage_gib: int = 0

    def plus(self, plan: Plan, *, count: int = 1) -> Load:
        """Return the load with more customers of a plan."""
        return Load(
            customers=self.customers + count,
            memory_mib=self.memory_mib + count * plan.memory_mib,
            cpus=self.cpus + count * plan.cpus,
            storage_gib=self.storage_gib + count * plan.storage_gib,
        )

    def exceeds(self, capacity: Load) -> tuple[str, ...]:
        """Return what of it is more than the capacity, with both figures."""
        pairs = (
            ("customers", self.customers, capacity.customers, ""),
            ("memory", self.memory_mib, capacity.memory_mib, " MiB"),
            ("CPU", self.cpus, capacity.cpus, " cores"),
            ("storage", self.storage_gib, capacity.storage_gib, " GiB"),
        )
        return tuple(f"{name} {used:g} of {limit:g}{unit}" for name, used, limit, unit in pairs if used > limit)


def capacity(cell: Cell) -> Load:
    """Return what a cell can promise: its size without the reserve, times the over-commit factors."""
    return Load(
        customers=cell.max_customers,
        memory_mib=int((cell.memory_mib - cell.reserved_memory_mib) * cell.memory_overcommit),
        cpus=cell.cpus * cell.cpu_overcommit,
        storage_gib=int(cell.storage_gib * cell.storage_overcommit),
    )
