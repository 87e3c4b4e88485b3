"""Turns at a stack: one at a time in one process, in several, and after a holder's death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine

from webhook.database.stacks import Standing
from webhook.turns import Turns

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys, time
from webhook.database.engine import open_database
from webhook.turns import Turns

with Turns(open_database(sys.argv[1])).take("prod-eu-1") as turn:
    turn.begin()
    print("mine", flush=True)
    time.sleep(120)
"""


@contextmanager
def holder(url: str) -> Iterator[subprocess.Popen[str]]:
    """Run another process that has its turn."""
    argv = [sys.executable, "-c", HOLDER, url]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "mine\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_stack_that_was_never_updated_stands_at_nothing(engine: Engine) -> None:
    """No row is needed before the first turn."""
    with Turns(engine).take("prod") as turn:
        assert turn.standing == Standing()


def test_what_was_finished_is_remembered(engine: Engine) -> None:
    """Commit and version stay; after an update without a known commit it is not known how far the stack is."""
    turns = Turns(engine)
    with turns.take("prod-eu-1") as turn:
        turn.begin()
        turn.finish(covered="abc", version=3)
    with turns.take("prod-eu-1") as turn:
        assert turn.standing == Standing(covered="abc", version=3)
        turn.begin()
        turn.finish(covered=None, version=4)
    with turns.take("prod-eu-1") as turn:
        assert turn.standing == Standing(covered=None, version=4)


def test_threads_take_turns(engine: Engine) -> None:
    """Of many threads with two sets of turns only one is ever inside; another stack's turn is free meanwhile."""
    both, inside, seen = (Turns(engine), Turns(engine)), [0], [0]

    def work(turns: Turns) -> None:
        with turns.take("prod-eu-1"):
            inside[0] += 1
            seen[0] = max(seen[0], inside[0])
            time.sleep(0.01)
            inside[0] -= 1

    threads = [threading.Thread(target=work, args=(both[number % 2],)) for number in range(12)]
    with both[0].take("prod-eu-1"):
        for thread in threads:
            thread.start()
        with both[1].take("prod-eu-2"):
            pass
    for thread in threads:
        thread.join(30)
    assert (inside, seen) == ([0], [1])


def test_a_process_works_on_so_many_stacks_at_a_time(engine: Engine) -> None:
    """The next stack waits for a place; what is no stack does not."""
    turns = Turns(engine, stacks_at_once=1)
    entered = threading.Event()

    def enter() -> None:
        with turns.take("prod-eu-2"):
            entered.set()

    thread = threading.Thread(target=enter)
    with turns.take("prod-eu-1"):
        thread.start()
        with turns.alone("settling-1"):
            assert not entered.wait(0.5)
    assert entered.wait(10)
    thread.join(10)


@pytest.mark.parametrize("number", [signal.SIGKILL])
def test_a_dead_holder_gives_its_turn_back(engine: Engine, database_url: str, number: int) -> None:
    """Nobody enters while another process lives; once it is killed the next one does, and sees it was unfinished."""
    entered = threading.Event()
    standing: list[Standing] = []

    def enter() -> None:
        with Turns(engine).take("prod-eu-1") as turn:
            standing.append(turn.standing)
            entered.set()

    with holder(database_url) as process:
        thread = threading.Thread(target=enter)
        thread.start()
        assert not entered.wait(1)
        os.kill(process.pid, number)
        process.wait(10)
        assert entered.wait(10)
        thread.join(10)
    assert standing == [Standing(unfinished=True)]
