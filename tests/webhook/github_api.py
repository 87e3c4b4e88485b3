"""What GitHub's REST API answers about pull requests of one repository: shapes, limits and errors as documented."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.serving import make_server

NAME = "acme/registry"
TOKEN = "ghp_0123456789abcdef"


@dataclass
class GitHub:
    """The repository's branches and pull requests, and what goes wrong with it.

    Attributes:
        url: Base URL of the API.
        branches: Branch to commit.
        pulls: Pull requests by number, as the API gives them.
        comments: Number and text, in order.
        answers: Statuses to answer with instead, one each for the next requests.
        requests: What was asked: method and path.
    """

    url: str = ""
    branches: dict[str, str] = field(default_factory=lambda: {"main": "0" * 40})
    pulls: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    comments: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    answers: list[int] = field(default_factory=list[int])
    requests: list[str] = field(default_factory=list[str])

    def merge(self, number: int) -> None:
        """Merge a pull request, as a reviewer."""
        self.pulls[number] |= {"state": "closed", "merged_at": "2026-01-15T12:00:00Z"}

    def refuse(self, number: int) -> None:
        """Close it unmerged, as a reviewer."""
        self.pulls[number] |= {"state": "closed"}


@contextmanager
def github() -> Generator[GitHub]:
    """Serve the API on a port of this machine."""
    state = GitHub()
    server = make_server("127.0.0.1", 0, _app(state), threaded=True)
    state.url = f"http://127.0.0.1:{server.server_port}/api/v3"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _app(state: GitHub) -> Flask:
    app = Flask(__name__)
    root = f"/api/v3/repos/{NAME}"

    @app.before_request
    def _door() -> tuple[Response, int] | None:
        state.requests.append(f"{request.method} {request.path.removeprefix('/api/v3')}")
        if state.answers:
            status = state.answers.pop(0)
            return jsonify({"message": "Not Found" if status == 404 else "Server Error"}), status
        if request.headers.get("Authorization") != f"token {TOKEN}":
            return jsonify({"message": "Bad credentials", "documentation_url": "https://docs.github.com/rest"}), 401
        return None

    @app.errorhandler(404)
    def _nothing(_: Exception) -> tuple[Response, int]:
        return jsonify({"message": "Not Found", "documentation_url": "https://docs.github.com/rest"}), 404

    @app.get(f"{root}/pulls")
    def _list() -> Response:
        wanted = request.args
        found = [
            each
            for each in sorted(state.pulls.values(), key=lambda each: -each["number"])
            if wanted.get("state", "open") in {"all", each["state"]}
            and wanted.get("head", each["head"]["label"]) == each["head"]["label"]
            and wanted.get("base", each["base"]["ref"]) == each["base"]["ref"]
        ]
        return jsonify(found)

    @app.post(f"{root}/pulls")
    def _open() -> tuple[Response, int]:
        asked: dict[str, Any] = request.get_json()
        head, base = asked["head"], asked["base"]
        if head not in state.branches or base not in state.branches:
            return _invalid({"resource": "PullRequest", "field": "head", "code": "invalid"})
        if state.branches[head] == state.branches[base]:
            return _invalid({"code": "custom", "message": f"No commits between {base} and {head}"})
        if any(each["head"]["ref"] == head and each["state"] == "open" for each in state.pulls.values()):
            return _invalid({"code": "custom", "message": f"A pull request already exists for acme:{head}."})
        number = len(state.pulls) + 7
        state.pulls[number] = {
            "id": number * 1000,
            "number": number,
            "state": "open",
            "title": asked["title"],
            "body": asked["body"],
            "merged_at": None,
            "url": f"{state.url}/repos/{NAME}/pulls/{number}",
            "issue_url": f"{state.url}/repos/{NAME}/issues/{number}",
            "html_url": f"https://github.com/{NAME}/pull/{number}",
            "head": {"ref": head, "label": f"acme:{head}", "sha": state.branches[head]},
            "base": {"ref": base, "label": f"acme:{base}", "sha": state.branches[base]},
        }
        return jsonify(state.pulls[number]), 201

    @app.patch(f"{root}/pulls/<int:number>")
    def _edit(number: int) -> Response:
        state.pulls[number] |= request.get_json()
        return jsonify(state.pulls[number])

    @app.post(f"{root}/issues/<int:number>/comments")
    def _comment(number: int) -> tuple[Response, int]:
        state.comments.append((number, request.get_json()["body"]))
        return jsonify({"id": 1, "body": request.get_json()["body"]}), 201

    return app


def _invalid(error: dict[str, str]) -> tuple[Response, int]:
    return jsonify({"message": "Validation Failed", "errors": [error]}), 422
