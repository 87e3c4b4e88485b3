"""The registry's file and its history: lock, check, write at once, commit, and agree with the remote."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from filelock import FileLock

from registry.cells import Cell
from registry.customers import Registry
from registry.errors import Problem, RegistryError
from registry.history import History, open_history
from registry.load import parse, parse_edit, read_text
from registry.moves import Moved, Moves
from registry.proposals import Proposal, Proposals
from registry.provenance import Provenance
from registry.remote import INCOMING, PROPOSALS, Remote, Wire
from registry.replacement import prepared, put, refuse_other_than
from registry.shared_branch import SharedBranch

__all__ = ["Moved", "Proposal", "Provenance", "RegistryStore", "Remote"]

_log = logging.getLogger("registry")

LOCK_SECONDS = 30.0
RACES = 5
"""How often an edit is made again because others pushed meanwhile, before it goes on here alone."""


class RegistryStore:
    """One registry file. Edits by several processes wait for each other.

    A person's uncommitted edit is never overwritten nor swept into a machine's commit: it is committed
    first, as it is, under its own message. A crash between writing and committing is made good the same way.

    With a remote, an edit is made on what the remote has, and is the branch's only once the remote took it; what
    others pushed meanwhile stays, and the edit is made again on top. While the remote is away, edits are made here
    and pushed later.

    Args:
        path: The file.
        cells: The environment's cells.
        domain: The product's domain.
        clock: Today's date, UTC.
        branch: The one that edits go to; it has to be checked out. None for whichever is.
        remote: Where the branch is shared; None for nowhere.
        report: Is told, in a sentence, when the remote is away or declines something.
    """

    def __init__(
        self,
        path: Path,
        *,
        cells: Mapping[str, Cell],
        domain: str,
        clock: Callable[[], date],
        branch: str | None = None,
        remote: Remote | None = None,
        report: Callable[[str], None] = _log.warning,
    ) -> None:
        self._path = path.resolve()
        self._cells = cells
        self._domain = domain
        self._clock = clock
        self._branch = branch
        self._report = report
        self._checked: tuple[str, Registry] | None = None
        self._moves = Moves()
        self._wire = None if remote is None else Wire(remote)
        self._shared = SharedBranch(self._path, self._wire, self._moves, check=self._check, report=report)

    @property
    def trouble(self) -> str | None:
        """What keeps commits from the remote; None while it has them all."""
        return self._shared.trouble

    def read(self) -> Registry:
        """Return the registry as the file has it.

        Raises:
            RegistryError: the file is refused.
        """
        return self._check(read_text(self._path))

    def at(self, commit: str) -> Registry:
        """Return the registry as a commit has it.

        Raises:
            RegistryError: its file is refused, or there is none.
        """
        with self._history() as history:
            text = history.text_at(commit)
        return parse(text, cells=self._cells, domain=self._domain, today=self._clock())

    def edit(self, operation: Callable[[str, Registry], str], provenance: Provenance) -> str | None:
        """Change the file by a pure operation on its text, commit it, and push it where there is a remote.

        Args:
            operation: Gets the text and the registry, returns the new text. Called again where others pushed meanwhile.
            provenance: For the commit.

        Returns:
            The commit's id; None where nothing changed or the file is in no git repository.

        Raises:
            RegistryError: the file was refused before or after the edit, or somebody saved it meanwhile, or what the
                remote has is refused or conflicts with what was not pushed; nothing is written.
        """
        with self._lock(), open_history(self._path, self._branch) as history:
            for races_left in reversed(range(RACES)):
                reached = history is not None and self._shared.receive(history)
                text = read_text(self._path)
                registry = self._check(text)
                edited = operation(text, registry)
                if edited != text:
                    self._check_edit((text, registry), edited, provenance.customer_id)
                head = self._head_with_left_over(history)
                if edited == text:
                    return None
                with prepared(self._path, edited) as ready:
                    if history is None:
                        put(ready, self._path, instead_of=text)
                        return None
                    commit = history.make(edited, provenance.message(), [head])
                    refuse_other_than(self._path, text)
                    if reached and not self._shared.push(history, commit) and races_left:
                        time.sleep(random.uniform(0, 0.2))  # noqa: S311 - so that two who race do not meet again
                        continue
                    put(ready, self._path, instead_of=text)
                self._commit(history, commit, before=head)
                return commit
        raise AssertionError

    def propose(
        self, operation: Callable[[str, Registry], str], provenance: Provenance, *, branch: str
    ) -> Proposal | None:
        """Make the same checked edit on a branch of its own, for a person to merge. The file is not touched.

        Args:
            operation: As for ``edit``.
            provenance: For the commit.
            branch: Its name, ``hosting/<customer>-<kind>``.

        Returns:
            The proposal, however often it is made; None where there is nothing (left) to change, as after the merge.

        Raises:
            RegistryError: as for ``edit``; or the file is in no git repository.
        """
        with self._lock(), self._history() as history:
            self._shared.receive(history)
            text = history.text_at("HEAD")
            registry = self._check(text)
            edited = operation(text, registry)
            if edited == text:
                return None
            self._check_edit((text, registry), edited, provenance.customer_id)
            return Proposals(history, self._wire, self._report).put(branch, edited, provenance.message())

    def withdraw(self, branch: str) -> bool:
        """Drop a proposal that is no longer wanted, or is merged.

        Returns:
            Whether it is gone; False where somebody else committed on it, or the remote is away (reported).

        Raises:
            RegistryError: the file is in no git repository.
        """
        with self._lock(), self._history() as history:
            return Proposals(history, self._wire, self._report).drop(branch)

    def sync(self, *, since: str | None = None) -> Moved | None:
        """Take over what the remote has, and push what it has not.

        Args:
            since: Commit that was dealt with last, as a process that starts anew remembers it. Another machine may have
                dealt with it, and this clone not have it.

        Returns:
            How somebody else moved the branch since this process looked last (or since that commit).

        Raises:
            RegistryError: what the remote has, or what would be pushed, is refused, or they conflict; both stay as
                they are, for a person to mend.
        """
        with self._lock(), open_history(self._path, self._branch) as history:
            if history is None:
                return None
            reached = self._shared.receive(history, patient=True)
            if reached:
                self._shared.send(history)
            head = history.head()
            if since is not None and history.tip(since) is None:
                since = None
            is_older = since is not None and since != head and history.contains(head, of=since)
            if is_older and self._wire is not None and not reached:
                return None  # this clone is behind: what it has was dealt with before
            return self._moves.take(head, since)

    def head(self) -> str | None:
        """Return the branch's newest commit; None where the file is in no git repository."""
        with open_history(self._path, self._branch) as history:
            return None if history is None else history.head()

    def committed(self) -> str | None:
        """Return the commit that the file is as; None where it was changed since, or is in no git repository."""
        with open_history(self._path, self._branch) as history:
            return None if history is None or history.is_changed() else history.head()

    def proposals(self) -> list[str]:
        """Return the branches of what is proposed, here or by another machine; of the remote what it had last."""
        with open_history(self._path, self._branch) as history:
            if history is None:
                return []
            places = ("refs/heads/",) if self._wire is None else ("refs/heads/", INCOMING)
            return sorted({name.removeprefix(place) for place in places for name in history.names(place + PROPOSALS)})

    @contextmanager
    def _history(self) -> Generator[History]:
        with open_history(self._path, self._branch) as history:
            if history is None:
                reason = "it is in no git repository, so that it has no history"
                raise RegistryError([Problem(path=str(self._path), reason=reason, fix="`git init` and commit it")])
            yield history

    def _check(self, text: str) -> Registry:
        checked = self._checked  # read once: another thread may put its own there at any moment
        if checked is None or checked[0] != text:
            checked = (text, parse(text, cells=self._cells, domain=self._domain, today=self._clock()))
            self._checked = checked
        return checked[1]

    def _check_edit(self, before: tuple[str, Registry], edited: str, customer_id: str) -> None:
        registry = parse_edit(before, edited, customer_id, cells=self._cells, domain=self._domain, today=self._clock())
        if registry is None:
            self._check(edited)
        else:
            self._checked = (edited, registry)

    def _head_with_left_over(self, history: History | None) -> str:
        if history is None:
            return ""
        history.commit_left_over()  # also where a crash came before the commit: this is the second try
        head = history.head()
        self._moves.look(head)
        return head

    def _lock(self) -> FileLock:
        return FileLock(self._path.with_name(f".{self._path.name}.lock"), timeout=LOCK_SECONDS)

    def _commit(self, history: History, commit: str, *, before: str) -> None:
        history.advance(commit, before=before)
        self._moves.own(commit)
