"""The stand-in for MarkItUp does what FACTS says of the real image, on the real Engine."""

from __future__ import annotations

import pytest

from tests.integration.images.yard import PASSWORD, SECRETS, Yard


def test_stand_in_is_built_like_the_real_image(yard: Yard, markitup: str) -> None:
    """User, folder, entrypoint, tools and database are the real image's; DATABASE_URL is ignored."""
    app = yard.start(markitup, environment=SECRETS | {"DATABASE_URL": "file:/app/other.db"})
    assert app.execute("id").startswith("uid=1001(nodejs) gid=1001(nodejs)")
    assert app.execute("pwd").strip() == "/app"
    assert app.container.attrs["Config"]["Entrypoint"] == ["docker-entrypoint.sh"]
    assert app.execute("sqlite3", "/app/markitup.db", "PRAGMA journal_mode").strip() == "wal"
    assert app.container.exec_run(["sh", "-c", "command -v curl wget"])[0] != 0
    assert app.container.exec_run(["test", "-e", "/app/other.db"])[0] == 1
    page = app.http.get("/")
    assert "stand-in" in page.text
    assert app.http.get("/app.js").status_code == app.http.get("/style.css").status_code == 200
    assert app.stop() < 2


@pytest.mark.parametrize("missing", ["JWT_SECRET", "ENCRYPTION_KEY"])
def test_stand_in_without_a_secret_looks_healthy(yard: Yard, markitup: str, missing: str) -> None:
    """Without one of its secrets the app is healthy and refuses sign-ups with 500."""
    app = yard.start(markitup, environment={k: v for k, v in SECRETS.items() if k != missing})
    assert app.http.get("/api/health").json()["status"] == "healthy"
    assert app.sign_up("ann").status_code == 500


def test_stand_in_accounts(yard: Yard, markitup: str) -> None:
    """Sign-up, session, log-in, log-out and password reset answer as the real app does."""
    app = yard.start(markitup)
    assert app.http.get("/api/auth/me").status_code == 401
    assert app.sign_up("ann").status_code == 200
    assert app.http.get("/api/auth/me").json()["user"]["email"] == "ann@example.org"
    assert app.sign_up("ann").status_code == 409
    app.post("/api/auth/logout", {})
    assert app.http.get("/api/auth/me").status_code == 401
    wrong = {"email": "ann@example.org", "password": "Wrong1234"}
    assert app.post("/api/auth/login", wrong).status_code == 401
    assert app.post("/api/auth/login", wrong | {"password": PASSWORD}).status_code == 200
    weak = {"email": "bob@example.org", "password": "abcdefgh", "name": "Bob"}
    assert app.post("/api/auth/register", weak).status_code == 400
    assert app.post("/api/auth/register", weak | {"password": PASSWORD}).status_code == 201
    row = app.query("select length(id), plan, storage_quota, notes_quota from users limit 1")
    assert row == f"36|free|{100 * 1024 * 1024}|100"
    app.post("/api/auth/password-reset", {"email": "ann@example.org"})
    assert app.logged("Password reset requested")


def test_stand_in_has_the_real_holes(yard: Yard, markitup: str) -> None:
    """Strangers read, move and search everyone's notes, and make the app fetch any address."""
    app = yard.start(markitup)
    app.sign_up("ann")
    note = {"filename": "plan", "content": "# Plan\n\nsecret #idea [[plan]]"}
    path = app.post("/api/files", note).json()["path"]
    user = app.query("select id from users")
    assert path == f"user_{user}/plan.md"
    assert app.execute("cat", f"/app/markdown/{path}").startswith("# Plan")

    app.http.cookies.clear()
    assert app.post("/api/files", note).status_code == 401
    assert app.http.get("/api/files").status_code == 401
    (folder,) = app.http.get("/api/notes").json()
    assert folder["children"][0]["path"] == path
    assert "secret" in app.http.get(f"/api/files/{path}").json()["content"]
    assert app.http.get("/api/search", params={"q": "SECRET"}).json()["totalResults"] == 1
    assert app.http.get("/api/tags").json()["tags"] == [{"name": "idea", "count": 1}]
    assert len(app.http.get("/api/graph").json()["graph"]["nodes"]) == 1
    assert app.post("/api/files/move", {"from": path, "to": "taken.md"}).status_code == 200
    assert app.http.get("/api/files/taken.md").status_code == 200
    assert app.post("/api/files/move", {"from": "taken.md", "to": "../markitup.db"}).status_code == 400
    fetch = {"ollamaUrl": "http://127.0.0.1:3000/api/notes?", "endpoint": "/api/tags"}
    assert app.post("/api/ai/ollama-proxy", fetch).json()["data"][0]["path"] == "taken.md"


def test_stand_in_throttles_by_forwarded_address(yard: Yard, markitup: str) -> None:
    """The 21st note of one X-Forwarded-For within a minute is refused, another address goes on."""
    app = yard.start(markitup)
    one = {"X-Forwarded-For": "203.0.113.1"}
    codes = [app.post("/api/notes", {"filename": f"n{i}"}, **one).status_code for i in range(21)]
    assert codes == [201] * 20 + [429]
    other = {"X-Forwarded-For": "203.0.113.2"}
    assert app.post("/api/notes", {"filename": "n"}, **other).status_code == 201


def test_stand_in_health_tells_database_from_folder(yard: Yard, markitup: str) -> None:
    """No database: 200 and degraded. No writable markdown folder: 503."""
    degraded = yard.start(markitup, tmpfs={"/app/markitup.db": ""}).http.get("/api/health")
    assert (degraded.status_code, degraded.json()["status"]) == (200, "degraded")
    assert yard.start(markitup, read_only=True).http.get("/api/health").status_code == 503
