"""What git does for the registry in its clone: commits, branches and rebases of the one file. No network."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from git import Actor, GitCommandError, InvalidGitRepositoryError, Repo

from registry.errors import Problem, RegistryError

COMMITTER = Actor("markitup-hosting", "hosting@markitup.io")
BY_HAND = "Record an edit by hand of the registry\n\nActor: unknown\n"
_IDENTITY = {
    "GIT_AUTHOR_NAME": str(COMMITTER.name),
    "GIT_AUTHOR_EMAIL": str(COMMITTER.email),
    "GIT_COMMITTER_NAME": str(COMMITTER.name),
    "GIT_COMMITTER_EMAIL": str(COMMITTER.email),
}
_UNDER_WAY = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "rebase-merge", "rebase-apply")


class History:
    """The branch that is checked out where the registry's file is, and others beside it."""

    def __init__(self, repo: Repo, path: Path) -> None:
        self._repo = repo
        self._git = repo.git
        self.clone = Path(str(repo.working_tree_dir)).resolve()
        self._name = path.relative_to(self.clone).as_posix()
        self._path = path

    @property
    def branch(self) -> str | None:
        """The branch that is checked out; None where a commit is."""
        return None if self._repo.head.is_detached else self._repo.active_branch.name

    def head(self) -> str:
        """Return the newest commit."""
        return str(self._git.rev_parse("HEAD"))

    def tip(self, ref: str) -> str | None:
        """Return the commit of a full reference; None where there is no such."""
        try:
            return str(self._git.rev_parse("--verify", "--quiet", f"{ref}^{{commit}}"))
        except GitCommandError:
            return None

    def names(self, beginning: str) -> set[str]:
        """Return the references whose full names begin so."""
        return set(str(self._git.for_each_ref("--format=%(refname)", beginning)).split())

    def contains(self, commit: str, *, of: str | None = None) -> bool:
        """Return whether a commit is in the branch, or in the history of another."""
        return self._repo.is_ancestor(self._repo.commit(commit), self._repo.commit(of or "HEAD"))

    def text_at(self, commit: str) -> str:
        """Return the file as a commit (or a tree) has it.

        Raises:
            RegistryError: it has none, or no UTF-8.
        """
        try:
            content = self._git.cat_file(
                "blob", f"{commit}:{self._name}", stdout_as_string=False, strip_newline_in_stdout=False
            )
            return bytes(content).decode("utf-8")
        except GitCommandError as error:
            reason = "the file is not in it"
            raise _refused(f"commit {commit[:12]}", reason, f"restore {self._name} on its branch") from error
        except UnicodeDecodeError as error:
            reason = f"byte {error.start} of the file is not UTF-8"
            raise _refused(f"commit {commit[:12]}", reason, "save it as UTF-8 and commit it again") from error

    def is_ours(self, branch: str, *, since: str = "HEAD") -> bool:
        """Return whether we alone committed on a branch since it left another one, by default the present one."""
        people = self._git.log("--format=%ae%n%ce", f"{since}..{branch}").split()
        return {*people} <= {str(COMMITTER.email)}

    def merged(self, branch: str) -> str | None:
        """Return the file as a merge of a branch would leave it; None for a conflict. Nothing is merged."""
        try:
            tree = self._git.merge_tree("--write-tree", "HEAD", branch)
        except GitCommandError:
            return None
        return self.text_at(str(tree))

    def make(self, text: str, message: str, parents: Sequence[str]) -> str:
        """Return a commit that differs from its first parent in the file; no branch, index or file is touched."""
        with tempfile.TemporaryDirectory(prefix="hosting-") as folder:
            file = Path(folder) / self._name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode("utf-8"))
            file.chmod(self._path.stat().st_mode & 0o777)
            elsewhere = {
                "GIT_DIR": str(Path(self._repo.git_dir).resolve()),
                "GIT_WORK_TREE": folder,
                "GIT_INDEX_FILE": os.path.join(folder, ".index"),  # noqa: PTH118 - a variable is a string
            }
            with self._git.custom_environment(**elsewhere, **_IDENTITY):
                self._git.read_tree(parents[0])
                self._git.update_index("--add", "--", self._name)
                tree = self._git.write_tree()
                lineage = [word for parent in parents for word in ("-p", parent)]
                return str(self._git.commit_tree(tree, *lineage, "-m", message))

    def is_changed(self) -> bool:
        """Return whether the file is not as the newest commit has it."""
        return bool(self._git.status("--porcelain", "--", self._name))

    def commit_left_over(self) -> None:
        """Commit what a person, or a crash, left in the file, as it is; whatever else is staged stays staged."""
        if not self.is_changed():
            return
        with self._git.custom_environment(**_IDENTITY):
            self._git.add("--", self._name)
            self._git.commit("--quiet", "--no-verify", "-m", BY_HAND, "--", self._name)

    def advance(self, commit: str, *, before: str) -> None:
        """Put the branch forward to a commit of ours whose file is in place already."""
        self._index(commit)
        self._git.update_ref("-m", "hosting: edit", "HEAD", commit, before)

    def since_parting(self, commit: str) -> list[str]:
        """Return the branch's commits that another one has not, the oldest first."""
        return str(self._git.rev_list("--reverse", f"{commit}..HEAD")).split()

    def message(self, commit: str) -> str:
        """Return a commit's message."""
        return str(self._git.log("-1", "--format=%B", commit))

    def rebased(self, onto: str) -> str:
        """Return what the branch becomes on top of another commit: that commit itself, or ours after it.

        Raises:
            RegistryError: ours conflict with it; both stay as they are.
        """
        if self._repo.is_ancestor(self._repo.head.commit, self._repo.commit(onto)):
            return onto
        with tempfile.TemporaryDirectory(prefix="hosting-") as folder:
            # In a folder of its own: readers and editors of the file never see the middle of it.
            self._git.worktree("add", "--quiet", "--force", "--detach", folder, "HEAD")
            try:
                aside = Repo(folder).git
                with aside.custom_environment(**_IDENTITY):
                    aside.execute(["git", "-c", "core.hooksPath=/dev/null", "rebase", "--quiet", onto])
                return str(aside.rev_parse("HEAD"))
            except GitCommandError as error:
                raise _refused(
                    f"branch {self.branch}",
                    f"its commits that are not pushed conflict with the remote's {onto[:12]}; they stay here, and no"
                    " edit is made until they are joined",
                    f"`git -C {self.clone} rebase {onto[:12]}`, resolve the conflict, `git rebase --continue`",
                ) from error
            finally:
                self._git.worktree("remove", "--force", folder)

    def refuse_in_the_way(self, commit: str) -> None:
        """Look whether the clone could go to a commit; touch nothing.

        Raises:
            RegistryError: a person's uncommitted changes of other files would be overwritten.
        """
        try:
            self._git.read_tree("-n", "-m", "-u", "HEAD", commit)
        except GitCommandError as error:
            raise _refused(
                f"clone {self.clone}",
                f"uncommitted changes are in the way of the remote's {commit[:12]} ({said(error)}); no edit is made",
                f"commit or stash them: `git -C {self.clone} stash`",
            ) from error

    def go_to(self, commit: str) -> None:
        """Put the branch, and its other files, to a commit whose registry file is in place already."""
        before = self.head()
        self._index(commit)  # now git leaves the file alone
        self._git.read_tree("-m", "-u", "HEAD", commit)
        self._git.update_ref("-m", "hosting: take the remote's", "HEAD", commit, before)

    def _index(self, commit: str) -> None:
        """Make the index say of the file what a commit says, whatever has become of the file itself."""
        form = "--format=%(objectmode),%(objectname),%(path)"
        entry = self._git.ls_tree("-z", form, commit, "--", self._name).removesuffix("\0")
        self._git.update_index("--add", "--cacheinfo", entry, "-q", "--refresh")

    def point(self, ref: str, commit: str | None) -> None:
        """Put a full reference to a commit, or remove it."""
        if commit is None:
            self._git.update_ref("-d", ref)
        else:
            self._git.update_ref(ref, commit)


