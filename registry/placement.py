"""Which cell a new customer goes to: pure, deterministic, and never a reason to move anyone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from registry.cells import Cell, Load, capacity
from registry.customers import Registry
from registry.errors import PlacementError
from registry.plans import PLANS


def loads(registry: Registry, cells: Mapping[str, Cell]) -> dict[str, Load]:
    """Return what each cell has promised. Suspended customers count: they may be back tomorrow."""
    result = dict.fromkeys(cells, Load())
    for (cell, plan), count in Counter((entry.cell, entry.plan) for entry in registry.customers.values()).items():
        if cell in result:
            result[cell] = result[cell].plus(PLANS[plan], count=count)
    return result


def place(*, plan: str, region: str | None, registry: Registry, cells: Mapping[str, Cell]) -> str:
    """Return the cell for one more customer: the fullest that still has room, by name where equal.

    Filling one cell before the next keeps the last server free for a plan upgrade and the number of servers low.

    Raises:
        PlacementError: nothing fits; names what to add.
    """
    wanted = {name: cell for name, cell in cells.items() if region is None or cell.region == region}
    if not wanted:
        known = ", ".join(sorted({cell.region for cell in cells.values()}))
        msg = f"There is no cell in region `{region}` (regions: {known}). Fix: add a cell there to hosting:cells."
        raise PlacementError(msg)
    used = loads(registry, cells)
    refusals: list[str] = []
    fits: list[tuple[float, str]] = []
    for name, cell in wanted.items():
        room = capacity(cell)
        over = used[name].plus(PLANS[plan]).exceeds(room)
        if over:
            refusals.append(f"{name}: {', '.join(over)}")
        else:
            fits.append((-used[name].memory_mib / room.memory_mib, name))
    if not fits:
        where = f" in region `{region}`" if region else ""
        msg = (
            f"No cell{where} has room for a {plan} customer ({'; '.join(sorted(refusals))})."
            f" Fix: add a cell{where} to hosting:cells, then `hosting up`."
        )
        raise PlacementError(msg)
    return min(fits)[1]
