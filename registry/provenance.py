"""Why a commit of the registry was made."""

from __future__ import annotations

from dataclasses import dataclass

MADE_AGAIN = "Formerly"
"""Trailer of a commit that takes the place of another one, which was made on an older text."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Who changed what and why: becomes the commit's message and its trailers.

    Attributes:
        summary: First line, such as ``Suspend c-7k2m9qab``.
        customer_id: Whom it is about.
        actor: Who did it: a person's login, ``stripe``, ``portal``.
        cause: Event or request that made it necessary, if any.
    """

    summary: str
    customer_id: str
    actor: str
    cause: str | None = None

    def message(self) -> str:
        """Return the commit message."""
        trailers = {"Customer": self.customer_id, "Actor": self.actor, "Cause": self.cause}
        lines = [f"{key}: {_one_line(value)}" for key, value in trailers.items() if value]
        return f"{_one_line(self.summary)}\n\n" + "\n".join(lines) + "\n"


def _one_line(value: str) -> str:
    return " ".join(value.split())
