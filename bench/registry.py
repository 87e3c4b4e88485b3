"""How long the registry takes, from 100 to 10,000 customers."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import median

from git import Actor, Repo

from registry import edits
from registry.cells import Cell
from registry.document import _parse, _scan  # pyright: ignore[reportPrivateUsage] - both ways side by side
from registry.load import parse
from registry.store import Provenance, RegistryStore

SIZES = (100, 1_000, 10_000)
PER_CELL = 40
TODAY = date(2026, 11, 24)
REPEATS = 7


def registry_text(customers: int) -> str:
    """Return a registry of personal customers, as the service writes them."""
    entries = (
        f"  c-{number:08d}:\n    subdomain: wiki-{number:06d}\n    plan: personal\n    status: active\n"
        f"    cell: eu-{number // PER_CELL + 1}\n    stripe_customer: cus_{number:08d}\n"
        f"    stripe_subscription: sub_{number:08d}\n"
        for number in range(customers)
    )
    return "customers:\n" + "".join(entries)


def cells_for(customers: int) -> dict[str, Cell]:
    """Return enough cells."""
    return {
        f"eu-{number + 1}": Cell(region="eu", location="nbg1", server_types=("cx43",))
        for number in range(-(-customers // PER_CELL))
    }


def measure() -> list[dict[str, object]]:
    """Return one row a size; times in milliseconds, medians."""
    return [_row(size) for size in SIZES]


def _row(size: int) -> dict[str, object]:
    text, cells = registry_text(size), cells_for(size)
    scan, yaml_ = _milliseconds(lambda: _scan(text)), _milliseconds(lambda: _parse(text), repeats=3)
    validate = _milliseconds(lambda: parse(text, cells=cells, domain="markitup.io", today=TODAY), repeats=3)
    first, edit = _edits(text, cells)
    return {
        "customers": size,
        "validate_ms": validate,
        "first_edit_ms": first,
        "edit_ms": edit,
        "scan_ms": scan,
        "yaml_ms": yaml_,
        "yaml_to_scan": round(yaml_ / scan, 1),
    }


def _edits(text: str, cells: dict[str, Cell]) -> tuple[float, float]:
    """Return the time of the first edit of a process (it checks everything) and of those after it, commit included."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "customers.yaml"
        path.write_text(text)
        actor = Actor("bench", "bench@localhost")
        with Repo.init(folder) as repo:
            repo.index.add(["customers.yaml"])
            repo.index.commit("Start", author=actor, committer=actor)
        store = RegistryStore(path, cells=cells, domain="markitup.io", clock=lambda: TODAY)
        ids = iter(f"c-{number:08d}" for number in range(50))

        def edit() -> None:
            customer_id = next(ids)
            provenance = Provenance(summary=f"Suspend {customer_id}", customer_id=customer_id, actor="bench")
            store.edit(lambda before, _: edits.update(before, customer_id, status="suspended"), provenance)

        return _milliseconds(edit, repeats=1), _milliseconds(edit)


def _milliseconds(work: Callable[[], object], repeats: int = REPEATS) -> float:
    times: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1_000)
    return round(median(times), 1)
