"""The shell commands of a runbook, as they are written there."""

from __future__ import annotations

import re
import subprocess

from tests.integration.estate.workspace import PROJECT

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(runbook: str) -> list[str]:
    """Return the blocks of commands of a runbook, in order."""
    return BLOCK.findall((PROJECT / "docs" / "runbooks" / runbook).read_text())


def run(*blocks: str) -> str:
    """Run blocks of commands in one shell; return what they print, fail with the first that fails."""
    done = subprocess.run(
        ["sh", "-eu"], input="\n".join(blocks), capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout
