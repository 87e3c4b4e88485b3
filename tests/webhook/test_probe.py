"""Looking whether an instance answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from webhook.probe import Probe

Serve = Callable[..., str]


@pytest.fixture
def asked() -> list[tuple[str, str]]:
    """Host header and path of each request that an instance got."""
    return []


@pytest.fixture
def serve(asked: list[tuple[str, str]]) -> Iterator[Serve]:
    """Runs an instance that gives one answer after the other; returns its URL by the name `wiki.test`."""
    with ExitStack() as stack:

        def started(*answers: tuple[int, bytes]) -> str:
            left = list(answers)

            class Instance(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    asked.append((self.headers["Host"], self.path))
                    code, body = left.pop(0) if len(left) > 1 else left[0]
                    self.send_response(code)
                    self.end_headers()
                    self.wfile.write(body)

                def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                    pass

            server = ThreadingHTTPServer(("127.0.0.1", 0), Instance)
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            Thread(target=server.serve_forever, daemon=True).start()
            return f"http://wiki.test:{server.server_address[1]}"

        yield started


@pytest.fixture
def probe() -> Probe:
    """Finds every instance on this machine, as the demo does."""
    return Probe(connect_host="127.0.0.1")


@pytest.mark.parametrize(
    ("code", "body", "healthy"),
    [
        (200, b'{"status":"healthy"}', True),
        (200, b'{"status":"degraded"}', False),
        (200, b"{}", False),
        (200, b"[]", False),
        (200, b'"healthy"', False),
        (200, b"<html>", False),
        (200, b"\xff", False),
        (503, b'{"status":"healthy"}', False),
    ],
)
def test_the_body_counts(serve: Serve, probe: Probe, code: int, body: bytes, healthy: bool) -> None:
    """The app answers 200 even when its database is gone."""
    answer = probe.ask(serve((code, body)))
    assert (answer.healthy, answer.code) == (healthy, code)
    assert answer.detail == ("healthy" if healthy else f"HTTP {code}")


def test_it_asks_as_the_customer_would(serve: Serve, probe: Probe, asked: list[tuple[str, str]]) -> None:
    """By the instance's name, wherever the connection goes."""
    url = serve((200, b'{"status":"healthy"}'))
    assert probe.ask(f"{url}/").healthy
    assert asked == [(url.removeprefix("http://"), "/api/health")]


def test_silence_is_an_answer(probe: Probe) -> None:
    """Where nothing listens it says so and does not raise."""
    answer = probe.ask("http://wiki.test:9")
    assert (answer.healthy, answer.code) == (False, None)
    assert answer.detail


def test_it_waits_until_it_is_healthy(serve: Serve, probe: Probe) -> None:
    """Asking again after a pause each time."""
    pauses: list[float] = []
    url = serve((502, b""), (200, b'{"status":"degraded"}'), (200, b'{"status":"healthy"}'))
    assert probe.wait(url, seconds=30, sleep=pauses.append).healthy
    assert len(pauses) == 2


def test_it_does_not_wait_forever(serve: Serve, probe: Probe) -> None:
    """The last answer says what was wrong."""
    answer = probe.wait(serve((502, b"")), seconds=-1, sleep=lambda _: pytest.fail("it paused after its time"))
    assert (answer.healthy, answer.code) == (False, 502)
