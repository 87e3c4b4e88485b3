"""What goes wrong with backups on real Engines, disks and buckets: it is told, and nothing counts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from tests.integration.data.premises import DOCKER_HOST, NOW, Premises, run
from tests.integration.images.yard import wait_for
from webhook import customer_volume
from webhook.backup import BackupError
from webhook.bucket import Bucket, Readable
from webhook.cell_engine import CellEngine
from webhook.customer_volume import EXPIRES

ROOT = Path(__file__).parents[3]
MIB = 1024**2


@dataclass(frozen=True, kw_only=True)
class MeddledBucket(Bucket):
    """A real bucket with somebody at work around uploads.

    Attributes:
        before: Told of the key when an upload has begun.
        after: Told of the key when it is there.
    """

    before: Callable[[str], None] = lambda _: None
    after: Callable[[str], None] = lambda _: None

    def upload(self, key: str, stream: Readable) -> None:
        self.before(key)
        super().upload(key, stream)
        self.after(key)


def meddled(premises: Premises, **what: Callable[[str], None]) -> MeddledBucket:
    """The premises' bucket, with somebody at work."""
    return MeddledBucket(client=premises.bucket.client, name=premises.bucket.name, **what)


def refused(premises: Premises, volume: customer_volume.CustomerVolume, **changes: object) -> str:
    """Fail to back up; return what is said, once nothing counts and nothing is left on the cell."""
    with pytest.raises(BackupError) as failure:
        premises.back_up(volume, **changes)
    assert premises.recorded() == []
    assert not [key for key in premises.objects() if key.endswith(".sha256") and "/acme/" in key]
    wait_for("no container is left", lambda: premises.readers() == [])
    text = str(failure.value)
    assert text.startswith("acme has no new daily backup, nothing is recorded")
    assert "Fix: " in text
    return text


def no_upload_is_left(premises: Premises) -> None:
    """Begun and neither completed nor aborted, it would be paid for."""
    uploads = premises.bucket.client.list_multipart_uploads(Bucket=premises.bucket.name)
    assert uploads.get("Uploads", []) == []


def noise(premises: Premises, megabytes: int) -> customer_volume.CustomerVolume:
    """A volume with a database, and files that can't be compressed."""
    volume = premises.volume()
    premises.shell(volume, "sqlite3 markitup.db 'create table users(id); insert into users values (1)'")
    premises.shell(volume, f"dd if=/dev/urandom of=uploads/noise bs=1M count={megabytes} 2>/dev/null")
    return volume


