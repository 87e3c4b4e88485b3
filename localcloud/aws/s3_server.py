"""The S3 (and IAM) API itself: moto's server, its state kept by its own recorder.

It stands for an S3 with TLS and has none. So statements of a bucket's policy about requests without TLS are left
out: moto, which knows no such condition, would refuse every object.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import requests
from moto.core.request import Request
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import FakeBucket
from moto.server import ThreadedMotoServer

SEED = 20_000
"""Any fixed number: access keys come out the same when the recording is played again."""


@contextmanager
def s3_server(recording: Path, port: int = 0, *, address: str = "127.0.0.1") -> Generator[str]:
    """Serve S3 and yield its URL; requests made before a restart are played again first.

    The recorder's file is named by an environment variable: one server a process.
    """
    os.environ["MOTO_RECORDER_FILEPATH"] = str(recording)
    from moto.moto_api import recorder  # noqa: PLC0415 - it reads the variable when it is made

    recorder._location = str(recording)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - moto may have been imported before
    record, lock = type(recorder)._record_request, threading.Lock()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]

    def record_alone(request: Request, body: bytes | None = None) -> None:
        with lock:  # moto's threads would write their lines into each other's, and no start could read that again
            record(recorder, request, body)

    recorder._record_request = record_alone  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    FakeBucket.get_permission = _permission  # pyright: ignore[reportAttributeAccessIssue] - its first parameter's name
    server = ThreadedMotoServer(ip_address=address, port=port, verbose=False)
    server.start()
    host, actual = server.get_host_and_port()
    url = f"http://{host}:{actual}"
    try:
        _post(f"{url}/moto-api/reset")  # moto's state is the process's: an earlier server's is not ours
        _post(f"{url}/moto-api/seed?a={SEED}")
        if recording.exists():
            recorder.replay_recording(target_host=url)
        recorder.start_recording()
        yield url
    finally:
        recorder.stop_recording()
        server.stop()


def _permission(bucket: FakeBucket, action: str, resource: str) -> PermissionResult:
    """Judge a request by the bucket's policy, as if it had come by TLS."""
    if bucket.policy is None:
        return PermissionResult.NEUTRAL
    policy = json.loads(bucket.policy)
    others = [each for each in policy["Statement"] if "aws:SecureTransport" not in json.dumps(each.get("Condition"))]
    return IAMPolicy(json.dumps({**policy, "Statement": others})).is_action_permitted(action, resource)


def _post(url: str) -> None:
    requests.post(url, timeout=30).raise_for_status()
