"""Whether an instance is gone, seen on its cell's Engine; what the registry says is not asked."""

from __future__ import annotations

from webhook.cell_engine import CellEngine


def has_container(engine: CellEngine, *, cell: str, customer_id: str) -> bool:
    """Whether there is a container of a customer on a cell, running or not.

    Raises:
        EngineError: the Engine can't be asked.
    """
    labels = (f"label=markitup.customer={customer_id}", f"label=markitup.cell={cell}")
    return bool(engine.run("ps", "--all", "--quiet", *(word for each in labels for word in ("--filter", each))).strip())
