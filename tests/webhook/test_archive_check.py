"""What archive_check.py lets pass, as a program: whole archives of ours, and nothing else."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

CHECK = Path(__file__).parents[2] / "webhook" / "archive_check.py"
MANIFEST = b'{"format": 1}'


def checked(content: bytes, folder: Path) -> dict[str, Any]:
    """Run the program on an archive, with a folder for its temporary files that it leaves empty."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-I", str(CHECK)], input=content, capture_output=True, env={"TMPDIR": str(folder)}, check=False
    )
    found = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (1 if "problem" in found else 0, b"")
    assert list(folder.iterdir()) == []
    return found


def archive(*entries: tuple[str, bytes], links: tuple[tuple[str, str], ...] = ()) -> bytes:
    """An archive of files and symbolic links."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as made:
        for name, content in entries:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            made.addfile(entry, io.BytesIO(content))
        for name, aim in links:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, aim
            made.addfile(entry)
    return target.getvalue()


def database(path: Path, *statements: str) -> bytes:
    """A database's file."""
    connection = sqlite3.connect(path)
    for statement in ("CREATE TABLE users (id)", *statements):
        connection.execute(statement)
    connection.commit()
    connection.close()
    return path.read_bytes()


def test_a_whole_archive_is_counted(tmp_path: Path) -> None:
    """Entries, the users of its database, and its manifest; without a database there are no users."""
    content = database(tmp_path / "a.db", "INSERT INTO users VALUES (1), (2)")
    made = archive(("manifest.json", MANIFEST), ("markitup.db", content), ("files/x.md", b"x"))
    assert checked(made, tmp_path / "tmp") == {"entries": 3, "users": 2, "manifest": {"format": 1}}
    made = archive(("manifest.json", MANIFEST))
    assert checked(made, tmp_path / "tmp") == {"entries": 1, "users": 0, "manifest": {"format": 1}}
    empty = archive(("manifest.json", MANIFEST), ("markitup.db", b""))
    assert checked(empty, tmp_path / "tmp")["users"] == 0


def test_every_shorter_one_is_refused(tmp_path: Path) -> None:
    """Wherever it was cut off, and whatever was added."""
    noise = bytes(range(256)) * 40
    made = archive(("manifest.json", MANIFEST), ("files/x", noise))
    for cut in (0, 1, 10, len(made) // 2, len(made) - 8, len(made) - 1):
        assert "damaged or incomplete" in checked(made[:cut], tmp_path / "tmp")["problem"], cut
    assert "damaged or incomplete" in checked(made + b"more", tmp_path / "tmp")["problem"]
    plain = gzip.decompress(made)
    assert "damaged or incomplete" in checked(gzip.compress(plain[:2000]), tmp_path / "tmp")["problem"]
    ends_between_entries = plain[: plain.index(b"files/x")]
    assert "damaged or incomplete" in checked(gzip.compress(ends_between_entries), tmp_path / "tmp")["problem"]
    no_entry = plain.replace(b"files/x", b"files/y", 1)  # its own check sum is another one
    assert "damaged or incomplete" in checked(gzip.compress(no_entry), tmp_path / "tmp")["problem"]
    wrong_sum = made[:-8] + bytes([made[-8] ^ 1]) + made[-7:]
    assert "damaged or incomplete" in checked(wrong_sum, tmp_path / "tmp")["problem"]


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [(b"", "is no JSON"), (b"[1]", "is no object"), (b'{"a": "' + b"x" * 20_000 + b'"}', "is no JSON")],
)
def test_a_manifest_is_an_object(manifest: bytes, problem: str, tmp_path: Path) -> None:
    """A small one."""
    assert problem in checked(archive(("manifest.json", manifest)), tmp_path / "tmp")["problem"]


def test_without_a_manifest_it_is_none_of_ours(tmp_path: Path) -> None:
    """A customer's file of that name is below files/, and does not count."""
    made = archive(("files/manifest.json", MANIFEST), links=(("manifest.json", "files/manifest.json"),))
    assert "has no manifest.json" in checked(made, tmp_path / "tmp")["problem"]


def test_no_path_is_followed(tmp_path: Path) -> None:
    """Entries that name places outside are counted and written nowhere; a link is no database."""
    (tmp_path / "tmp").mkdir()
    target = tmp_path / "target"
    made = archive(
        ("manifest.json", MANIFEST),
        (str(target), b"x"),
        ("../target", b"x"),
        ("files/../../../target", b"x"),
        links=(("markitup.db", str(target)), ("files/up", "..")),
    )
    assert checked(made, tmp_path / "tmp") == {"entries": 6, "users": 0, "manifest": {"format": 1}}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tmp"]


def test_a_damaged_database_is_found(tmp_path: Path) -> None:
    """By its structure, and where it is none at all; a view that calls itself users is none of accounts."""
    rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i FROM n"
    content = database(tmp_path / "a.db", "CREATE TABLE other (x)", f"INSERT INTO other {rows}")
    damaged = content[: 5 * 4096] + b"\xff" * 4096 + content[6 * 4096 :]
    made = archive(("manifest.json", MANIFEST), ("markitup.db", damaged))
    assert "its database is damaged" in checked(made, tmp_path / "tmp")["problem"]
    for each in (content[: 8 * 4096], b"not a database " * 1000):
        made = archive(("manifest.json", MANIFEST), ("markitup.db", each))
        assert "its database" in checked(made, tmp_path / "tmp")["problem"]
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT 1 FROM n) SELECT * FROM n"
    view = database(tmp_path / "b.db", "DROP TABLE users", f"CREATE VIEW users AS {endless}")
    made = archive(("manifest.json", MANIFEST), ("markitup.db", view))
    assert checked(made, tmp_path / "tmp")["users"] == 0


def test_many_entries_take_no_more_memory(tmp_path: Path) -> None:
    """60,000 names pass where remembering them would not."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz", compresslevel=1) as made:
        for name in ("manifest.json", *(f"files/{number}" for number in range(60_000))):
            entry = tarfile.TarInfo(name)
            entry.size = len(MANIFEST) if name == "manifest.json" else 0
            made.addfile(entry, io.BytesIO(MANIFEST))
            made.members.clear()
    few = 44 * 1024**2
    script = f"import sys; sys.argv = ['x']; import resource; sys.path.insert(0, {str(CHECK.parent)!r})\n"
    script += f"import archive_check; archive_check.MOST_MEMORY_BYTES = {few}; sys.exit(archive_check.main())"
    done = subprocess.run([sys.executable, "-c", script], input=target.getvalue(), capture_output=True, check=False)
    assert json.loads(done.stdout)["entries"] == 60_001
