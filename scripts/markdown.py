"""Values within Markdown: in code, where nothing of them is read as Markdown, HTML, a link or a mention."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

MOST_CHARACTERS = 18_000
"""Of one table or block; GitHub refuses comments of more than 65,536, and a review has three."""


def code(value: str) -> str:
    """Return a value as code in one line, also within a table."""
    # Whether a backslash before a pipe holds a table together depends on the backslashes before it.
    text = printable(value).replace("|", f"\\u{ord('|'):04x}")
    fence = "`" * (_longest_run(text) + 1)
    space = " " if not text or text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def block(lines: Iterable[str]) -> list[str]:
    """Return lines as a block of code that none of them can end."""
    shown = fitting([printable(each) for each in lines])
    fence = "`" * max(3, max((_longest_run(each) for each in shown), default=0) + 1)
    return [f"{fence}text", *shown, fence, ""]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table; its cells are Markdown."""
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head))]
    return [*lines, *fitting([f"| {' | '.join(row)} |" for row in rows]), ""]


def fitting(lines: Sequence[str]) -> list[str]:
    """Return the lines that there is room for, and how many are left out."""
    kept: list[str] = []
    room = MOST_CHARACTERS
    for each in lines:
        room -= len(each) + 1
        if room < 0:
            return [*kept, f"... and {len(lines) - len(kept)} more: --json has all"]
        kept.append(each)
    return kept


def printable(value: str) -> str:
    """Return one line in which every character is seen: none turns the line around or hides in it."""
    line = " ".join(value.split())
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in line)


def _longest_run(text: str) -> int:
    return max((len(each) for each in re.findall("`+", text)), default=0)