def test_a_bit_that_fell_over_in_the_bucket(premises: Premises) -> None:
    """And another archive in its place, and half of it: each is read back, and is none."""
    volume = noise(premises, 1)
    put = premises.bucket.client.put_object
    other = b"".join(premises.bucket.read(premises.back_up(premises.volume("birch")).s3_key))

    def changed(change: Callable[[bytes], bytes]) -> Callable[[str], None]:
        def meddle(key: str) -> None:
            body = change(b"".join(premises.bucket.read(key)))
            put(Bucket=premises.bucket.name, Key=key, Body=body)

        return meddle

    half = changed(lambda body: body[: len(body) // 2])
    assert "damaged or incomplete" in refused(premises, volume, bucket=meddled(premises, after=half))
    middle = changed(lambda body: body[:5000] + bytes([body[5000] ^ 1]) + body[5001:])
    assert "damaged or incomplete" in refused(premises, volume, bucket=meddled(premises, after=middle))
    assert "check sum" in refused(premises, volume, bucket=meddled(premises, after=changed(lambda _: other)))
    gone = meddled(
        premises, after=lambda key: premises.bucket.client.delete_object(Bucket=premises.bucket.name, Key=key)
    )
    assert "NoSuchKey" in refused(premises, volume, bucket=gone)
    premises.back_up(volume)
    assert len(premises.recorded()) == 1


def test_a_container_that_is_killed_in_the_middle(premises: Premises) -> None:
    """Its upload leaves no object and no part."""
    volume = noise(premises, 64)

    def kill(_: str) -> None:
        wait_for("it reads", lambda: [each.status for each in premises.readers()] == ["running"])
        premises.readers()[0].kill()

    text = refused(premises, volume, bucket=meddled(premises, before=kill))
    no_upload_is_left(premises)
    assert "it took too long, or more memory than there is" in text
    assert premises.objects() == []


def test_it_takes_too_long(premises: Premises, monkeypatch: pytest.MonkeyPatch) -> None:
    """The container ends itself; nobody has to."""
    volume = noise(premises, 64)
    monkeypatch.setattr("webhook.backup.BACKUP_SECONDS", 1)
    assert "it took too long" in refused(premises, volume)
    assert premises.objects() == []


def test_no_such_bucket_and_no_s3(premises: Premises) -> None:
    """The message names the bucket; the container does not wait for it."""
    volume = noise(premises, 40)
    wrong = replace(premises.bucket, name=f"{premises.bucket.name}-x")
    text = refused(premises, volume, bucket=wrong)
    assert "NoSuchBucket" in text or "404" in text
    assert f"s3://{wrong.name}/" in text
    client = boto3.client(
        "s3",
        endpoint_url="http://127.0.0.1:9",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name="eu-central-1",
        config=Config(retries={"total_max_attempts": 2}, connect_timeout=2),
    )
    text = refused(premises, volume, bucket=Bucket(client=client, name=premises.bucket.name))
    assert "Could not connect" in text


def test_the_customers_disk_is_full(premises: Premises) -> None:
    """A full volume is backed up all the same, unless SQLite lacks the room to read its log: that is told."""
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=1001,gid=1001"}
    volume = premises.volume(options=options)
    keeper = premises.keeper(volume)
    run(keeper, "sqlite3 markitup.db 'pragma journal_mode=wal; create table users(id)'")
    run(keeper, "dd if=/dev/zero of=filler bs=1k || true")
    assert "SQLite can't read its database" in refused(premises, volume)
    run(keeper, "rm filler; sqlite3 markitup.db 'pragma journal_mode=delete'; dd if=/dev/zero of=filler bs=1k || true")
    premises.back_up(volume)
    assert len(premises.recorded()) == 1


def test_no_room_here_to_look_at_the_database(
    premises: Premises, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control server's own full disk is not mistaken for a damaged archive."""
    volume = premises.volume()
    script = "create table users(id); create table t(x); insert into t values (randomblob(1000000))"
    premises.shell(volume, f"sqlite3 markitup.db '{script}'")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)], check=True)
    try:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        with tempfile.TemporaryFile():
            pass
        assert "No space left on device" in refused(premises, volume)
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_database_that_is_damaged(premises: Premises) -> None:
    """SQLite copies it page by page and says nothing; reading back does."""
    volume = premises.volume()
    rows = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000) select i, hex(i) from n"
    premises.shell(
        volume,
        f"sqlite3 markitup.db 'create table users(id); create table t(a, b); create index i on t(b);"
        f" insert into t {rows}'; dd if=/dev/urandom of=markitup.db bs=4096 seek=9 count=3 conv=notrunc 2>/dev/null",
    )
    assert "its database is damaged" in refused(premises, volume)
    premises.shell(volume, "rm markitup.db; ln -s config/other.db markitup.db")
    assert "no regular file" in refused(premises, volume)
    premises.shell(volume, "rm markitup.db; echo secret >markdown/secret-plan.md; chmod 0 markdown/secret-plan.md")
    text = refused(premises, volume)
    assert "could not be read to its end" in text
    assert "secret" not in text


@pytest.mark.parametrize(
    "lie", ["set -- -cf - manifest.json", "echo '{}' >manifest.json"], ids=["no database", "another manifest"]
)
def test_a_tar_that_says_it_is_done(premises: Premises, lie: str) -> None:
    """And left the database out, or packed something else: the archive is whole, and not what the instance has."""
    script = rf"#!/bin/sh\n{lie}\nexec busybox tar \"\$@\"\n"
    file = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nUSER root\n"
    file += f'RUN rm /usr/bin/tar && printf "{script}" >/usr/bin/tar && chmod 755 /usr/bin/tar\nUSER 1001:1001\n'
    image = premises.yard.image(file, premises.image)
    text = refused(premises, replace(noise(premises, 1), image=image))
    assert "it does not hold what the instance has" in text


