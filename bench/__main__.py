"""``python -m bench``: measure, write bench/results.json, print a table."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.registry import measure

RESULTS = Path(__file__).parent / "results.json"


def main() -> None:
    """Run all measurements."""
    rows = measure()
    machine = {"cpus": os.cpu_count(), "python": platform.python_version()}
    RESULTS.write_text(json.dumps({"machine": machine, "registry": rows}, indent=2) + "\n")
    table = Table(title=f"Registry (ms, medians; {machine['cpus']} CPUs, Python {machine['python']})")
    for column in rows[0]:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*map(str, row.values()))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    print(f"written to {RESULTS.relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
