"""A file that is replaced as a whole: readers see the old text or the new one, never a part, and no save is lost."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from registry.errors import Problem, RegistryError
from registry.load import read_text


@contextmanager
def prepared(path: Path, text: str) -> Generator[Path]:
    """Write a text, down to the disk, beside the file; what is not put in its place is removed."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(path.stat().st_mode & 0o777)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def put(ready: Path, path: Path, *, instead_of: str) -> None:
    """Put a prepared file in its place.

    Raises:
        RegistryError: the old one has another text than expected.
    """
    refuse_other_than(path, instead_of)
    ready.replace(path)


def refuse_other_than(path: Path, text: str) -> None:
    """Look whether the file still has a text.

    Raises:
        RegistryError: somebody saved it: an editor does not know the lock.
    """
    if read_text(path) != text:
        raise RegistryError([Problem(path=str(path), reason="somebody saved it meanwhile", fix="try again")])
