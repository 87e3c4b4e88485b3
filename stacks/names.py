"""Names that the stacks, the deploy code and the local cloud must agree on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

PROJECT = "hosting"
CONTROL = "control"
"""What stands in a cell's place in the name of the control service's stack; no cell has this name."""
ORGANIZATION = "organization"
"""The only organization that file and S3 backends know."""


@dataclass(frozen=True, kw_only=True)
class StackName:
    """A stack's name taken apart: ``prod`` is a platform, ``prod-eu-1`` the cell ``eu-1`` of it.

    ``prod-control`` is the control service's; wherever stacks are updated it is one more beside the cells.
    """

    environment: str
    cell: str | None

    @classmethod
    def parse(cls, name: str) -> StackName:
        """Take ``<environment>`` or ``<environment>-<cell>`` apart; an environment has no hyphen."""
        environment, _, cell = name.partition("-")
        return cls(environment=environment, cell=cell or None)

    def __str__(self) -> str:
        return self.environment if self.cell is None else f"{self.environment}-{self.cell}"

    @property
    def platform(self) -> StackName:
        """The platform that this stack builds on."""
        return StackName(environment=self.environment, cell=None)

    @property
    def qualified(self) -> str:
        """The name as a ``StackReference`` wants it."""
        return f"{ORGANIZATION}/{PROJECT}/{self}"


@dataclass(frozen=True, kw_only=True)
class CellNetwork:
    """Names and addresses of a cell's networks; the firewall rules on the server are made from the same."""

    tenants_name: str
    edge_name: str
    bridge: str
    subnet: str
    gateway: str
    caddy_address: str
    tenant_range: str

    @classmethod
    def of(cls, cell: str, subnet: str) -> CellNetwork:
        """Lay out a cell's subnet: gateway first, Caddy second, tenants in the upper half."""
        network = IPv4Network(subnet)
        hosts = network.hosts()
        _, upper = network.subnets()
        return cls(
            tenants_name=f"tenants-{cell}",
            edge_name=f"edge-{cell}",
            bridge=f"mku-{cell}",
            subnet=str(network),
            gateway=str(next(hosts)),
            caddy_address=str(next(hosts)),
            tenant_range=str(upper),
        )


def volume_name(cell: str, customer_id: str) -> str:
    """Docker's name of a customer's data volume."""
    return f"markitup-{cell}-{customer_id}"


def cell_labels(stack: StackName) -> Mapping[str, str]:
    """Docker labels that everything of a cell carries."""
    return {"managed-by": "pulumi", "markitup.stack": str(stack), "markitup.cell": str(stack.cell)}


def control_labels(stack: StackName) -> Mapping[str, str]:
    """Docker labels that everything of the control service carries."""
    return {"managed-by": "pulumi", "markitup.stack": str(stack)}
