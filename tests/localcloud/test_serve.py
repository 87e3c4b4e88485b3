"""The whole local cloud as a program: its endpoints, its restart, its command line, and real clients of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from typer.testing import CliRunner, Result

from localcloud.__main__ import app
from localcloud.serve import ENDPOINTS, STORE, Endpoints, local_cloud, read_endpoints
from tests.localcloud.engine_stub import EngineStub, engine_at, providers

ROOT = Path(__file__).parents[2]
ZONE = "cloudflare:index/dnsRecord:DnsRecord"
BUCKET = "aws:s3/bucket:Bucket"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
USER = "aws:iam/user:User"
KEY = "aws:iam/accessKey:AccessKey"
HETZNER = {"Authorization": f"Bearer {'a' * 64}"}
CLOUDFLARE = {"Authorization": "Bearer x"}


@dataclass(frozen=True, kw_only=True)
class Program:
    """A running ``python -m localcloud serve``."""

    process: subprocess.Popen[bytes]
    endpoints: Endpoints
    aws: EngineStub
    cloudflare: EngineStub
    log: Path


class Machine:
    """Starts and stops the program on one folder, any number of times."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack

    def start(self, *options: str) -> Program:
        """Start it and wait for its endpoints."""
        log, path = self.folder.with_suffix(".log"), self.folder / ENDPOINTS
        stale = path.stat().st_mtime_ns if path.exists() else 0
        argv = [sys.executable, "-m", "localcloud", "serve", "--folder", str(self.folder), *options]
        with log.open("ab") as output:
            process = subprocess.Popen(argv, cwd=ROOT, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        self._stack.callback(end, process, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while (endpoints := read_endpoints(self.folder)) is None or path.stat().st_mtime_ns == stale:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        ports = providers(endpoints.debug_providers)
        return Program(
            process=process,
            endpoints=endpoints,
            aws=self._stack.enter_context(engine_at(ports["aws"])),
            cloudflare=self._stack.enter_context(engine_at(ports["cloudflare"])),
            log=log,
        )

    def stop(self, program: Program) -> None:
        """Tell it to stop, and expect that it does so in good order."""
        assert end(program.process, signal.SIGTERM) == 0, program.log.read_text()
        assert not (self.folder / ENDPOINTS).exists()


def end(process: subprocess.Popen[bytes], number: int) -> int:
    """Send a signal to a process that still runs; return its exit code."""
    if process.poll() is None:
        process.send_signal(number)
    return process.wait(60)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with ExitStack() as stack:
        yield Machine(tmp_path / "cloud", stack)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def s3_client(stack: ExitStack, endpoint: str, *credentials: str) -> Any:
    """Return a client that is closed with the test."""
    key, secret = credentials or ("local", "local")
    session = boto3.Session(region_name="eu-central-1", aws_access_key_id=key, aws_secret_access_key=secret)
    client = session.client("s3", endpoint_url=endpoint)
    stack.callback(client.close)
    return client


def run(folder: Path, *argv: str) -> Result:
    """Run a command of ``python -m localcloud``."""
    return CliRunner().invoke(app, [argv[0], "--folder", str(folder), *argv[1:]])


def answer(folder: Path, *argv: str) -> Any:
    """Return what a command prints as JSON."""
    result = run(folder, *argv, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def post(url: str, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    """Post an object and return the answer."""
    response = httpx.post(url, json=body, headers=headers, timeout=30)
    response.raise_for_status()
    return response.json()


def test_endpoints_appear_and_vanish(machine: Machine) -> None:
    """The file is there while everything in it answers, and gone after an orderly end, whichever signal told it."""
    assert read_endpoints(machine.folder) is None
    for number in (signal.SIGTERM, signal.SIGINT):
        program = machine.start()
        endpoints = program.endpoints
        assert httpx.get(f"{endpoints.hetzner}/locations", headers=HETZNER).status_code == 200
        assert httpx.get(f"{endpoints.cloudflare}/zones", headers=CLOUDFLARE).json()["result"] == []
        assert httpx.get(endpoints.s3).status_code == 200
        assert program.aws.plugin_version() == version("pulumi-aws")
        assert program.cloudflare.plugin_version() == version("pulumi-cloudflare")
        assert end(program.process, number) == 0, program.log.read_text()
        assert not (machine.folder / ENDPOINTS).exists()
        assert not list(machine.folder.glob("*.partial"))
        with pytest.raises(httpx.TransportError):
            httpx.get(endpoints.s3)


def test_endpoints_of_a_crashed_run_are_replaced(machine: Machine) -> None:
    """A killed run leaves its file; the next run's takes its place, and fixed ports are the same again."""
    first = machine.start()
    ports = [first.endpoints.hetzner.split(":")[2].split("/")[0], first.endpoints.s3.rsplit(":", 1)[1]]
    assert end(first.process, signal.SIGKILL) == -signal.SIGKILL
    assert read_endpoints(machine.folder) == first.endpoints
    second = machine.start("--http-port", ports[0], "--s3-port", ports[1])
    assert (second.endpoints.hetzner, second.endpoints.s3) == (first.endpoints.hetzner, first.endpoints.s3)
    assert second.aws.plugin_version()
    machine.stop(second)


def test_everything_survives_a_restart(machine: Machine, stack: ExitStack) -> None:
    """Servers, zones, records, buckets, settings, objects and access keys are there again after two restarts."""
    program = machine.start()
    key_body = {"name": "ops", "public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 43}
    post(f"{program.endpoints.hetzner}/ssh_keys", key_body, HETZNER)
    zone = post(f"{program.endpoints.cloudflare}/zones", {"name": "example.org"}, CLOUDFLARE)["result"]["id"]
    record = {"zoneId": zone, "name": "www.example.org", "type": "A", "content": "203.0.113.1", "ttl": 300}
    record_id, record_state = program.cloudflare.create(ZONE, record)
    program.aws.create(BUCKET, {"bucket": "backups"})
    program.aws.create(VERSIONING, {"bucket": "backups", "versioningConfiguration": {"status": "Enabled"}})
    program.aws.create(USER, {"name": "restic"})
    key, key_state = program.aws.create(KEY, {"user": "restic"})
    s3 = s3_client(stack, program.endpoints.s3)
    content = bytes(range(256)) * 4096
    s3.put_object(Bucket="backups", Key="a/ü b%2Fc", Body=content)
    s3.put_object(Bucket="backups", Key="gone", Body=b"x")
    s3.delete_object(Bucket="backups", Key="gone")
    keys = {key}
    for _ in range(2):
        machine.stop(program)
        program = machine.start()
        names = [
            each["name"]
            for each in httpx.get(f"{program.endpoints.hetzner}/ssh_keys", headers=HETZNER).json()["ssh_keys"]
        ]
        assert names == ["ops"]
        assert program.cloudflare.read(ZONE, record_id, record_state)[1] == record_state
        assert program.aws.read(KEY, key, key_state) == (key, key_state, {"user": "restic", "status": "Active"})
        s3 = s3_client(stack, program.endpoints.s3)
        assert s3.get_bucket_versioning(Bucket="backups")["Status"] == "Enabled"
        assert [each["Key"] for each in s3.list_objects_v2(Bucket="backups")["Contents"]] == ["a/ü b%2Fc"]
        assert s3.get_object(Bucket="backups", Key="a/ü b%2Fc")["Body"].read() == content
        other, _ = program.aws.create(USER, {"name": f"other-{len(keys)}"})
        keys.add(program.aws.create(KEY, {"user": other})[0])
    assert len(keys) == 3
    machine.stop(program)


def test_what_many_wrote_at_once_survives_a_restart(machine: Machine, stack: ExitStack) -> None:
    """Uploads at the same time, small and large, are all there after a restart."""
    program = machine.start()
    program.aws.create(BUCKET, {"bucket": "backups"})
    s3 = s3_client(stack, program.endpoints.s3)
    sizes = {f"n{number}": 300_000 if number % 2 else 20 for number in range(60)}
    with ThreadPoolExecutor(max_workers=8) as threads:
        list(threads.map(lambda each: s3.put_object(Bucket="backups", Key=each[0], Body=b"x" * each[1]), sizes.items()))
    machine.stop(program)
    program = machine.start()
    listed = s3_client(stack, program.endpoints.s3).list_objects_v2(Bucket="backups")["Contents"]
    assert {each["Key"]: each["Size"] for each in listed} == sizes
    machine.stop(program)


def test_the_command_line_shows_what_exists(tmp_path: Path, stack: ExitStack) -> None:
    """`status` lists each cloud's things by kind, `--json` the same for programs; nothing is nothing."""
    assert answer(tmp_path, "status") == []
    assert "is empty" in run(tmp_path, "status").stdout
    with local_cloud(tmp_path) as endpoints:
        (tmp_path / ENDPOINTS).write_text(json.dumps(endpoints.__dict__))
        zone = post(f"{endpoints.cloudflare}/zones", {"name": "example.org"}, CLOUDFLARE)["result"]["id"]
        record = {"name": "www.example.org", "type": "A", "content": "203.0.113.1", "ttl": 300}
        record_id = post(f"{endpoints.cloudflare}/zones/{zone}/dns_records", record, CLOUDFLARE)["result"]["id"]
        with engine_at(providers(endpoints.debug_providers)["aws"]) as engine:
            engine.create(BUCKET, {"bucket": "backups"})
            engine.create(USER, {"name": "restic"})
        expected = [
            {"cloud": "cloudflare", "kind": "record", "id": record_id, "what": "www.example.org, A, 203.0.113.1"},
            {"cloud": "cloudflare", "kind": "zone", "id": zone, "what": "example.org, active"},
            {"cloud": "aws", "kind": "bucket", "id": "backups", "what": ""},
            {"cloud": "aws", "kind": "user", "id": "restic", "what": "arn:aws:iam::123456789012:user/restic"},
        ]
        assert answer(tmp_path, "status") == expected
        table = run(tmp_path, "status").stdout
        assert all(row["id"] in table for row in expected)
    rows = answer(tmp_path, "status")
    assert rows[:2] == expected[:2]
    assert "not reachable" in rows[2]["what"]


def test_the_command_line_orders_faults(tmp_path: Path) -> None:
    """`fault` makes calls of a running cloud fail as often as ordered, `clear` forgets them, `calls` counts."""
    with local_cloud(tmp_path) as endpoints:

        def codes(count: int) -> list[int]:
            url = f"{endpoints.hetzner}/locations"
            return [httpx.get(url, headers=HETZNER).status_code for _ in range(count)]

        assert run(tmp_path, "fault", "hetzner", "GET /loc*", "error", "--times", "2").exit_code == 0
        assert codes(3) == [503, 503, 200]
        run(tmp_path, "fault", "hetzner", "*", "rate-limited", "--times", "5")
        assert codes(1) == [429]
        assert run(tmp_path, "clear").exit_code == 0
        assert codes(1) == [200]
        run(tmp_path, "fault", "hetzner", "*", "slow", "--seconds", "0.5")
        started = time.monotonic()
        assert codes(1) == [200]
        assert time.monotonic() - started >= 0.5
        assert answer(tmp_path, "calls") == [{"cloud": "hetzner", "operation": "GET /locations", "count": 6}]
        assert "GET /locations" in run(tmp_path, "calls").stdout


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["aws", "create Bucket", "explode"], "crash-after-create"),
        (["aws", "create Bucket", "error", "--times", "0"], "at least 1"),
    ],
)
def test_the_command_line_refuses_nonsense(tmp_path: Path, argv: list[str], words: str) -> None:
    """A mode that does not exist or a count below one is refused in words and orders nothing."""
    result = run(tmp_path, "fault", *argv)
    assert result.exit_code == 2
    assert words in result.output
    assert not (tmp_path / STORE).exists()


@pytest.fixture
def backups(tmp_path: Path) -> Iterator[tuple[str, str, str]]:
    """Serve a cloud in which the engine has made a bucket, a user and a key: endpoint, key, secret."""
    with local_cloud(tmp_path / "cloud") as endpoints:
        with engine_at(providers(endpoints.debug_providers)["aws"]) as engine:
            engine.create(BUCKET, {"bucket": "backups"})
            engine.create(USER, {"name": "restic"})
            key, state = engine.create(KEY, {"user": "restic"})
        yield endpoints.s3, key, state["secret"]


def test_boto3_moves_files(backups: tuple[str, str, str], tmp_path: Path, stack: ExitStack) -> None:
    """A file of several parts comes back as it went, to the engine's bucket with the engine's key."""
    client = s3_client(stack, *backups)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(os.urandom(9 * 1024 * 1024))
    client.upload_file(str(source), "backups", "folder/file")
    client.download_file("backups", "folder/file", str(target))
    assert target.read_bytes() == source.read_bytes()
    assert client.head_object(Bucket="backups", Key="folder/file")["ETag"].endswith('-2"')


def test_restic_backs_up_and_restores(backups: tuple[str, str, str], tmp_path: Path) -> None:
    """The program that the cells back up with makes a repository, fills it, checks it and restores from it."""
    endpoint, key, secret = backups
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": "eu-central-1",
        "RESTIC_REPOSITORY": f"s3:{endpoint}/backups/eu-1",
        "RESTIC_PASSWORD": "correct horse",
        "RESTIC_CACHE_DIR": str(tmp_path / "cache"),
    }

    def restic(*argv: str) -> str:
        command = ["restic", *argv]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    notes = tmp_path / "data" / "notes"
    notes.mkdir(parents=True)
    (notes / "big").write_bytes(os.urandom(6 * 1024 * 1024))
    (notes / "plan.md").write_text("# Plan\n")
    restic("init")
    restic("backup", "data")
    (notes / "plan.md").write_text("# Other plan\n")
    restic("backup", "data")
    assert len(json.loads(restic("snapshots", "--json"))) == 2
    assert "no errors were found" in restic("check", "--read-data")
    first = json.loads(restic("snapshots", "--json"))[0]["id"]
    restic("restore", first, "--target", str(tmp_path / "restored"))
    restored = next((tmp_path / "restored").rglob("notes"))
    assert (restored / "plan.md").read_text() == "# Plan\n"
    assert (restored / "big").read_bytes() == (notes / "big").read_bytes()
    restic("forget", "--keep-last", "1", "--prune")
    assert len(json.loads(restic("snapshots", "--json"))) == 1
