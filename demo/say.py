"""What the demo says while it works."""

from __future__ import annotations

import sys
import time

from rich.console import Console

_console = Console(highlight=False, soft_wrap=True)
_start = time.monotonic()


def say(line: str) -> None:
    """Print a line with the seconds since the start."""
    _console.print(f"[dim]{time.monotonic() - _start:6.1f} s[/dim]  {line}")
    sys.stdout.flush()
