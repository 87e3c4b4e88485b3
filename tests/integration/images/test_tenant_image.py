"""The tenant image: one volume for all data, limits of the plan, no privileges, on the real Engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from localcloud.images import ensure_base
from tests.integration.images.yard import HARDENED, PASSWORD, SECRETS, Yard, answers, wait_for

if TYPE_CHECKING:
    import docker


def test_fresh_volume_gets_its_owner_and_all_data(yard: Yard, tenant: str) -> None:
    """On a fresh volume everything the app writes lands in the volume, owned by the app's user."""
    app = yard.tenant(tenant, yard.volume())
    for name in ("markdown", "uploads", "config", "markitup.db"):
        assert app.execute("readlink", f"/app/{name}").strip() == f"data/{name}"
    app.sign_up("ann")
    app.post("/api/files", {"filename": "hello", "content": "hello"})
    entries = app.execute("find", "/app/data", "-exec", "stat", "-c", "%u:%g %n", "{}", "+").splitlines()
    assert {entry.split()[0] for entry in entries} == {"1001:1001"}
    names = {entry.split()[1].removeprefix("/app/data/") for entry in entries}
    assert {"markitup.db", "markitup.db-wal", "markdown", "uploads", "config"} <= names
    assert any(name.endswith("/hello.md") for name in names)


def test_tenant_runs_without_privileges_and_stops_at_once(yard: Yard, tenant: str) -> None:
    """Read-only root, no capabilities: every part of the app works, and a stop takes less than 2 s."""
    app = yard.tenant(tenant, yard.volume())
    assert app.http.get("/api/health").json()["status"] == "healthy"
    assert app.post("/api/analytics", {"event": "view"}).status_code == 200
    assert "CapEff:\t0000000000000000" in app.execute("cat", "/proc/1/status")
    assert app.execute("cat", "/proc/1/cmdline").startswith("node\0server.js")
    assert app.stop() < 2
    app.container.reload()
    assert app.container.attrs["State"]["ExitCode"] == 0


def test_sixth_user_of_five_is_refused(yard: Yard, tenant: str) -> None:
    """With USER_LIMIT=5 the sixth sign-up answers 500; after an upgrade it goes through."""
    volume = yard.volume()
    app = yard.tenant(tenant, volume)
    assert [app.sign_up(f"user{i}").status_code for i in range(6)] == [200] * 5 + [500]
    app.stop()
    app = yard.tenant(tenant, volume)
    assert app.sign_up("user6").status_code == 500
    app.stop()
    app = yard.tenant(tenant, volume, users="6")
    assert [app.sign_up(f"user{i}").status_code for i in (6, 7)] == [200, 500]
    app.stop()
    app = yard.tenant(tenant, volume, users="1")
    assert app.sign_up("user8").status_code == 500
    assert app.query("select count(*) from users") == "6"


def test_users_share_the_plans_storage(yard: Yard, tenant: str) -> None:
    """What one user stores the others can't; a smaller or larger plan moves the border at the next start."""
    volume = yard.volume()
    app = yard.tenant(tenant, volume, storage="1")
    note = {"filename": "big", "content": "x" * (700 * 1024)}
    app.sign_up("ann")
    assert app.post("/api/files", note).status_code == 200
    assert app.post("/api/files", note | {"filename": "big2"}).status_code == 403
    app.http.cookies.clear()
    app.sign_up("bob")
    assert app.post("/api/files", note).status_code == 403
    app.stop()
    app = yard.tenant(tenant, volume, storage="2")
    app.post("/api/auth/login", {"email": "bob@example.org", "password": PASSWORD})
    assert app.post("/api/files", note).status_code == 200
    assert app.query("select sum(storage_used) <= 2 * 1048576, min(notes_quota) from users") == "1|512"


@pytest.mark.parametrize("limit", ["5; DROP TABLE users", "-1", "", "1e3", "12345678901"])
def test_a_limit_that_is_no_number_never_reaches_sql(yard: Yard, tenant: str, limit: str) -> None:
    """Such a limit is named in the log, changes nothing, and the other limit still holds."""
    app = yard.tenant(tenant, yard.volume(), users=limit)
    assert app.logged("USER_LIMIT is not a whole number")
    assert app.sign_up("ann").status_code == 200
    triggers = app.query("select name from sqlite_master where type = 'trigger' and name like 'hosting%'")
    assert "hosting_seats" not in triggers
    assert "hosting_storage_used" in triggers


