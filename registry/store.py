"""The effect on ``customers.yaml``: lock, check, write at once, commit."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from filelock import FileLock
from git import Actor, InvalidGitRepositoryError, Repo

from registry.cells import Cell
from registry.customers import Registry
from registry.errors import Problem, RegistryError
from registry.load import parse, parse_edit, read_text

LOCK_SECONDS = 30.0
COMMITTER = Actor("markitup-hosting", "hosting@markitup.io")


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


class RegistryStore:
    """One registry file. Edits by several processes wait for each other.

    A person's uncommitted edit is never overwritten nor swept into a machine's commit: it is committed
    first, as it is, under its own message. A crash between writing and committing is made good the same way.
    """

    def __init__(self, path: Path, *, cells: Mapping[str, Cell], domain: str, clock: Callable[[], date]) -> None:
        self._path = path.resolve()
        self._cells = cells
        self._domain = domain
        self._clock = clock
        self._checked: tuple[str, Registry] | None = None

    def read(self) -> Registry:
        """Return the registry as the file has it.

        Raises:
            RegistryError: the file is refused.
        """
        return self._check(read_text(self._path))

    def edit(self, operation: Callable[[str, Registry], str], provenance: Provenance) -> str | None:
        """Change the file by a pure operation on its text and commit it.

        Args:
            operation: Gets the text and the registry, returns the new text.
            provenance: For the commit.

        Returns:
            The commit's id; None where nothing changed or the file is in no git repository.

        Raises:
            RegistryError: the file was refused before or after the edit, or somebody saved it meanwhile;
                nothing is written.
        """
        with self._lock():
            text = read_text(self._path)
            registry = self._check(text)
            edited = operation(text, registry)
            if edited != text:
                self._check_edit((text, registry), edited, provenance.customer_id)
            with self._repository() as repo:
                if repo is not None:
                    self._commit_left_over(repo)  # also where a crash came before the commit: this is the second try
                if edited == text:
                    return None
                self._write(edited, instead_of=text)
                return None if repo is None else self._commit(repo, provenance.message())

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

    def _lock(self) -> FileLock:
        return FileLock(self._path.with_name(f".{self._path.name}.lock"), timeout=LOCK_SECONDS)

    def _write(self, text: str, *, instead_of: str) -> None:
        descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(self._path.stat().st_mode & 0o777)
            self._refuse_other_than(instead_of)
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _refuse_other_than(self, text: str) -> None:
        if read_text(self._path) != text:  # an editor does not know the lock
            problem = Problem(path=str(self._path), reason="somebody saved it meanwhile", fix="try again")
            raise RegistryError([problem])

    @contextmanager
    def _repository(self) -> Generator[Repo | None]:
        try:
            repo = Repo(self._path, search_parent_directories=True)
        except InvalidGitRepositoryError:
            yield None
            return
        with repo:  # its `git cat-file` processes end with it
            if repo.bare or not repo.head.is_valid():
                problem = Problem(
                    path=str(self._path), reason="its git repository has no commit yet", fix="commit the file first"
                )
                raise RegistryError([problem])
            yield repo

    def _commit_left_over(self, repo: Repo) -> None:
        if repo.git.status("--porcelain", "--", str(self._path)):
            self._commit(repo, "Record an edit by hand of the registry\n\nActor: unknown\n")

    def _commit(self, repo: Repo, message: str) -> str:
        # `commit -- path` takes this one file, whatever else a person has staged.
        environment = {
            "GIT_AUTHOR_NAME": str(COMMITTER.name),
            "GIT_AUTHOR_EMAIL": str(COMMITTER.email),
            "GIT_COMMITTER_NAME": str(COMMITTER.name),
            "GIT_COMMITTER_EMAIL": str(COMMITTER.email),
        }
        with repo.git.custom_environment(**environment):
            repo.git.add("--", str(self._path))
            repo.git.commit("--quiet", "--no-verify", "-m", message, "--", str(self._path))
        return str(repo.head.commit.hexsha)


def _one_line(value: str) -> str:
    return " ".join(value.split())
