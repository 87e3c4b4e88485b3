"""The demo's own registry: a git repository of its own, so that the project's tree stays clean."""

from __future__ import annotations

import shutil

from git import Actor, Repo

from demo.places import PROJECT, REGISTRY

AUTHOR = Actor("demo", "demo@markitup.localhost")


def ensure_registry() -> bool:
    """Make the repository from the committed customers.yaml unless it is there; return whether it was made."""
    folder = REGISTRY.parent
    if (folder / ".git").exists():
        return False
    (folder / "docs").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(PROJECT / "customers.yaml", REGISTRY)
    shutil.copyfile(PROJECT / "docs" / "customers.schema.json", folder / "docs" / "customers.schema.json")
    (folder / ".gitignore").write_text(".customers.yaml.lock\n")
    with Repo.init(folder, initial_branch="main") as repo:
        repo.index.add([".gitignore", "customers.yaml", "docs/customers.schema.json"])
        repo.index.commit("Start with the project's customers", author=AUTHOR, committer=AUTHOR)
    return True
