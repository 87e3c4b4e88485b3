"""The control server's Caddy: what it lets through, and what it does while its web process is exchanged."""

from __future__ import annotations

import dataclasses
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from edge.caddyfile import ControlEdgeSettings, control_caddyfile, fallback_page
from tests.edge.test_caddyfile import own_caddy, parts, run, stock_caddy

__all__ = ["own_caddy", "stock_caddy"]  # fixtures: pytest finds them here

INTERNAL = ControlEdgeSettings(domain="markitup.localhost", tls="internal", web="web:8300")
CLOUDFLARE = dataclasses.replace(INTERNAL, tls="cloudflare", acme_email="ops@markitup.io")
BOTH = pytest.mark.parametrize("settings", [INTERNAL, CLOUDFLARE], ids=lambda each: each.tls)

PUBLIC = [
    "/webhooks/stripe", "/checkout", "/checkout/done?session=1", "/portal", "/portal/plan", "/pricing", "/docs/help",
    "/docs/help/start", "/static/site.css", "/healthz",
]  # fmt: skip
PRIVATE = ["/internal/ask?domain=x", "/internal/placard", "/metrics", "/readyz"]
CLOSED = [
    *PRIVATE, "/internal", "/admin", "/portalx", "/docs", "//internal/ask", "/portal/../internal/ask", "/METRICS",
    "/portal/%2e%2e/metrics", "/static/..%2freadyz", "/%6detrics",
]  # fmt: skip


@dataclass
class Web:
    """A stand-in for the web process that notes what reaches it.

    Attributes:
        port: Where it listens.
        seen: Method, path, body and headers of each request.
        breaks: How many of the next requests it drops without an answer.
    """

    port: int = 0
    seen: list[tuple[str, str, bytes, dict[str, str]]] = field(default_factory=list)
    breaks: int = 0


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A running Caddy."""

    https_port: int
    private_port: int
    context: ssl.SSLContext

    def request(self, host: str, path: str, method: str = "GET", **options: object) -> httpx.Response:
        """Ask by TLS, with the path exactly as given."""
        url = httpx.URL(f"https://127.0.0.1:{self.https_port}").copy_with(raw_path=path.encode())
        headers = {"Host": host, **options.pop("headers", {})}  # type: ignore[dict-item]
        with httpx.Client(verify=self.context, timeout=20) as client:
            return client.request(method, url, headers=headers, extensions={"sni_hostname": host}, **options)  # type: ignore[arg-type]

    def ask(self, path: str) -> httpx.Response:
        """Ask as a cell does."""
        return httpx.get(f"http://127.0.0.1:{self.private_port}{path}", timeout=20)


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture(scope="module")
def serving() -> Iterator[Web]:
    """A web process for all tests."""
    state = Web()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            state.seen.append((self.command, self.path, body, dict(self.headers)))
            if state.breaks:
                state.breaks -= 1
                self.close_connection = True
                return
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        do_GET = do_POST = answer  # noqa: N815 - as the base class has it

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *args: object) -> None:
            """Say nothing of a connection that Caddy has cut off."""

    server = Server(("127.0.0.1", 0), Handler)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def web(serving: Web) -> Web:
    """The same, with nothing seen yet."""
    serving.seen.clear()
    serving.breaks = 0
    return serving


@pytest.fixture(scope="module")
def caddies(stock_caddy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Edge]]:
    """Starts a Caddy in front of an address."""
    running: list[subprocess.Popen[bytes]] = []

    def start(upstream: str) -> Edge:
        folder = tmp_path_factory.mktemp("caddy")
        (folder / "fallback.html").write_text(fallback_page())
        https, http, private = free_port(), free_port(), free_port()
        text = control_caddyfile(dataclasses.replace(INTERNAL, web=upstream))
        for old, new in (
            ("admin unix//run/caddy/admin.sock", f"admin off\n\thttp_port {http}\n\thttps_port {https}"),
            ("/data/caddy", str(folder / "data")),
            ("root * /etc/caddy", f"root * {folder}"),
            ("http://:8300 {", f"http://:{private} {{"),
        ):
            assert old in text
            text = text.replace(old, new)
        path = folder / "Caddyfile"
        path.write_text(text)
        argv = [str(stock_caddy), "run", "--config", str(path), "--adapter", "caddyfile"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=log)
        running.append(process)
        root = folder / "data" / "pki" / "authorities" / "local" / "root.crt"
        certificates = folder / "data" / "certificates" / "local"
        deadline = time.monotonic() + 30
        while len(list(certificates.glob("*/*.crt"))) < 3:
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.1)
        return Edge(https_port=https, private_port=private, context=ssl.create_default_context(cafile=str(root)))

    yield start
    for process in running:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(scope="module")
def edge(caddies: Callable[[str], Edge], serving: Web) -> Edge:
    """Caddy in front of the web process."""
    return caddies(f"127.0.0.1:{serving.port}")


def test_our_caddy_takes_production(own_caddy: Path, tmp_path: Path) -> None:
    """With the module for certificates by DNS."""
    done = run(own_caddy, "validate", control_caddyfile(CLOUDFLARE), tmp_path)
    assert done.returncode == 0, done.stderr


@BOTH
def test_it_is_formatted(settings: ControlEdgeSettings, stock_caddy: Path, tmp_path: Path) -> None:
    """As `caddy fmt` writes it: people read the rendered file on the server."""
    path = tmp_path / "Caddyfile"
    path.write_text(control_caddyfile(settings))
    done = subprocess.run([stock_caddy, "fmt", path], capture_output=True, text=True, check=False)
    assert done.stdout == path.read_text()


def test_certificates_are_for_three_names(own_caddy: Path, tmp_path: Path) -> None:
    """By DNS, with a token from the environment; none is made on demand."""
    done = run(own_caddy, "adapt", control_caddyfile(CLOUDFLARE), tmp_path)
    assert done.returncode == 0, done.stderr
    adapted = json.loads(done.stdout)
    policies = adapted["apps"]["tls"]["automation"]["policies"]
    names = {name for each in policies for name in each.get("subjects", [])}
    assert names == {"markitup.localhost", "portal.markitup.localhost", "www.markitup.localhost"}
    assert {each["api_token"] for each in parts(adapted) if "api_token" in each} == {"{env.CLOUDFLARE_API_TOKEN}"}
    assert not any("on_demand" in each for each in policies)
    assert adapted["admin"] == {"listen": "unix//run/caddy/admin.sock", "config": {"persist": False}}


@pytest.mark.parametrize("host", ["markitup.localhost", "portal.markitup.localhost"])
@pytest.mark.parametrize("path", PUBLIC)
def test_the_shared_pages_are_passed_on(edge: Edge, web: Web, host: str, path: str) -> None:
    """As they were asked for, at both names."""
    assert edge.request(host, path).text == "ok"
    assert [(method, asked) for method, asked, _, _ in web.seen] == [("GET", path)]
    assert web.seen[0][3]["Host"] == host


@pytest.mark.parametrize("host", ["markitup.localhost", "portal.markitup.localhost"])
@pytest.mark.parametrize("path", CLOSED)
def test_nothing_else_is(edge: Edge, web: Web, host: str, path: str) -> None:
    """What is for cells and monitoring is not there for the internet, in whatever spelling."""
    assert edge.request(host, path).status_code == 404
    assert web.seen == []


@pytest.mark.parametrize("path", [*PRIVATE, "/healthz"])
def test_cells_and_monitoring_ask_at_the_private_port(edge: Edge, web: Web, path: str) -> None:
    """For exactly what the internet does not get."""
    assert edge.ask(path).text == "ok"
    assert web.seen[0][1] == path


@pytest.mark.parametrize("path", ["/portal", "/webhooks/stripe", "/"])
def test_the_private_port_has_no_pages(edge: Edge, web: Web, path: str) -> None:
    """A customer's wiki that got there would find no portal to talk to."""
    assert edge.ask(path).status_code == 404
    assert web.seen == []


