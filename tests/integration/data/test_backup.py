"""Backups of real instances into a real S3 API: what goes in comes out, and a customer can sign in again."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from datetime import timedelta

from tests.integration.data.premises import CUSTOMER, DOCKER_HOST, NOW, Premises, run
from tests.integration.images.yard import PASSWORD
from webhook.cell_engine import CellEngine
from webhook.customer_volume import CustomerVolume
from webhook.database.backups import BackupKind


def restore_by_hand(premises: Premises, archive: bytes, volume: CustomerVolume) -> None:
    """Do what docs/backups.md says: unpack beside the volume, and move the database into it."""
    unpack = "tar -xpf - && if [ -e markitup.db ]; then mv markitup.db files/; fi && chown 1001:1001 files"
    options = ["--rm", "-i", "--network", "none", "--user", "0:0", "-v", "/app/data", "-w", "/app/data"]
    options += ["-v", f"{volume.name}:/app/data/files", "--entrypoint", "sh", premises.image, "-c", unpack]
    subprocess.run(["docker", "run", *options], input=gzip.decompress(archive), check=True)


def names(archive: bytes) -> list[str]:
    """Names in an archive, in order."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as opened:
        return opened.getnames()


def test_a_customer_signs_in_after_a_restore(premises: Premises) -> None:
    """From a backup of the running instance, and from one of a killed one whose database is all in its log."""
    volume = premises.volume()
    app = premises.live(volume)
    assert app.sign_up("ann").status_code == 200
    assert app.post("/api/files", {"filename": "plan", "content": "# The plan"}).status_code == 200
    live = premises.back_up(volume)
    assert app.sign_up("bob").status_code == 200
    app.container.kill()
    assert premises.shell(volume, "stat -c %s markitup.db").strip() == "4096"
    killed = premises.back_up(volume, kind=BackupKind.FINAL)
    assert premises.readers() == []
    for number, (backup, users) in enumerate([(live, 1), (killed, 2)]):
        fresh = premises.volume(f"fresh{number}")
        restore_by_hand(premises, premises.content(backup), fresh)
        restored = premises.live(fresh)
        login = {"email": "ann@example.org", "password": PASSWORD}
        assert restored.post("/api/auth/login", login).status_code == 200
        (note,) = restored.http.get("/api/files").json()["notes"]
        assert restored.http.get(f"/api/files/{note['id']}.md").json()["content"] == "# The plan"
        assert restored.query("select count(*) from users; pragma integrity_check").split() == [str(users), "ok"]