def test_a_volume_that_is_not_there(premises: Premises) -> None:
    """Is not made; an image that is not there is not pulled."""
    assert "has no volume" in refused(premises, premises.nothing())
    assert premises.yard.client.volumes.list(filters={"name": premises.cell}) == []
    elsewhere = replace(premises.volume(), image="hosting-local/nothing:1")
    assert "No such image" in refused(premises, elsewhere)
    unreachable = premises.nothing(host=CellEngine(host="ssh://nobody@127.0.0.1:9", ssh_options=("-F", "none")))
    assert "ssh://nobody@127.0.0.1:9" in refused(premises, unreachable)


WORKER = """
import sys
from datetime import datetime
import boto3
from webhook.backup import back_up
from webhook.bucket import Bucket
from webhook.cell_engine import CellEngine
from webhook.customer_volume import CustomerVolume
from webhook.database.backups import BackupKind
from webhook.database.engine import open_database

url, s3, bucket, host, image, cell, customer, now = sys.argv[1:]
key = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
client = boto3.client("s3", endpoint_url=s3, region_name="eu-central-1", **key)
volume = CustomerVolume(engine=CellEngine(host=host), image=image, cell=cell, customer_id=customer)
client.list_buckets()
engine, moment = open_database(url), datetime.fromisoformat(now)
back_up(volume, Bucket(client=client, name=bucket), engine, kind=BackupKind.DAILY, now=moment)
"""


def worker(premises: Premises, s3: str, customer_id: str = "acme") -> subprocess.Popen[str]:
    """Back up in a process of its own."""
    arguments = [
        premises.engine.url.render_as_string(hide_password=False),
        *(s3, premises.bucket.name, DOCKER_HOST, premises.image, premises.cell, customer_id, NOW.isoformat()),
    ]
    return subprocess.Popen([sys.executable, "-c", WORKER, *arguments], cwd=ROOT, text=True, stdout=subprocess.PIPE)


def test_memory_does_not_grow_with_the_volume(premises: Premises, s3: str) -> None:
    """200 MB that can't be compressed pass through a few parts' worth of memory, also when they are read back."""
    noise(premises, 200)
    most: dict[str, int] = {}
    with worker(premises, s3) as process:
        begun = 0
        while process.poll() is None:
            for name, mebibytes in peaks(process.pid):
                most[name] = max(most.get(name, 0), mebibytes)
            if not begun and premises.readers():
                begun = most["-c"]
            time.sleep(0.02)
    assert process.returncode == 0
    (record,) = premises.recorded()
    assert record.size_bytes > 200 * MIB
    assert begun > 0
    assert most["-c"] - begun < 100, (begun, most)
    assert most["archive_check.py"] < 40, most


def peaks(pid: int) -> Iterator[tuple[str, int]]:
    """Peak memory, in MiB, of a worker (as `-c`) and of the programs that it runs; one just forked has no name yet."""
    with suppress(FileNotFoundError, ProcessLookupError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for each in (str(pid), *children):
            words = Path(f"/proc/{each}/cmdline").read_text().split("\0")
            name = next((Path(word).name for word in words if word == "-c" or word.endswith(".py")), None)
            peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{each}/status").read_text())
            if name is not None and peak is not None:
                yield name, int(peak[1]) // 1024


def test_a_killed_worker_leaves_no_container(premises: Premises, s3: str) -> None:
    """What ran comes to its end by itself; what was only created is removed by whoever reads next, once it expired."""
    volume = noise(premises, 100)
    process = worker(premises, s3)
    wait_for("it reads", lambda: [each.status for each in premises.readers()] == ["running"], seconds=30)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    wait_for("its container has ended", lambda: premises.readers() == [], seconds=60)
    assert premises.recorded() == []
    mounts = [f"{volume.name}:/app/data/files"]
    premises.yard.client.containers.create(premises.image, labels={EXPIRES: "1000000000"}, volumes=mounts)
    waited_for = premises.yard.create(premises.image, labels={EXPIRES: "9999999999"}, volumes=mounts)
    premises.back_up(volume)
    assert [each.id for each in premises.readers()] == [waited_for.id]
