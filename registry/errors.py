"""What can be wrong with the registry, said so that a person can mend it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        path: Where, as ``customers/acme/domain``.
        reason: What is wrong.
        fix: The edit or command that mends it.
        line: Line of the file, from 1, where known.
    """

    path: str
    reason: str
    fix: str
    line: int | None = None

    def __str__(self) -> str:
        where = self.path if self.line is None else f"{self.path} (line {self.line})"
        return f"{where}: {self.reason}. Fix: {self.fix}"


class RegistryError(Exception):
    """The registry is refused as a whole; nothing was changed or declared."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"The registry is refused as a whole ({count}); nothing is changed:\n{lines}")

    def __reduce__(self) -> tuple[type[RegistryError], tuple[tuple[Problem, ...]]]:
        """Have copies made of the problems and not of the text: a worker that goes on with another's work reads one."""
        return type(self), (self.problems,)


class PlacementError(Exception):
    """No cell has room for a customer; the message names what to add."""
