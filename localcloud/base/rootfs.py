"""Compose one root filesystem (a tar) out of Debian packages, without root and without their scripts."""

from __future__ import annotations

import io
import subprocess
import tarfile
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# Merged /usr, as Debian has it since release 12.
MERGED = ("bin", "sbin", "lib", "lib64")

DROPPED = (
    "usr/share/doc/", "usr/share/man/", "usr/share/info/", "usr/share/locale/", "usr/share/lintian/",
    "usr/share/bug/", "usr/share/menu/", "usr/share/initramfs-tools/", "usr/lib/x86_64-linux-gnu/gconv/",
    "usr/lib/aarch64-linux-gnu/gconv/",
)  # fmt: skip

# busybox commands to have under their own names. No wget, nc or telnet: the real image has no such thing.
APPLETS = (
    "[", "awk", "base64", "basename", "cat", "chgrp", "chmod", "chown", "cp", "cut", "date", "dd", "df",
    "dirname", "du", "echo", "env", "expr", "false", "find", "grep", "head", "hostname", "id", "install",
    "kill", "ln", "ls", "md5sum", "mkdir", "mktemp", "mv", "nproc", "paste", "printf", "ps", "pwd",
    "readlink", "realpath", "rm", "rmdir", "sed", "seq", "sha256sum", "sleep", "sort", "stat", "sync",
    "tail", "tar", "tee", "test", "timeout", "touch", "tr", "true", "tty", "uname", "uniq", "wc", "which",
    "whoami", "xargs",
)  # fmt: skip

USERS = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
GROUPS = "root:x:0:\nnogroup:x:65534:\n"
# Without it the C library asks DNS before /etc/hosts.
NSSWITCH = "passwd: files\ngroup: files\nhosts: files dns\n"


def compose(packages: Sequence[Path], target: Path) -> None:
    """Write the root filesystem of these .deb files to `target`, an uncompressed tar."""
    seen: set[str] = set()
    bundle = io.BytesIO()
    with tarfile.open(target, "w") as out:
        for name in MERGED:
            _directory(out, seen, f"usr/{name}")
            _symlink(out, seen, name, f"usr/{name}")
        for package in packages:
            for member, content in _members(package):
                if member.name.startswith("usr/share/ca-certificates/") and content is not None:
                    bundle.write(content)
                    continue
                if member.name in seen or member.name.startswith(DROPPED):
                    continue
                seen.add(member.name)
                out.addfile(member, io.BytesIO(content) if content is not None else None)
        for applet in APPLETS:
            _symlink(out, seen, f"usr/bin/{applet}", "busybox")
        _symlink(out, seen, "usr/bin/sh", "dash")
        for folder, mode in (
            ("tmp", 0o1777),
            ("var/tmp", 0o1777),
            ("proc", 0o555),
            ("sys", 0o555),
            ("dev", 0o755),
        ):
            _directory(out, seen, folder, mode)
        _file(out, seen, "etc/passwd", USERS.encode())
        _file(out, seen, "etc/group", GROUPS.encode())
        _file(out, seen, "etc/nsswitch.conf", NSSWITCH.encode())
        _file(out, seen, "etc/ssl/certs/ca-certificates.crt", bundle.getvalue())


def _members(package: Path) -> Iterator[tuple[tarfile.TarInfo, bytes | None]]:
    """Every entry of a package, its name relative and merged; the content too where it is a regular file."""
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(package)],
        stdout=subprocess.PIPE,
    ) as unpack:
        stream: IO[bytes] | None = unpack.stdout
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                member.name = _merged(member.name)
                if not member.name:
                    continue
                if member.islnk():
                    member.linkname = _merged(member.linkname)
                source = archive.extractfile(member) if member.isreg() else None
                yield member, source.read() if source else None
    if unpack.returncode != 0:
        raise subprocess.CalledProcessError(unpack.returncode, unpack.args)


def _merged(name: str) -> str:
    name = name.removeprefix(".").strip("/")
    first = name.partition("/")[0]
    return f"usr/{name}" if first in MERGED else name


def _directory(out: tarfile.TarFile, seen: set[str], name: str, mode: int = 0o755) -> None:
    if name in seen:
        return
    seen.add(name)
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    out.addfile(entry)


def _symlink(out: tarfile.TarFile, seen: set[str], name: str, target: str) -> None:
    if name in seen:
        return
    seen.add(name)
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
    out.addfile(entry)


def _file(out: tarfile.TarFile, seen: set[str], name: str, content: bytes) -> None:
    seen.add(name)
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    out.addfile(entry, io.BytesIO(content))
