"""What a customer uses, measured on real volumes: beside a running app, after a crash, and against tricks."""

from __future__ import annotations

from pathlib import Path

import pytest

from registry.wishes import DataUsed
from tests.integration.data.premises import Premises, run
from tests.integration.estate.ssh_server import ssh_server
from webhook.cell_engine import CellEngine
from webhook.usage import measure

MIB = 1024**2


def used(premises: Premises, script: str) -> DataUsed | None:
    """Measure a volume after a script ran in it."""
    volume = premises.volume()
    premises.shell(volume, script)
    return measure(volume)


def test_a_running_and_a_killed_instance_use_the_same(premises: Premises) -> None:
    """Accounts that are only in the log of a database count too; measuring leaves the log, and nothing else behind."""
    volume = premises.volume()
    app = premises.live(volume)
    assert [app.sign_up(name).status_code for name in ("ann", "bob")] == [200, 200]
    before = measure(volume)
    assert before is not None
    assert before.users == 2
    app.post("/api/files", {"filename": "big", "content": "x" * (3 * MIB)})
    live = measure(volume)
    assert live is not None
    assert before.storage_bytes + 3 * MIB <= live.storage_bytes < before.storage_bytes + 12 * MIB
    app.container.kill()
    assert premises.shell(volume, "stat -c %s markitup.db").strip() == "4096"
    assert measure(volume) == live
    assert premises.shell(volume, "stat -c %s markitup.db").strip() == "4096"
    assert premises.readers() == []


def test_an_empty_volume_has_no_users(premises: Premises) -> None:
    """As that of an instance that was never started; nor has a database without tables."""
    volume = premises.volume()
    measured = measure(volume)
    assert measured is not None
    assert measured.users == 0
    assert measured.storage_bytes < MIB
    premises.shell(volume, "touch markitup.db")
    measured = measure(volume)
    assert measured is not None
    assert measured.users == 0


def test_what_is_not_there_is_not_made(premises: Premises, capfd: pytest.CaptureFixture[str]) -> None:
    """Docker would make a volume of any name that it is asked to mount; and another one's volume is not read."""
    assert measure(premises.nothing()) is None
    assert premises.yard.client.volumes.list(filters={"name": premises.cell}) == []
    assert "has no volume" in "".join(capfd.readouterr())
    stranger = premises.nothing("birch")
    made = premises.yard.client.volumes.create(stranger.name, labels=premises.labels("acme"))
    premises.yard.stack.callback(made.remove, force=True)
    assert measure(stranger) is None
    assert "is not labelled as the customer's" in "".join(capfd.readouterr())


def test_an_engine_that_does_not_answer(premises: Premises, capfd: pytest.CaptureFixture[str]) -> None:
    """Usage is unknown then, and the log says where to look."""
    nowhere = CellEngine(host="unix:///nonexistent.sock")
    assert measure(premises.nothing(host=nowhere)) is None
    assert "unix:///nonexistent.sock" in "".join(capfd.readouterr())


def test_links_are_not_followed(premises: Premises) -> None:
    """Neither to large things elsewhere, nor to a database of somebody's choice."""
    measured = used(premises, "ln -s /usr markdown/usr; ln -s / root; ln -s ../.. markdown/up")
    assert measured is not None
    assert measured.storage_bytes < MIB
    volume = premises.volume("birch")
    premises.shell(volume, "sqlite3 config/mine.db 'create table users(id)'; ln -s config/mine.db markitup.db")
    assert measure(volume) is None
    premises.shell(volume, "rm markitup.db; ln -s nowhere markitup.db")
    assert measure(volume) is None
    premises.shell(volume, "rm markitup.db; mkdir markitup.db")
    assert measure(volume) is None


def test_what_can_not_be_read_is_not_nothing(premises: Premises) -> None:
    """A folder that hides its content makes the usage unknown; so does a file that is no database."""
    assert used(premises, "mkdir markdown/hidden; cp /bin/sh markdown/hidden; chmod 0 markdown/hidden") is None
    volume = premises.volume("birch")
    premises.shell(volume, "head -c 8192 /dev/urandom >markitup.db")
    assert measure(volume) is None


def test_blocks_count_and_not_lengths(premises: Premises) -> None:
    """A file of 1 TB that is all hole takes no room; a file with two names takes its room once."""
    hole = "dd if=/dev/null of=hole bs=1M seek=1000000"
    measured = used(premises, f"{hole}; dd if=/dev/zero of=a bs=1M count=4; ln a b")
    assert measured is not None
    assert 4 * MIB <= measured.storage_bytes < 5 * MIB


def test_answers_can_not_be_forged(premises: Premises) -> None:
    """Names of files and tables reach no shell, and do not look like numbers."""
    script = """
    mkdir '$(touch pwned)' "markdown/a
9999999
b"
    sqlite3 markitup.db "create table users(id); insert into users values (char(10) || '7')"
    """
    measured = used(premises, script)
    assert measured is not None
    assert measured.users == 1


def test_a_cell_is_asked_through_ssh(premises: Premises, tmp_path: Path) -> None:
    """With the host key and the login that the settings name."""
    with ssh_server(tmp_path / "ssh") as server:
        volume = premises.volume(host=CellEngine(host=server.docker_host, ssh_options=server.options))
        keeper = premises.keeper(volume)
        run(keeper, "sqlite3 markitup.db 'create table users(id); insert into users values (1)'")
        measured = measure(volume)
        assert server.logins() >= 3
    assert measured is not None
    assert measured.users == 1
