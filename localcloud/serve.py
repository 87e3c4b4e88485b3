"""Runs the whole local cloud in one process and writes down where it is to be found."""

from __future__ import annotations

import json
import logging
import signal
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from flask import Flask
from werkzeug.serving import make_server

from localcloud.aws.api import Api
from localcloud.aws.kinds import aws
from localcloud.aws.s3_server import s3_server
from localcloud.cloudflare.http import cloudflare_blueprint
from localcloud.cloudflare.kinds import cloudflare
from localcloud.cloudflare.zones import Zones
from localcloud.faults import Faults
from localcloud.hetzner.app import hetzner_blueprint
from localcloud.mailbox import mailbox
from localcloud.provider import serve
from localcloud.store import Store
from localcloud.stripe_api.app import stripe_blueprint

ENDPOINTS = "endpoints.json"
STORE = "cloud.db"
MAIL = "mail"


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """Where the local cloud answers.

    Attributes:
        hetzner: Base URL of Hetzner's API.
        cloudflare: Base URL of Cloudflare's API.
        s3: Endpoint of S3 and IAM.
        stripe: Base address of Stripe's API, its hosted pages and its knobs.
        mail: Host and port of the mail server.
        debug_providers: Value of PULUMI_DEBUG_PROVIDERS for the engine.
    """

    hetzner: str
    cloudflare: str
    s3: str
    stripe: str
    mail: str
    debug_providers: str


@contextmanager
def local_cloud(
    folder: Path, *, http_port: int = 0, s3_port: int = 0, address: str = "127.0.0.1"
) -> Generator[Endpoints]:
    """Serve the local cloud whose state is in the folder.

    The HTTP ports may be fixed, so that what was declared with them stays valid after a restart. Containers reach
    them at the address of a bridge; nobody outside does.
    """
    with ExitStack() as stack:
        store = Store(folder / STORE)
        stack.callback(store.close)
        faults = Faults(store)
        zones = Zones(store)
        s3 = stack.enter_context(s3_server(folder / "s3-recording.jsonl", s3_port, address=address))
        mail = stack.enter_context(mailbox(folder / MAIL))
        clouds = (cloudflare(zones, faults), aws(Api(s3), faults))
        ports: dict[str, int] = {}
        for cloud in clouds:
            server, ports[cloud.name] = serve(cloud)
            stack.callback(lambda server=server: server.stop(grace=1).wait())
        app = Flask("localcloud")
        app.register_blueprint(hetzner_blueprint(store, faults, time.time), url_prefix="/hetzner/v1")
        app.register_blueprint(cloudflare_blueprint(zones, faults), url_prefix="/cloudflare/client/v4")
        stripe = stripe_blueprint(store, faults, time.time)
        stack.callback(stripe.close)
        app.register_blueprint(stripe, url_prefix="/stripe")
        http = make_server(address, http_port, app, threaded=True)
        thread = threading.Thread(target=http.serve_forever, name="localcloud-http")
        thread.start()
        stack.callback(thread.join)
        stack.callback(http.shutdown)
        base = f"http://{address}:{http.server_port}"
        yield Endpoints(
            hetzner=f"{base}/hetzner/v1",
            cloudflare=f"{base}/cloudflare/client/v4",
            s3=s3,
            stripe=f"{base}/stripe",
            mail=f"127.0.0.1:{mail}",
            debug_providers=",".join(f"{name}:{port}" for name, port in ports.items()),
        )


def serve_until_told(folder: Path, *, http_port: int, s3_port: int) -> None:
    """Serve until SIGTERM or SIGINT; ``endpoints.json`` exists as long as everything answers."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    path = folder / ENDPOINTS
    path.unlink(missing_ok=True)
    with local_cloud(folder, http_port=http_port, s3_port=s3_port) as endpoints:
        unfinished = path.with_suffix(".partial")
        unfinished.write_text(json.dumps(asdict(endpoints), indent=2))
        unfinished.replace(path)
        told.wait()
        path.unlink()


def read_endpoints(folder: Path) -> Endpoints | None:
    """Return where a running local cloud answers; None if none runs."""
    try:
        return Endpoints(**json.loads((folder / ENDPOINTS).read_text()))
    except FileNotFoundError:
        return None
