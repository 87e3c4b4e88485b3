"""Which commits of the registry are about a customer, and whose a name once was. Reads only; no network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from git import InvalidGitRepositoryError, Repo

_FIELD, _END = "\x1f", "\x1e"
_TRAILER = "%(trailers:key={},valueonly,separator=%x20)"
_FORMAT = "%x1f".join(("%H", "%aI", "%s", *map(_TRAILER.format, ("Actor", "Cause", "Customer")))) + "%x1e"


@dataclass(frozen=True, kw_only=True)
class RegistryCommit:
    """A commit about a customer.

    Attributes:
        id: Its hash.
        at: When it was made.
        summary: What and why, a line.
        actor: Who did it: a person's login, ``stripe``, ``portal``; empty where nobody said so.
        cause: Event or request that made it necessary; empty where there was none.
        customer_id: About whom.
    """

    id: str
    at: datetime
    summary: str
    actor: str
    cause: str
    customer_id: str


def commits_about(path: Path, customer_id: str) -> list[RegistryCommit]:
    """Return a customer's commits, the oldest first; none where the file is in no git repository."""
    found = _log(path, "--fixed-strings", f"--grep=Customer: {customer_id}")
    return [each for each in reversed([*found]) if each.customer_id == customer_id]


def last_owner(path: Path, subdomain: str) -> str | None:
    """Return the customer whose entry had a name last; None where nobody's commit says so.

    Args:
        path: The registry's file.
        subdomain: A valid one: letters, digits and hyphens.
    """
    whose = (each.customer_id for each in _log(path, f"-Gsubdomain: {subdomain}( |$)") if each.customer_id)
    return next(whose, None)


def _log(path: Path, *choice: str) -> Iterator[RegistryCommit]:
    try:
        repo = Repo(path, search_parent_directories=True)
    except InvalidGitRepositoryError:
        return
    with repo:
        text = str(repo.git.log(f"--format={_FORMAT}", *choice, "--", str(path.resolve())))
    for record in text.split(_END):
        if record.strip():
            commit, at, summary, actor, cause, customer_id = record.strip("\n").split(_FIELD)
            yield RegistryCommit(
                id=commit,
                at=datetime.fromisoformat(at),
                summary=summary,
                actor=actor,
                cause=cause,
                customer_id=customer_id,
            )
