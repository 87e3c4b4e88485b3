"""The sender, in a process of its own: ``python -m bench.webhook.client PORT CONNECTIONS ROUNDS REQUESTS RATE``.

Each connection stays open, and sends one block of requests to each route in turn, so that what else the machine does
meets all of them alike: one request after another, or so many a second over all connections. Then a request's time
begins when it was due, so that one that waits for the answer before it is no quick one. Prints, for each route, the
milliseconds of each round's requests.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from http.client import HTTPResponse
from itertools import count
from uuid import uuid4

from bench.webhook.app import BARE, EMPTY, EVENT
from bench.webhook.event import signed_event

ROUTES = (BARE, EMPTY, EVENT)
TIMEOUT_SECONDS = 30


class Sender:
    """Sends the blocks of some connections, all of them on the same route at a time."""

    def __init__(self, port: int, *, connections: int, rounds: int, requests: int, rate: int) -> None:
        self._port = port
        self._rounds = rounds
        self._requests = requests
        self._rate = rate
        self._barrier = threading.Barrier(connections)
        self._connections = connections
        self.milliseconds: dict[str, list[list[float]]] = {route: [[] for _ in range(rounds)] for route in ROUTES}

    def run(self) -> None:
        """Send everything.

        Raises:
            RuntimeError: an answer was not 200.
        """
        failures: list[BaseException] = []

        def one(index: int) -> None:
            try:
                self._send_all(index)
            except BaseException as failure:  # noqa: BLE001 - told below, in the main thread
                failures.append(failure)
                self._barrier.abort()

        threads = [threading.Thread(target=one, args=(index,)) for index in range(self._connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def _send_all(self, index: int) -> None:
        with socket.create_connection(("127.0.0.1", self._port), timeout=TIMEOUT_SECONDS) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for number in range(self._rounds):
                for route in ROUTES:
                    block = list(_requests(route, self._requests))
                    self._barrier.wait()
                    begun = time.perf_counter()
                    for turn, request in enumerate(block):
                        place = turn * self._connections + index
                        due = begun + place / self._rate if self._rate else time.perf_counter()
                        self.milliseconds[route][number].append(_ask(connection, request, due))


def _requests(route: str, number: int) -> Iterator[bytes]:
    """Yield requests as they go over the wire; making and signing them is not measured."""
    head = f"{{}} {route} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    run = uuid4().hex
    for each in count():
        if each == number:
            return
        if route != EVENT:
            yield f"{head.format('GET')}\r\n".encode()
            continue
        body, signature = signed_event(f"evt_{run}{each:06d}")
        headers = f"Stripe-Signature: {signature}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        yield f"{head.format('POST')}{headers}\r\n".encode() + body


def _ask(connection: socket.socket, request: bytes, due: float) -> float:
    """Send a request when it is due; return the milliseconds from then until it was answered."""
    time.sleep(max(0.0, due - time.perf_counter()))
    connection.sendall(request)
    response = HTTPResponse(connection)
    response.begin()
    response.read()
    milliseconds = (time.perf_counter() - due) * 1000
    if response.status != 200:  # noqa: PLR2004 - what Stripe wants
        message = f"the service answered {response.status} to {request[:60]!r}"
        raise RuntimeError(message)
    return milliseconds


def main(arguments: list[str]) -> None:
    """Measure and print."""
    port, connections, rounds, requests, rate = map(int, arguments)
    sender = Sender(port, connections=connections, rounds=rounds, requests=requests, rate=rate)
    sender.run()
    json.dump(sender.milliseconds, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
