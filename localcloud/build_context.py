"""Build images through Docker's plain build API, named by content so that nothing is built twice."""

from __future__ import annotations

import hashlib
import tarfile
import tempfile
from typing import IO, TYPE_CHECKING, Any, cast

from docker.errors import BuildError, ImageNotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from docker import DockerClient

PREFIX = "hosting-local"


class ImageBuildError(Exception):
    """Docker refused a build; the message holds the end of its output."""


def digest(*parts: str | bytes) -> str:
    """Twelve hex digits that stand for these parts, their order and their borders."""
    total = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        total.update(len(content).to_bytes(8, "big") + content)
    return total.hexdigest()[:12]


def digest_of_files(files: Iterable[Path], root: Path) -> str:
    """Digest of the names below `root`, the contents and the executable bits of these files."""
    parts: list[str | bytes] = []
    for path in sorted(files):
        executable = "x" if path.stat().st_mode & 0o111 else "-"
        parts += [path.relative_to(root).as_posix(), executable, path.read_bytes()]
    return digest(*parts)


def files_below(folder: Path) -> list[Path]:
    """Every file of a folder but Python's caches, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def exists(client: DockerClient, reference: str) -> bool:
    """Whether the Engine has this image."""
    try:
        client.images.get(reference)
    except ImageNotFound:
        return False
    return True


def build(
    client: DockerClient,
    reference: str,
    files: Mapping[str, Path],
    *,
    arguments: Mapping[str, str],
    labels: Mapping[str, str] | None = None,
) -> None:
    """Build `reference` from a context of these files (name in the context -> file), `Dockerfile` among them.

    Raises ImageBuildError.
    """
    # On disk: the context may hold a runtime of more than 100 MB.
    with tempfile.TemporaryFile() as context:
        _pack(context, files)
        context.seek(0)
        try:
            client.images.build(
                fileobj=context,
                custom_context=True,
                tag=reference,
                buildargs=dict(arguments),
                labels=dict(labels or {}),
                rm=True,
                forcerm=True,
            )
        except BuildError as error:
            lines = [_text(line) for line in cast("Iterable[dict[str, Any]]", error.build_log)]
            message = f"building {reference} failed: {error.msg}\n{''.join(lines[-20:])}"
            raise ImageBuildError(message) from error


def _pack(target: IO[bytes], files: Mapping[str, Path]) -> None:
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, path in sorted(files.items()):
            entry = archive.gettarinfo(str(path), arcname=name)
            # Neither the builder's user nor the checkout's time may change the image.
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = 0
            entry.mode = 0o755 if entry.mode & 0o111 else 0o644
            with path.open("rb") as content:
                archive.addfile(entry, content)


def _text(line: dict[str, Any]) -> str:
    return str(line.get("stream") or line.get("error") or "")
