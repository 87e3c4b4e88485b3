"""An edit that a person has to agree to: commits on a branch of its own, made without touching the one checked out.

Such a branch only ever goes forward. Where its edit is out of date, a commit that joins it with the present branch
puts it right, so that nobody's work on it can be lost and an open pull request stays the same one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from registry.errors import Problem, RegistryError
from registry.history import History
from registry.remote import INCOMING, PROPOSALS, RemoteError, Wire

_NAME = re.compile(PROPOSALS + r"[a-z0-9][a-z0-9_-]{0,100}")


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """An edit that waits on a branch to be merged.

    Attributes:
        branch: Its name, ``hosting/<customer>-<kind>``.
        commit: What it is at.
        is_new: Whether this call made it or put it right.
        is_pushed: Whether the remote has it; True where there is none. To be proposed again while it is not.
        is_theirs: Whether somebody else committed on it, so that it was left as it is.
    """

    branch: str
    commit: str
    is_new: bool
    is_pushed: bool = True
    is_theirs: bool = False


class Proposals:
    """The proposals' branches of one clone, and of its remote."""

    def __init__(self, history: History, wire: Wire | None, report: Callable[[str], None]) -> None:
        self._history = history
        self._wire = wire
        self._report = report

    def put(self, branch: str, text: str, message: str) -> Proposal:
        """Bring a branch to where merging it makes the file this text.

        Args:
            branch: Its name.
            text: The file as the present branch would have it after the merge; it differs from the present one.
            message: Of the commit.

        Raises:
            RegistryError: the branch is the one checked out.
        """
        history = self._history
        self._refuse_present(branch)
        tip = self._tip(branch)
        if tip is not None and not history.is_ours(tip):
            self._report(f"{branch} is left as it is: somebody else committed on it. Fix: merge or delete it")
            return Proposal(branch=branch, commit=tip, is_new=False, is_theirs=True)
        if tip is not None and history.merged(tip) == text:
            commit = tip
        else:
            joined = [] if tip is None or history.contains(tip) else [tip]
            commit = history.make(text, message, [history.head(), *joined])
        history.point(f"refs/heads/{branch}", commit)
        is_pushed = self._push(branch, commit)
        return Proposal(branch=branch, commit=commit, is_new=commit != tip, is_pushed=is_pushed)

    def drop(self, branch: str) -> bool:
        """Delete a branch, here and there; return False where it has to stay for now (reported).

        Raises:
            RegistryError: the branch is the one checked out.
        """
        self._refuse_present(branch)
        tip = self._tip(branch)
        if tip is not None and not self._history.is_ours(tip):
            self._report(f"{branch} is left as it is: somebody else committed on it. Fix: merge or delete it")
            return False
        if self._wire is not None:
            try:
                there = self._wire.fetch(self._history.clone, branch)
                if there is not None:
                    self._wire.drop(self._history.clone, there, branch)
            except RemoteError as error:
                self._report(f"{branch} is not deleted yet: {error}")
                return False
            self._history.point(f"{INCOMING}{branch}", None)
            self._history.point(f"refs/hosting/shared/{branch}", None)
        if self._history.tip(f"refs/heads/{branch}") is not None:
            self._history.point(f"refs/heads/{branch}", None)
        return True

    def _tip(self, branch: str) -> str | None:
        """Return what the branch is at: where the remote has it, or where this clone is ahead of that."""
        here = self._history.tip(f"refs/heads/{branch}")
        if self._wire is None:
            return here
        try:
            there = self._wire.fetch(self._history.clone, branch)
        except RemoteError:
            return here
        if there is None:  # either never pushed, or merged and deleted: then it does not come back
            return None if here == self._history.tip(f"refs/hosting/shared/{branch}") else here
        if here is None or self._history.contains(here, of=there):
            return there
        return here if self._history.contains(there, of=here) or not self._history.is_ours(here) else there

    def _push(self, branch: str, commit: str) -> bool:
        if self._wire is None:
            return True
        if self._history.tip(f"{INCOMING}{branch}") != commit or self._wire.rests:
            try:
                self._wire.push(self._history.clone, commit, branch)
            except RemoteError as error:
                self._report(f"{branch} waits to be pushed: {error}")
                return False
        self._history.point(f"refs/hosting/shared/{branch}", commit)
        return True

    def _refuse_present(self, branch: str) -> None:
        if _NAME.fullmatch(branch) is None:
            raise ValueError(f"{branch!r} is no proposal's branch: hosting/<customer>-<kind>")
        if branch == self._history.branch:
            reason = f"{branch} is checked out, so the service would commit to the proposal itself"
            fix = f"`git -C {self._history.clone} switch` to the service's branch"
            raise RegistryError([Problem(path=f"clone {self._history.clone}", reason=reason, fix=fix)])