def test_two_containers_share_the_volume_during_a_replacement(yard: Yard, tenant: str) -> None:
    """Old and new write side by side; when the old one goes nothing of either is lost."""
    volume = yard.volume()
    old = yard.tenant(tenant, volume, users="20")
    assert old.sign_up("ann").status_code == 200
    new = yard.tenant(tenant, volume, users="20")
    codes = [app.sign_up(f"{name}{i}").status_code for i in range(4) for name, app in (("o", old), ("n", new))]
    assert codes == [200] * 8
    assert old.post("/api/files", {"filename": "old"}).status_code == 200
    old.container.kill()
    assert new.post("/api/files", {"filename": "new"}).status_code == 200
    assert new.query("select count(*) from users; pragma integrity_check").split() == ["9", "ok"]
    assert new.execute("sh", "-c", "ls /app/markdown/*/*.md").count(".md") == 2
    new.stop()
    last = yard.tenant(tenant, volume, users="20")
    login = {"email": "ann@example.org", "password": PASSWORD}
    assert last.post("/api/auth/login", login).status_code == 200


def test_tenant_stops_before_the_app_made_its_tables(yard: Yard, tenant: str) -> None:
    """While it still waits for the tables a stop is as quick, and no empty database is left behind."""
    volume = yard.volume()
    environment = SECRETS | {"USER_LIMIT": "5", "STORAGE_LIMIT": "5120"}
    app = yard.start(tenant, volume=volume, environment=environment, wait=False, **HARDENED)
    wait_for("the app runs", lambda: app.logged("Ready"))
    assert app.container.exec_run(["test", "-e", "/app/data/markitup.db"])[0] == 1
    assert app.stop() < 2


def test_foreign_volume_is_named_in_the_log(yard: Yard, tenant: str) -> None:
    """On a volume of another owner the app says what is wrong instead of looking healthy."""
    app = yard.start(tenant, tmpfs={"/app/data": "uid=0,gid=0,mode=755"}, wait=False)
    wait_for("the reason", lambda: app.logged("the volume must belong to 1001:1001"))
    wait_for("the app answers", lambda: answers(app.http))
    assert app.http.get("/api/health").status_code == 503


def test_base_images_own_content_moves_into_the_volume(yard: Yard, markitup: str) -> None:
    """What the base image ships below /app/markdown is on a fresh volume too."""
    shipped = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nRUN echo welcome > /app/markdown/welcome.md\n"
    app = yard.tenant(yard.tenant_of(yard.image(shipped, markitup)), yard.volume())
    assert app.http.get("/api/files/welcome.md").json()["content"] == "welcome\n"


def test_base_without_sqlite3_runs_without_limits(yard: Yard, markitup: str) -> None:
    """A base without the sqlite3 command works, and its log says that the limits don't hold."""
    without = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nUSER root\nRUN rm /usr/bin/sqlite3\nUSER nodejs\n"
    image = yard.tenant_of(yard.image(without, markitup))
    environment = SECRETS | {"USER_LIMIT": "1", "STORAGE_LIMIT": "1"}
    app = yard.start(image, volume=yard.volume(), environment=environment, **HARDENED)
    assert app.logged("no sqlite3 in this image")
    assert app.sign_up("ann").status_code == app.sign_up("bob").status_code == 200


def test_any_other_base_keeps_its_own_command(yard: Yard, client: docker.DockerClient) -> None:
    """An image without Node, entrypoint and app runs its own command, with the data folders in place."""
    other = (
        "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nRUN mkdir -p /www/api && echo fine > /www/api/health\n"
        'CMD ["busybox", "httpd", "-f", "-p", "3000", "-h", "/www"]\n'
    )
    image = yard.tenant_of(yard.image(other, ensure_base(client, lambda _: None)))
    app = yard.start(image, volume=yard.volume(), **HARDENED)
    assert app.http.get("/api/health").text == "fine\n"
    assert app.execute("stat", "-c", "%u", "/app/data/uploads").strip() == "1001"
