"""The engine's CLI with an end, on a small program in its place: what matters is how processes are ended."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from pulumi import automation

from webhook.bounded_command import BoundedCommand

CLI = """#!/bin/sh
case "$2" in
version) echo v3.259.0 ;;
say) echo "$TOLD"; echo more; echo wrong >&2 ;;
fail) echo "stack is broken" >&2; exit 3 ;;
polite) trap 'echo stopping; exit 1' INT; while :; do sleep 0.05; done ;;
stubborn) trap '' INT; echo $$ >"$PIDS"; while :; do sleep 0.05; done ;;
*) echo v3.259.0 ;;
esac
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with the program."""
    program = tmp_path / "bin" / "pulumi"
    program.parent.mkdir()
    program.write_text(CLI)
    program.chmod(0o755)
    return tmp_path


def run(command: BoundedCommand, root: Path, word: str, **variables: str) -> automation.CommandResult:
    """Run one of its words."""
    return command.run([word], str(root), variables)


def test_it_tells_what_was_said(root: Path) -> None:
    """Lines come as they are written, and whole at the end; variables arrive."""
    lines: list[str] = []
    done = BoundedCommand(str(root)).run(["say"], str(root), {"TOLD": "hello"}, lines.append)
    assert (done.stdout, done.stderr, done.code, lines) == ("hello\nmore", "wrong", 0, ["hello", "more"])


def test_a_failure_is_the_engines(root: Path) -> None:
    """Its own words and code are the error's."""
    with pytest.raises(automation.CommandError, match="stack is broken"):
        run(BoundedCommand(str(root)), root, "fail")


def test_what_hangs_is_asked_to_stop(root: Path) -> None:
    """At the deadline it gets SIGINT, and may end in its own way."""
    with pytest.raises(automation.CommandError, match=r"within 0 s and was stopped(.|\n)*") as failure:
        run(BoundedCommand(str(root), seconds=0.3, grace_seconds=10), root, "polite")
    assert "stopping" in str(failure.value)


def test_what_does_not_heed_is_killed(root: Path) -> None:
    """After the grace it is killed, and no process is left."""
    pids = root / "pids"
    with pytest.raises(automation.CommandError, match="did not heed SIGINT and was killed"):
        run(BoundedCommand(str(root), seconds=0.5, grace_seconds=0.3), root, "stubborn", PIDS=str(pids))
    with pytest.raises(ProcessLookupError):
        os.kill(int(pids.read_text()), 0)


def test_an_interrupt_ends_what_runs_and_what_comes(root: Path) -> None:
    """A process that is about to end stops its engine at once, long before the deadline."""
    command = BoundedCommand(str(root), seconds=60, grace_seconds=10)
    failures: list[Exception] = []

    def work() -> None:
        try:
            run(command, root, "polite")
        except automation.CommandError as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.5)
    command.interrupt()
    thread.join(10)
    assert not thread.is_alive()
    assert len(failures) == 1
