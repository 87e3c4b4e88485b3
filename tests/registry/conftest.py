"""What the registry's tests share: three cells, and reading a text with them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import pytest

from registry.cells import Cell
from registry.customers import Registry
from registry.errors import Problem, RegistryError
from registry.load import parse

DOMAIN = "markitup.io"


@pytest.fixture(scope="session")
def today() -> date:
    """The day on which the tests take place."""
    return date(2026, 1, 15)


@pytest.fixture(scope="session")
def cells() -> Mapping[str, Cell]:
    """Two cells in Europe, one in the USA."""
    return {
        "eu-1": Cell(region="eu", location="nbg1", server_types=("cx43",)),
        "eu-2": Cell(region="eu", location="fsn1", server_types=("cx43",)),
        "us-1": Cell(region="us", location="ash", server_types=("cpx41",)),
    }


@pytest.fixture(scope="session")
def read(cells: Mapping[str, Cell], today: date) -> Callable[[str], Registry]:
    """Reads and checks a registry's text."""

    def parsed(text: str) -> Registry:
        return parse(text, cells=cells, domain=DOMAIN, today=today)

    return parsed


@pytest.fixture(scope="session")
def problems_of(read: Callable[[str], Registry]) -> Callable[[str], tuple[Problem, ...]]:
    """Returns what is wrong with a registry's text; nothing where it is accepted."""

    def found(text: str) -> tuple[Problem, ...]:
        try:
            read(text)
        except RegistryError as error:
            return error.problems
        return ()

    return found


@pytest.fixture(autouse=True)
def plain_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keeps git from reading the configuration of whoever runs the tests, and any repository above."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
