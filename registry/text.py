"""The registry's text out of a file or its bytes."""

from __future__ import annotations

from pathlib import Path

from registry.errors import Problem, RegistryError


def read_text(path: Path) -> str:
    """Return the file's text.

    Raises:
        RegistryError: it is missing or not UTF-8.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        problem = Problem(path=str(path), reason="there is no such file", fix="restore it from git")
        raise RegistryError([problem]) from None
    return decode(data, path=str(path))


def decode(data: bytes, *, path: str) -> str:
    """Return the text of a file's bytes; ``path`` is what a problem calls it.

    Raises:
        RegistryError: they are not UTF-8.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        problem = Problem(
            path=path,
            reason=f"byte {error.start} is not UTF-8",
            fix="save the file as UTF-8 without a mark",
            line=data.count(b"\n", 0, error.start) + 1,
        )
        raise RegistryError([problem]) from None
