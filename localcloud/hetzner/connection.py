"""Ends a request without any answer, as a cloud does that breaks down."""

from __future__ import annotations

import contextlib
import socket

from flask import Request

_SOCKETS = ("werkzeug.socket", "gunicorn.socket")


def drop(request: Request) -> None:
    """Close the connection of a request; what is answered after this reaches nobody.

    Raises:
        ConnectionAbortedError: there is no connection to close (Flask's test client).
    """
    for name in _SOCKETS:
        connection = request.environ.get(name)
        if isinstance(connection, socket.socket):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            return
    msg = "the simulated cloud dropped this call without an answer"
    raise ConnectionAbortedError(msg)
