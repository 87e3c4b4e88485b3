"""The service under gunicorn, as docs/control-service.md runs it, on an empty database."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from bench.webhook.event import SECRET

ROOT = Path(__file__).parents[2]
START_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Service:
    """A running service.

    Attributes:
        port: Where it answers on 127.0.0.1.
        process: gunicorn's; its one child is the worker.
    """

    port: int
    process: subprocess.Popen[bytes]

    def resident_megabytes(self) -> float:
        """Return the memory of the process that answers."""
        master = self.process.pid
        worker = Path(f"/proc/{master}/task/{master}/children").read_text().split()[0]
        (line,) = [each for each in Path(f"/proc/{worker}/status").read_text().splitlines() if "VmRSS" in each]
        return round(int(line.split()[1]) * 1024 / 1e6, 1)


@contextmanager
def running(folder: Path, database_url: str) -> Generator[Service]:
    """Run it, with its log in the folder.

    Raises:
        RuntimeError: it did not become ready; the message says why.
    """
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HOSTING_")},
        "HOSTING_SETTINGS_FILE": str(ROOT / "Pulumi.prod.yaml"),
        "HOSTING_DATABASE_URL": database_url,
        "HOSTING_STRIPE_WEBHOOK_SECRETS": f"whsec_bench_before_0123456789,{SECRET}",
        "HOSTING_STRIPE_API_KEY": "sk_test_0123456789",
        "HOSTING_SECRET_KEY": "b" * 48,
    }
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = [sys.executable, "-m", "gunicorn", "--workers", "1", "--threads", "8", "--worker-class", "gthread"]
    argv += ["--bind", f"127.0.0.1:{port}", "bench.webhook.app:serve()"]
    log = folder / "service.log"
    with log.open("wb") as written:
        process = subprocess.Popen(argv, cwd=ROOT, env=variables, stdout=written, stderr=written)
    try:
        _await(process, port, log)
        yield Service(port=port, process=process)
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except HTTPError as refusal:
            with refusal:
                message = f"the service is not ready: {refusal.read().decode()}"
            raise RuntimeError(message) from None
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                message = f"the service did not become ready:\n{log.read_text()[-2000:]}"
                raise RuntimeError(message) from None
            time.sleep(0.1)
