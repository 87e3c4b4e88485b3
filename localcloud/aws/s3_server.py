"""The S3 (and IAM) API itself: moto's server, its state kept by its own recorder."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import requests
from moto.core.request import Request
from moto.server import ThreadedMotoServer

SEED = 20_000
"""Any fixed number: access keys come out the same when the recording is played again."""


@contextmanager
def s3_server(recording: Path, port: int = 0) -> Generator[str]:
    """Serve S3 on 127.0.0.1 and yield its URL; requests made before a restart are played again first.

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
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
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


def _post(url: str) -> None:
    requests.post(url, timeout=30).raise_for_status()
