"""Registries in git repositories, and processes that edit them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

from registry.cells import Cell
from registry.customers import Registry
from registry.edits import update
from registry.store import Provenance, RegistryStore, Remote

ROOT = Path(__file__).parents[2]
DOMAIN = "markitup.io"
TODAY = date(2026, 1, 15)
TEXT = """\
customers:
  # The first.
  c-one:
    subdomain: acme
    plan: team
    status: active  # since 2025
    cell: eu-1
  c-two:
    subdomain: birch
    plan: personal
    status: active
    cell: eu-1
"""
EDITOR = """\
import os, signal, sys
from datetime import date
from pathlib import Path
from registry.cells import Cell
from registry.customers import Customer
from registry.edits import add, update
from registry.store import Provenance, RegistryStore, Remote
cells = {"eu-1": Cell(region="eu", location="nbg1", server_types=("cx43",))}
store = RegistryStore(
    Path(sys.argv[1]), cells=cells, domain="markitup.io", clock=lambda: date(2026, 1, 15),
    remote=Remote(address=sys.argv[3]) if sys.argv[3:] else None,
)
def why(customer_id):
    return Provenance(summary=f"Edit {customer_id}", customer_id=customer_id, actor=f"process-{sys.argv[2]}")
def die(*arguments, **keywords):
    os.kill(os.getpid(), signal.SIGKILL)
"""
"""A program's beginning: another process that edits the registry."""


def git(folder: Path, *arguments: str) -> str:
    """Run git as a person and return what it prints."""
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    return subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True, encoding="utf-8"
    ).stdout


def begin(folder: Path) -> Path:
    """Return a registry that is committed in a git repository of its own, beside another file."""
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "customers.yaml").write_text(TEXT, encoding="utf-8")
    (folder / "notes.txt").write_text("one\n", encoding="utf-8")
    (folder / ".gitignore").write_text(".customers.yaml.lock\n", encoding="utf-8")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "Begin")
    return folder / "customers.yaml"


def opened(
    path: Path,
    cells: Mapping[str, Cell],
    *,
    remote: Remote | None = None,
    branch: str | None = None,
    said: list[str] | None = None,
) -> RegistryStore:
    """Return a store for a file; what it reports goes to a list."""
    report = ([] if said is None else said).append
    return RegistryStore(
        path, cells=cells, domain=DOMAIN, clock=lambda: TODAY, remote=remote, branch=branch, report=report
    )


def why(summary: str = "Change c-one", *, customer_id: str = "c-one", cause: str | None = None) -> Provenance:
    """Return who did it."""
    return Provenance(summary=summary, customer_id=customer_id, actor="stripe", cause=cause)


def field(customer_id: str = "c-one", **changes: object) -> Callable[[str, Registry], str]:
    """Return the operation that changes fields of a customer, the first unless told."""
    return lambda text, _: update(text, customer_id, **changes)


def log(path: Path) -> list[str]:
    """Return the first lines of the commits, newest first."""
    return git(path.parent, "log", "--format=%s").splitlines()


def committed(path: Path, commit: str = "HEAD") -> str:
    """Return the registry as a commit has it."""
    return git(path.parent, "show", f"{commit}:customers.yaml")


def run(path: Path, program: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start another process that edits the registry; its name, and its remote's, may be given."""
    return subprocess.Popen(
        [sys.executable, "-c", EDITOR + program, str(path), *(arguments or ("1",))],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
