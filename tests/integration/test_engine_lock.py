"""The real engine's lock on a stack: nothing is taken away from an update that still runs, whoever has the turn."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.install import ensure_engine
from stacks.names import PROJECT
from tests.webhook.engine_process import an_engine
from webhook.database.engine import open_database
from webhook.database.migrate import migrate
from webhook.deploy import Deployer, Target, ready
from webhook.turns import Turns


class Begun(Exception):  # noqa: N818 - not an error: it says that the engine's lock was no hindrance
    """Recovery has begun."""


@pytest.fixture
def deployer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployer:
    """A stack whose last update did not come to its end."""
    settings_file = tmp_path / "Pulumi.test.yaml"
    settings_file.write_text("config: {}\n")
    variables = {
        **os.environ,
        **ensure_engine(lambda _: None).environment(),
        "PULUMI_BACKEND_URL": f"file://{tmp_path}",
        "PULUMI_CONFIG_PASSPHRASE": "test",
    }
    target = Target(environment="test", project=tmp_path, settings_file=settings_file, variables=variables)
    database = open_database(f"sqlite:///{tmp_path / 'management.sqlite3'}")
    migrate(database)
    turns = Turns(database)
    with turns.take("test-eu-1") as turn:
        turn.begin()

    def begun(*_: object) -> bool:
        raise Begun

    monkeypatch.setattr("webhook.deploy.recover", begun)
    made = ready(target, lambda _: None, turns)
    made.ensure_stack("eu-1")
    return made


def lock(folder: Path, pid: int) -> None:
    """Lock the stack as the engine of a process does."""
    place = folder / ".pulumi" / "locks" / "organization" / PROJECT / "test-eu-1"
    place.mkdir(parents=True, exist_ok=True)
    holder = {"pid": pid, "username": "test", "hostname": socket.gethostname()}
    (place / "held.json").write_text(json.dumps({**holder, "timestamp": datetime.now(tz=UTC).isoformat()}))


def test_an_update_that_still_runs_is_let_be(deployer: Deployer, tmp_path: Path) -> None:
    """Its turn was lost with the database's connection, its lock was not: the next one waits for it."""
    with an_engine(tmp_path) as pid:
        lock(tmp_path, pid)
        result = deployer.cover("eu-1", lambda _: "newer")
    assert "currently locked by 1 lock" in str(result.error)


def test_what_a_dead_one_left_is_taken_away(deployer: Deployer, tmp_path: Path) -> None:
    """The holder's process is gone, or nobody has the lock: recovery begins."""
    with pytest.raises(Begun):
        deployer.cover("eu-1", lambda _: "newer")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    lock(tmp_path, dead.pid)
    with pytest.raises(Begun):
        deployer.cover("eu-1", lambda _: "newer")
