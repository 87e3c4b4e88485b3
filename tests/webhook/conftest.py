"""What the control service's tests share: a registry file, the view of it, the application and a client."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from registry.cells import Cell
from tests.webhook.databases import database_url, empty_engine, engine, light_engine, postgres
from webhook.app import create_app
from webhook.registry_view import RegistryView

__all__ = ["database_url", "empty_engine", "engine", "light_engine", "postgres"]  # fixtures: pytest finds them here

CUSTOMERS = """\
customers:
  acme:
    subdomain: acme
    plan: pro
    status: active
    cell: eu-1
    domain: wiki.example.org
  birch:
    subdomain: birch
    plan: pro
    status: pending
    cell: eu-2
    domain: birch.example.com
  cobalt:
    subdomain: cobalt
    plan: pro
    status: suspended
    cell: eu-1
    domain: cobalt.example.com
  dune:
    subdomain: dune
    plan: pro
    status: deleting
    cell: eu-1
    domain: dune.example.com
    delete_after: 2099-01-01
  ember:
    subdomain: ember
    plan: pro
    status: purging
    cell: eu-1
    domain: ember.example.com
    delete_after: 2026-01-01
"""
CELLS = {name: Cell(region="eu", location="nbg1", server_types=("cx43",)) for name in ("eu-1", "eu-2")}

Write = Callable[[str], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A registry file with a customer in each status."""
    file = tmp_path / "customers.yaml"
    file.write_text(CUSTOMERS)
    return file


@pytest.fixture
def write(path: Path) -> Write:
    """Replaces the registry as its writers do: at once, by a rename."""

    def replaced(text: str) -> None:
        new = path.with_suffix(".new")
        new.write_text(text)
        new.replace(path)

    return replaced


@pytest.fixture
def view(path: Path) -> RegistryView:
    """The control service's view of the file."""
    return RegistryView(path, cells=CELLS, domain="markitup.io", clock=lambda: date(2026, 1, 15))


@pytest.fixture
def app(view: RegistryView) -> Flask:
    """The application."""
    return create_app(view)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Asks the application."""
    return app.test_client()
