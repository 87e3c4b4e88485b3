"""What commands print: progress and refusals to standard error, results to standard output."""

from __future__ import annotations

import json
import sys

import typer
from rich.console import Console

from scripts.context import Context
from scripts.report import WIDE

results = Console(width=None if sys.stdout.isatty() else WIDE)
progress = Console(stderr=True, highlight=False, soft_wrap=True)


def context_of(command: typer.Context) -> Context:
    """Return the environment that the command works on."""
    return command.obj()


def say(line: str) -> None:
    """Print a line of progress."""
    progress.print(line, markup=False)


def print_json(data: object) -> None:
    """Print data for programs."""
    json.dump(data, sys.stdout, indent=2)
    sys.stdout.write("\n")


def refuse(message: str) -> typer.Exit:
    """Print why a command is refused; raise the result."""
    progress.print(message, style="red", markup=False)
    return typer.Exit(1)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before anything is lost; without a terminal only ``--yes`` will do.

    Raises:
        typer.Exit: the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise refuse(f"{question}\nNobody is here to answer. Fix: say --yes.")
    if not typer.confirm(question, err=True):
        raise refuse("Nothing was changed.")
