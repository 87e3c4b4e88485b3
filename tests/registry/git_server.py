"""Serves bare repositories over HTTP by git's own backend, for one token."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask, Response, request
from werkzeug.serving import make_server


@contextmanager
def git_server(folder: Path, *, token: str) -> Generator[str]:
    """Yield the base URL of the repositories in a folder; who has not the token is asked for a password."""
    app = Flask(__name__)

    @app.route("/<path:path>", methods=["GET", "POST"])
    def _serve(path: str) -> Response:
        login = request.authorization
        if login is None or (login.username, login.password) != ("x-access-token", token):
            return Response(status=401, headers={"WWW-Authenticate": 'Basic realm="git"'})
        environment = os.environ | {
            "GIT_PROJECT_ROOT": str(folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": "service",  # who has logged in may push
            "REQUEST_METHOD": request.method,
            "PATH_INFO": f"/{path}",
            "QUERY_STRING": request.query_string.decode(),
            "CONTENT_TYPE": request.content_type or "",
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            "HTTP_GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"], input=request.get_data(), env=environment, capture_output=True, check=True
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        return Response(body, status=int(headers.pop("Status", "200").split()[0]), headers=headers)

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