@contextmanager
def open_history(path: Path, branch: str | None) -> Generator[History | None]:
    """Open the git repository of the registry; None where it is in none.

    Args:
        path: The registry's file, resolved.
        branch: The one that has to be checked out; None for whichever is.

    Raises:
        RegistryError: it has no commit, another branch, or a merge or rebase under way.
    """
    try:
        repo = Repo(path, search_parent_directories=True)
    except InvalidGitRepositoryError:
        yield None
        return
    with repo:  # its `git cat-file` processes end with it
        if repo.bare or not repo.head.is_valid():
            raise _refused(str(path), "its git repository has no commit yet", "commit the file first")
        history = History(repo, path)
        under_way = [name for name in _UNDER_WAY if (Path(repo.git_dir) / name).exists()]
        if under_way:
            reason = f"a merge or rebase is under way ({under_way[0]}); a commit now would be part of it"
            raise _refused(f"clone {history.clone}", reason, "finish or abort it: `git status` says how")
        if branch is not None and history.branch != branch:
            reason = f"{history.branch or 'a single commit'} is checked out, but the service commits to {branch}"
            raise _refused(f"clone {history.clone}", reason, f"`git -C {history.clone} switch {branch}`")
        yield history


def said(error: GitCommandError) -> str:
    """Return what git said, on one line."""
    return " ".join(str(error.stderr).split()).removeprefix("stderr: ").strip("' ")


def _refused(path: str, reason: str, fix: str) -> RegistryError:
    return RegistryError([Problem(path=path, reason=reason, fix=fix)])
