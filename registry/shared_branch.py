"""The branch as it is shared with a remote: theirs first, ours after it, and nobody's lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from registry.changes import diff
from registry.customers import Registry
from registry.edits import add, update
from registry.errors import Problem, RegistryError
from registry.history import History
from registry.load import read_text
from registry.moves import Moves
from registry.provenance import MADE_AGAIN
from registry.remote import RemoteError, Wire
from registry.replacement import prepared, put


class SharedBranch:
    """Keeps the branch in step with the remote's; what both had when they agreed is under ``refs/hosting/shared``.

    Attributes:
        trouble: What keeps commits from the remote; None while it has them all.

    Args:
        path: The registry's file.
        wire: To the remote; None where there is none.
        moves: Is told where the branch is.
        check: Raises a RegistryError for a text that is refused.
        report: Is told, in a sentence, what keeps commits from the remote.
    """

    def __init__(
        self,
        path: Path,
        wire: Wire | None,
        moves: Moves,
        *,
        check: Callable[[str], Registry],
        report: Callable[[str], None],
    ) -> None:
        self._path = path
        self._wire = wire
        self._moves = moves
        self._check = check
        self._report = report
        self.trouble: str | None = None

    def receive(self, history: History, *, patient: bool = False) -> bool:
        """Bring the branch to where the remote's is, ours after it; return whether the remote answered."""
        if self._wire is None or (self._wire.rests and not patient):
            return False
        self._moves.look(history.head())
        branch = self._branch(history)
        try:
            theirs = self._wire.fetch(history.clone, branch)
        except RemoteError as error:
            self._tell(f"{error}; commits are made here and pushed later")
            return False
        if theirs is not None:
            if not history.contains(theirs):
                self._join(history, theirs)
            history.point(f"refs/hosting/shared/{branch}", theirs)
            self._moves.look(history.head())
            if theirs == history.head():
                self.trouble = None
        return True

    def _join(self, history: History, theirs: str) -> None:
        shared = history.tip(f"refs/hosting/shared/{history.branch}")
        where = f"branch {history.branch} of the remote"
        if shared is not None and not history.contains(shared, of=theirs):
            reason = f"it was rewritten: it lacks {shared[:12]}, which it had; no edit is made, so that nothing is lost"
            fix = f"push that commit there again; if it is meant, `git -C {history.clone} reset --keep {theirs[:12]}`"
            raise RegistryError([Problem(path=where, reason=reason, fix=fix)])
        self._check(read_text(self._path))
        history.commit_left_over()
        try:
            target = history.rebased(theirs)
        except RegistryError as conflict:
            target = self._made_again(history, theirs)
            if target is None:
                raise conflict from None
        text = history.text_at(target)
        try:
            self._check(text)
        except RegistryError as error:
            reason = f"its {theirs[:12]} is refused (below), so it is not taken over, and no edit is made until then"
            raise RegistryError([Problem(path=where, reason=reason, fix="mend it there"), *error.problems]) from error
        history.refuse_in_the_way(target)
        before = read_text(self._path)
        if text != before:
            with prepared(self._path, text) as ready:
                put(ready, self._path, instead_of=before)
        history.go_to(target)

    def _made_again(self, history: History, theirs: str) -> str | None:
        """Return our edits made once more after theirs; None where that undoes theirs or a person's are among.

        Two new entries at the file's end are a conflict to git and to nobody else.
        """
        if not history.is_ours("HEAD", since=theirs):
            return None
        target = theirs
        try:
            for commit in history.since_parting(theirs):
                before, after = (self._check(history.text_at(each)) for each in (f"{commit}~", commit))
                text = _again(history.text_at(target), self._check(history.text_at(target)), before, after)
                if text is None:
                    return None
                self._check(text)
                target = history.make(text, f"{history.message(commit).rstrip()}\n{MADE_AGAIN}: {commit}\n", [target])
        except RegistryError:
            return None
        return target

    def send(self, history: History) -> None:
        """Push what the remote has not, unless another is faster: then it is for the next time.

        Raises:
            RegistryError: somebody committed a registry that is refused.
        """
        head = history.head()
        if head != history.tip(f"refs/hosting/shared/{history.branch}"):
            self._check(history.text_at(head))
            self.push(history, head)

    def push(self, history: History, commit: str) -> bool:
        """Push a commit; return False where others were faster. Where the remote is away or declines, that is told."""
        if self._wire is None:
            return True
        branch = self._branch(history)
        try:
            self._wire.push(history.clone, commit, branch)
        except RemoteError as error:
            try:
                theirs = self._wire.fetch(history.clone, branch)
            except RemoteError as away:
                self._tell(f"{away}; commits are made here and pushed later")
                return True
            if theirs is not None and not history.contains(theirs, of=commit):
                return False
            if theirs != commit:
                self._tell(f"{error}; commits stay here. Fix: let {branch} be pushed by the service")
                return True
        history.point(f"refs/hosting/shared/{branch}", commit)
        self.trouble = None
        return True

    def _branch(self, history: History) -> str:
        if history.branch is None:
            reason = "a single commit is checked out, so there is no branch to share with the remote"
            raise RegistryError([Problem(path=f"clone {history.clone}", reason=reason, fix="`git switch` to a branch")])
        return history.branch

    def _tell(self, trouble: str) -> None:
        self.trouble = trouble
        self._report(trouble)


def _again(text: str, present: Registry, before: Registry, after: Registry) -> str | None:
    """Return a text with what a commit of ours changed; None where an entry is not as that commit found it."""
    if before.quarantine != after.quarantine:
        return None
    for change in diff(before, after):
        if change.after is None or present.customers.get(change.customer_id) != change.before:
            return None
        if change.before is None:
            text = add(text, change.customer_id, change.after)
        else:
            text = update(text, change.customer_id, **{name: new for name, (_, new) in change.fields.items()})
    return text
