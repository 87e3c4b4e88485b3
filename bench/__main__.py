"""``python -m bench``: measure, write bench/results.json, print tables."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.registry import measure as measure_registry
from bench.webhook.measure import measure as measure_webhook

RESULTS = Path(__file__).parent / "results.json"
MEASUREMENTS = {"registry": measure_registry, "webhook": measure_webhook}


def main(names: list[str]) -> None:
    """Run the measurements of these names, or all; others' results stay as they are."""
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if names and RESULTS.exists() else {}
    results["machine"] = {"cpus": os.cpu_count(), "python": platform.python_version()}
    for name in names or MEASUREMENTS:
        results[name] = MEASUREMENTS[name]()
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    console = Console(width=None if sys.stdout.isatty() else 160)
    machine = f"{os.cpu_count()} CPUs, Python {platform.python_version()}"
    if "registry" in results:
        console.print(_table(f"Registry (ms, medians; {machine})", results["registry"]))
    if "webhook" in results:
        webhook = results["webhook"]
        console.print(_table(f"Webhook (ms, p50/p95/p99; {machine})", _webhook_rows(webhook)))
        console.print(f"limits {webhook['limits']}: {'met' if webhook['met'] else 'not met'}")
    print(f"written to {RESULTS.relative_to(Path.cwd())}")


def _webhook_rows(webhook: Mapping[str, Any]) -> Iterable[Mapping[str, object]]:
    for database, figures in webhook["databases"].items():
        for beside in ("alone", "beside_updates"):
            for row in figures[beside]:
                yield {
                    "database": database,
                    "updates": "none" if beside == "alone" else f"{len(figures['updates_seconds'])} beside",
                    "connections": row["connections"],
                    "events/s": row["rate"] or "all it takes",
                    "empty route": "/".join(map(str, row["empty"].values())),
                    "event": "/".join(map(str, row["event"].values())),
                    "ratio": row["ratio"],
                    "one flush": row["flush_p50"],
                    "memory MB": figures["resident_mb"],
                }


def _table(title: str, rows: Iterable[Mapping[str, object]]) -> Table:
    table = Table(title=title)
    listed = list(rows)
    for column in listed[0]:
        table.add_column(column, justify="right")
    for row in listed:
        table.add_row(*map(str, row.values()))
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"what to measure, all if none: {', '.join(MEASUREMENTS)}"
    )
    chosen = parser.parse_args().names
    if unknown := set(chosen) - set(MEASUREMENTS):
        parser.error(f"{', '.join(sorted(unknown))}: there is {', '.join(MEASUREMENTS)}")
    main(chosen)
