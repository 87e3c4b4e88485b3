"""The program of images/control that backs the management database up, on a real S3 API."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import boto3
import pytest

from localcloud.aws.s3_server import s3_server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PROGRAM = Path(__file__).parents[2] / "images" / "control" / "backup_database.py"
BUCKET = "backups"


class Finished(BaseException):
    """Ends the program's endless loop."""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the program, with a dump of three words and a note of the last backup of the test's own."""
    spec = importlib.util.spec_from_file_location("backup_database", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "DONE", tmp_path / "backup-done")
    monkeypatch.setattr(module, "DUMP", ("printf", "all of it"))
    monkeypatch.setattr(module, "READ_BACK", ("cat",))
    return module


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3Client]:
    """Serve S3 with one bucket."""
    with s3_server(tmp_path / "recording") as url:
        client = boto3.client(
            "s3", endpoint_url=url, aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1"
        )
        client.create_bucket(Bucket=BUCKET)
        yield client


def test_a_dump_that_is_read_back_counts(program: ModuleType, s3: S3Client) -> None:
    """It is the newest, and the container is healthy."""
    key = program.back_up(s3, BUCKET)
    assert program.newest(s3, BUCKET)[0] == key
    assert program.main(["backup", "check"]) == 0


def test_a_dump_that_can_t_be_read_back_does_not_count(
    program: ModuleType, s3: S3Client, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It stays in the bucket, as nobody may delete there; but the next try is soon, and nothing restores it."""
    monkeypatch.setattr(program, "READ_BACK", ("false",))
    sleeps: list[float] = []

    def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        if len(sleeps) == 2:
            raise Finished

    monkeypatch.setattr(program.time, "sleep", sleep)
    with pytest.raises(Finished):
        program.every_day(s3, BUCKET)
    assert capsys.readouterr().out.count("backup failed") == 2
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] > 0
    assert program.main(["backup", "check"]) == 1
    with pytest.raises(program.BackupError):
        program.newest(s3, BUCKET)


def test_a_dump_that_comes_back_as_another_one_does_not_count(
    program: ModuleType, s3: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it has the same size and the program that reads it finds no fault."""
    upload = s3.upload_fileobj

    def changed(file: object, bucket: str, key: str, **options: object) -> None:
        upload(file, bucket, key, **options)  # pyright: ignore[reportArgumentType]
        s3.put_object(Bucket=bucket, Key=key, Body=b"ALL OF IT")

    monkeypatch.setattr(s3, "upload_fileobj", changed)
    with pytest.raises(program.BackupError, match="is not what was dumped"):
        program.back_up(s3, BUCKET)
    with pytest.raises(program.BackupError):
        program.newest(s3, BUCKET)
