"""Two versions of the registry file out of its git repository, which may be another one than the program's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from git import GitCommandError, InvalidGitRepositoryError, Repo

from registry.errors import Problem, RegistryError
from registry.text import decode

NO_COMMIT = "0" * 40
"""What GitHub calls the commit before a branch's first."""


class RangeError(Exception):
    """The two commits can't be had; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Versions:
    """The registry file at two commits.

    Attributes:
        base: The commit before; None where there was none.
        head: The commit after.
        file: The file's path in its repository.
        old: Its bytes before; None where there was no such file.
        new: Its bytes after; None where there is none.
    """

    base: str | None
    head: str
    file: str
    old: bytes | None
    new: bytes | None

    def old_text(self) -> str | None:
        """Return the text before; a byte that is no UTF-8 becomes U+FFFD, which only a comment may hold."""
        return None if self.old is None else self.old.decode("utf-8", errors="replace")

    def new_text(self) -> str:
        """Return the text after.

        Raises:
            RegistryError: there is none, or it is not UTF-8.
        """
        if self.new is None:
            reason = f"there is no such file in commit {self.head[:10]}"
            raise RegistryError([Problem(path=self.file, reason=reason, fix="restore it from git")])
        return decode(self.new, path=self.file)


def versions(registry_file: Path, commits: str) -> Versions:
    """Return the registry file before and after.

    Args:
        registry_file: The file, in a git repository.
        commits: ``BASE..HEAD``; ``BASE...HEAD`` begins where the two parted; ``BASE`` is ``BASE..HEAD``.

    Raises:
        RangeError: the file is in no repository, or there is no such commit.
    """
    path = registry_file.resolve()
    try:
        repository = Repo(path.parent, search_parent_directories=True)
    except InvalidGitRepositoryError:
        msg = f"{path} is in no git repository, so it has no versions. Fix: git init, and commit the file."
        raise RangeError(msg) from None
    with repository as repo:
        base, head = _ends(repo, commits)
        file = path.relative_to(Path(str(repo.working_tree_dir)).resolve()).as_posix()
        old = None if base is None else _content(repo, base, file)
        return Versions(base=base, head=head, file=file, old=old, new=_content(repo, head, file))


def _ends(repo: Repo, commits: str) -> tuple[str | None, str]:
    base, dots, head = commits.partition("...")
    if not dots:
        base, dots, head = commits.partition("..")
    if not base:
        msg = f"`{commits}` names no commit to compare with. Fix: BASE..HEAD, such as origin/main..HEAD."
        raise RangeError(msg)
    after = _commit(repo, head or "HEAD")
    if base == NO_COMMIT:
        return None, after
    before = _commit(repo, base)
    if dots != "...":
        return before, after
    try:
        return str(repo.git.merge_base(before, after)), after
    except GitCommandError:
        msg = f"`{commits}`: they have no commit in common. Fix: name other ones, or fetch their whole history."
        raise RangeError(msg) from None


def _commit(repo: Repo, name: str) -> str:
    try:
        # Behind --end-of-options a name is a name, whatever it begins with.
        return str(repo.git.rev_parse("--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"))
    except GitCommandError:
        msg = f"There is no commit `{name}` in {repo.working_tree_dir}. Fix: name another one, or `git fetch` it."
        raise RangeError(msg) from None


def _content(repo: Repo, commit: str, file: str) -> bytes | None:
    if not repo.git.ls_tree(commit, "--", file):
        return None
    return bytes(repo.git.show(f"{commit}:{file}", stdout_as_string=False, strip_newline_in_stdout=False))
