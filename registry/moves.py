"""Notices that somebody else moved the branch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Moved:
    """Somebody else moved the branch: a merged proposal, a commit by hand.

    Attributes:
        before: Commit that was dealt with last.
        after: Commit that it is at; own edits in between are included.
    """

    before: str
    after: str


class Moves:
    """Where the branch was when this process looked or committed last."""

    def __init__(self) -> None:
        self._seen: str | None = None
        self._before: str | None = None

    def look(self, head: str) -> None:
        """Take notice of where the branch is."""
        if self._seen is not None and self._seen != head and self._before is None:
            self._before = self._seen
        self._seen = head

    def own(self, commit: str) -> None:
        """Take notice of a commit that this process made: nothing to tell it."""
        self._seen = commit

    def take(self, head: str, since: str | None) -> Moved | None:
        """Return what was noticed, once."""
        self.look(head)
        before, self._before = since or self._before, None
        return None if before is None or before == head else Moved(before=before, after=head)