def test_bare_names_lead_to_a_page(edge: Edge) -> None:
    """The apex to the prices, the portal's to the portal, www to the apex with path and query."""
    for host, path, target in (
        ("markitup.localhost", "/", "https://markitup.localhost/pricing"),
        ("portal.markitup.localhost", "/", "https://portal.markitup.localhost/portal"),
        ("www.markitup.localhost", "/pricing?a=b", "https://markitup.localhost/pricing?a=b"),
    ):
        answer = edge.request(host, path)
        assert (answer.status_code // 100, answer.headers["Location"]) == (3, target)


def test_the_visitors_address_is_not_made_up(edge: Edge, web: Web) -> None:
    """What a client claims is replaced: the service limits by it."""
    headers = {"X-Forwarded-For": "192.0.2.1", "CF-Connecting-IP": "192.0.2.2", "X-Real-IP": "192.0.2.3"}
    edge.request("markitup.localhost", "/pricing", headers=headers)
    seen = web.seen[0][3]
    assert seen["X-Forwarded-For"] == "127.0.0.1"
    assert not {"Cf-Connecting-Ip", "CF-Connecting-IP", "X-Real-Ip", "X-Real-IP"} & set(seen)


def test_an_event_that_breaks_on_the_way_is_sent_again(edge: Edge, web: Web) -> None:
    """Whole: the web process that had it may have been on its way out."""
    web.breaks = 1
    body = b'{"id": "evt_1"}' * 10_000
    headers = {"Stripe-Signature": "t=1,v1=x"}
    assert edge.request("markitup.localhost", "/webhooks/stripe", "POST", content=body, headers=headers).text == "ok"
    assert [(method, seen) for method, _, seen, _ in web.seen] == [("POST", body)] * 2
    assert web.seen[1][3]["Stripe-Signature"] == "t=1,v1=x"


def test_an_order_that_breaks_on_the_way_is_not_sent_again(edge: Edge, web: Web) -> None:
    """Nobody knows whether it was carried out: the person decides."""
    web.breaks = 1
    answer = edge.request("portal.markitup.localhost", "/portal/cancel", "POST", content=b"sure=yes")
    assert answer.status_code == 503
    assert len(web.seen) == 1


def test_uploads_are_bounded(edge: Edge, web: Web) -> None:
    """Nobody sends megabytes to the shared pages: what is too long is cut off and refused."""
    answer = edge.request("portal.markitup.localhost", "/portal", "POST", content=b"x" * 1_100_000)
    assert answer.status_code == 413
    assert all(len(body) < 1_100_000 for _, _, body, _ in web.seen)


def test_an_event_waits_for_the_web_process(caddies: Callable[[str], Edge]) -> None:
    """Seconds without one are bridged; after eight there is a page, and Stripe is told to come again."""
    port = free_port()
    edge = caddies(f"127.0.0.1:{port}")
    started = time.monotonic()
    answer = edge.request("markitup.localhost", "/webhooks/stripe", "POST", content=b"{}")
    assert 7 < time.monotonic() - started < 12
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert "Back in a moment" in answer.text

    class Late(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    def come() -> None:
        time.sleep(2)
        with ThreadingHTTPServer(("127.0.0.1", port), Late) as server:
            server.handle_request()

    thread = threading.Thread(target=come)
    thread.start()
    try:
        assert edge.request("markitup.localhost", "/webhooks/stripe", "POST", content=b"{}").status_code == 204
    finally:
        thread.join()
