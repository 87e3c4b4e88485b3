"""Workflows and scripts of the repository itself, by the tools made for them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from engine.go import build
from engine.modules import ACTIONLINT

PROJECT = Path(__file__).parents[2]


def run(*argv: str | Path) -> str:
    """Run a check; return what it complains about."""
    done = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


def test_workflows_pass_actionlint() -> None:
    """GitHub would run every workflow of ours as it is meant."""
    workflows = sorted((PROJECT / ".github" / "workflows").glob("*.yaml"))
    assert workflows
    assert run(build(ACTIONLINT, print), *workflows) == ""


@pytest.mark.parametrize("script", ["scripts/setup.sh", "scripts/ssh-key.sh", "scripts/test-machine.sh", ".ci/run"])
def test_scripts_pass_shellcheck(script: str) -> None:
    """The scripts that set up a machine are sound shell."""
    assert run("shellcheck", script) == ""
