"""The demo's background processes: started once, found again, ended by their id only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from demo import processes

SLEEP = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)")


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep files in the test's own folder."""
    monkeypatch.setattr(processes, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(processes, "PROCESSES", tmp_path / "processes")
    return tmp_path


def test_started_once_and_stopped() -> None:
    """A second start finds the first process; stop ends it, and there is nothing to stop twice."""
    assert processes.start("one", SLEEP, {})
    try:
        processes.wait_until("one", lambda: "up" in processes.log_of("one").read_text())
        assert not processes.start("one", SLEEP, {})
    finally:
        assert processes.stop("one")
    assert not processes.stop("one")


def test_a_process_that_ends_at_once_is_told() -> None:
    """Waiting for it raises with the end of its log instead of waiting on."""
    processes.start("bad", (sys.executable, "-c", "raise SystemExit('no such port')"), {})
    with pytest.raises(processes.StartError, match="no such port"):
        processes.wait_until("bad", lambda: False, seconds=20)


def test_another_process_with_the_same_id_is_left_alone(places: Path) -> None:
    """After a reboot the id in the file may be somebody else's: only the same start time is ours."""
    with subprocess.Popen(SLEEP, stdout=subprocess.DEVNULL) as stranger:
        (places / "processes").mkdir()
        (places / "processes" / "one").write_text(f"{stranger.pid} 12345")
        assert not processes.stop("one")
        assert stranger.poll() is None
        os.kill(stranger.pid, signal.SIGKILL)
