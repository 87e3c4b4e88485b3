"""Who is dead: said of processes of this machine only, and only where it is certain."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from tests.webhook.engine_process import an_engine
from webhook.process_identity import engine_is_dead, identity, is_dead


def test_a_process_is_dead_once_it_has_ended() -> None:
    """Also while nobody has asked how it ended; another one with its id is not it."""
    assert not is_dead(identity())
    host, pid, started = identity().rsplit(":", 2)
    assert is_dead(f"{host}:{pid}:{int(started) - 1}")
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert is_dead(f"{host}:{process.pid}:{started}")


def test_of_another_machine_nothing_is_known() -> None:
    """It may live."""
    assert not is_dead("elsewhere:1:1")
    assert not engine_is_dead("elsewhere", 1)


def test_an_engine_is_what_has_its_name(tmp_path: Path) -> None:
    """In a new container a killed engine's id is soon another process's: that holds no lock of it."""
    here = socket.gethostname()
    with an_engine(tmp_path) as pid:
        assert not engine_is_dead(here, pid)
    assert engine_is_dead(here, pid)
    with subprocess.Popen(["sleep", "60"]) as other:
        assert engine_is_dead(here, other.pid)
        other.kill()