def test_what_is_said_of_it_is_so(premises: Premises) -> None:
    """Key, name, size, check sum (in the table and beside it), the manifest, and the order in the archive."""
    volume = premises.volume()
    premises.shell(volume, "echo hello >markdown/a.md; sqlite3 markitup.db 'create table users(id)'; echo >.hidden")
    backup = premises.back_up(volume)
    content = premises.content(backup)
    key = f"{premises.cell}/{CUSTOMER}/20261124T033000Z-daily.tar.gz"
    assert (backup.s3_key, backup.filename) == (key, "acme-20261124T033000Z-daily.tar.gz")
    assert (backup.size_bytes, backup.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    beside = b"".join(premises.bucket.read(f"{key}.sha256")).decode()
    assert beside == f"{backup.sha256}  20261124T033000Z-daily.tar.gz\n"
    (record,) = premises.recorded()
    assert {name: getattr(record, name) for name in vars(backup)} == vars(backup)
    inside = names(content)
    assert inside[:2] == ["manifest.json", "markitup.db"]
    assert set(inside[2:]) == {
        "files/.hidden",
        "files/config",
        "files/markdown",
        "files/markdown/a.md",
        "files/uploads",
    }
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as opened:
        manifest = opened.extractfile("manifest.json")
        assert manifest is not None
        assert json.load(manifest) == {
            "format": 1,
            "customer_id": "acme",
            "cell": premises.cell,
            "kind": "daily",
            "created_at": NOW.isoformat(),
        }


def test_one_a_day_of_each_kind(premises: Premises) -> None:
    """A second call finds the first one's; another day, another kind, or one that is lost makes a new one."""
    volume = premises.volume()
    first = premises.back_up(volume)
    assert premises.back_up(volume, now=NOW + timedelta(hours=20)) == first
    final = premises.back_up(volume, kind=BackupKind.FINAL)
    assert final.s3_key != first.s3_key
    assert premises.back_up(volume, now=NOW + timedelta(days=1)) != first
    premises.bucket.client.delete_object(Bucket=premises.bucket.name, Key=first.s3_key)
    again = premises.back_up(volume, now=NOW + timedelta(minutes=1))
    assert again.s3_key not in {first.s3_key, final.s3_key}
    assert premises.bucket.size_of(again.s3_key) == again.size_bytes
    assert len(premises.recorded()) == 4


def test_an_empty_volume_has_a_backup(premises: Premises) -> None:
    """A small one, without a database."""
    volume = premises.volume()
    keeper = premises.keeper(volume)
    run(keeper, "rm -rf markdown uploads config")
    backup = premises.back_up(volume)
    assert names(premises.content(backup)) == ["manifest.json"]
    assert backup.size_bytes < 1000


def test_names_of_a_customers_choice(premises: Premises) -> None:
    """Stay below files/, whatever they look like; links are kept as links and lead nowhere meanwhile."""
    volume = premises.volume()
    premises.shell(
        volume,
        """
        cd markdown
        echo 1 >'-rf'; echo 2 >'a
b'; echo 3 >'$(touch pwned)'; echo 4 >'manifest.json'; echo 5 >'ü'; mkdir files; echo 6 >files/markitup.db
        echo 7 >"$(printf '\\377')"
        ln -s /etc/passwd passwd; ln -s ../../../../.. up; ln -- '-rf' hard; busybox mkfifo pipe
        mkdir "$(printf 'd%.0s' $(seq 200))"; echo 8 >"$(printf 'd%.0s' $(seq 200))/$(printf 'n%.0s' $(seq 200))"
        cd ..; echo 9 >'--checkpoint-action=exec=touch pwned'; echo 10 >manifest.json
        """,
    )
    content = premises.content(premises.back_up(volume))
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz", errors="surrogateescape") as opened:
        entries = {each.name: each for each in opened}
        assert [name for name in entries if not name.startswith("files/")] == ["manifest.json"]
        assert entries["files/markdown/passwd"].linkname == "/etc/passwd"
        assert entries["files/markdown/up"].issym()
        texts = [opened.extractfile(each) for each in entries.values() if each.isreg()]
        numbers = {text.read().strip() for text in texts if text is not None and text.name != "manifest.json"}
    assert {str(number).encode() for number in range(1, 11)} <= numbers
    assert not [name for name in entries if name.endswith("/pwned")]


def test_notes_are_written_meanwhile(premises: Premises) -> None:
    """A busy instance is backed up without a pause, and its copy is whole."""
    volume = premises.volume()
    app = premises.live(volume)
    app.sign_up("ann")
    script = "i=0; while :; do i=$((i+1)); echo $i >/app/data/markdown/$i.md; sqlite3 /app/data/markitup.db"
    script += " \"pragma busy_timeout=5000; update users set name = '$i'\" >/dev/null; done"
    app.container.exec_run(["sh", "-c", script], detach=True)
    backup = premises.back_up(volume)
    assert len(premises.recorded()) == 1
    assert "markitup.db" in names(premises.content(backup))


class Talkative(CellEngine):
    """An Engine behind a client that has something to say before its answer, as ssh and Docker may."""

    def argv(self, *arguments: str) -> list[str]:
        """Return the command, with a warning before it."""
        warning = 'echo "WARNING: something that nobody asked for" >&2; exec "$@"'
        return ["sh", "-c", warning, "sh", *super().argv(*arguments)]


def test_a_warning_of_the_way_to_the_cell_keeps_no_backup(premises: Premises) -> None:
    """The number of users is the last thing said."""
    volume = premises.volume(host=Talkative(host=DOCKER_HOST))
    premises.shell(volume, "sqlite3 markitup.db 'create table users(id); insert into users values (1), (2)'")
    assert premises.back_up(volume).size_bytes > 0
