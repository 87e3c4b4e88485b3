"""The git repository that the workers clone: the registry, the stack file and the project."""

from __future__ import annotations

from pathlib import Path

from git import Actor, Repo

from tests.integration.estate.workspace import PROJECT

AUTHOR = Actor("test", "test@control.localhost")


def push(remote: Path, text: str) -> None:
    """Commit another registry and push it, as a merged pull request is."""
    with Repo(remote.with_suffix(".work")) as repo:
        (Path(repo.working_dir) / "customers.yaml").write_text(text)
        repo.index.add(["customers.yaml"])
        repo.index.commit("Merge", author=AUTHOR, committer=AUTHOR)
        repo.remote("origin").push("main").raise_if_error()


def registry_remote(remote: Path, settings_file: Path, registry: Path) -> None:
    """Make a bare repository with these files at its top, as the product's own has them."""
    work = remote.with_suffix(".work")
    with Repo.init(remote, bare=True, initial_branch="main"), Repo.init(work, initial_branch="main") as repo:
        for source in (settings_file, registry, PROJECT / "Pulumi.yaml", PROJECT / ".gitignore"):
            (work / source.name).write_bytes(source.read_bytes())
            repo.index.add([source.name])
        repo.index.commit("Start", author=AUTHOR, committer=AUTHOR)
        repo.create_remote("origin", str(remote)).push("main").raise_if_error()
