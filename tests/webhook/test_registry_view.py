"""The registry as the web process sees it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from registry import load as load_module
from tests.webhook.conftest import CELLS, CUSTOMERS, Write
from webhook import registry_view
from webhook.registry_view import RegistryView

BROKEN = CUSTOMERS.replace("plan: pro", "plan: enormous", 1)
MORE = CUSTOMERS + "  fjord:\n    subdomain: fjord\n    plan: team\n    status: active\n    cell: eu-2\n"


def test_names_lead_to_customers(view: RegistryView) -> None:
    """By subdomain below the product's domain, and by custom domain."""
    acme = view.snapshot().registry.customers["acme"]
    assert view.find("acme.markitup.io") is acme
    assert view.find("wiki.example.org") is acme
    assert view.find("acme.example.org") is None
    assert set(view.snapshot().by_subdomain) == {"acme", "birch", "cobalt", "dune", "ember"}
    assert len(view.snapshot().by_domain) == 5


def test_it_follows_the_file(view: RegistryView, write: Write) -> None:
    """The next question sees an edit."""
    assert view.find("fjord.markitup.io") is None
    write(MORE)
    assert view.find("fjord.markitup.io") is not None


def test_it_reads_an_unchanged_file_once(view: RegistryView, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caddy asks often; a refused file isn't read again at each question either."""
    reads: list[Path] = []

    def counted(path: Path, **arguments: object) -> object:
        reads.append(path)
        return load_module.load(path, **arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(registry_view, "load", counted)
    for _ in range(5):
        view.find("acme.markitup.io")
    assert len(reads) == 1
    write(BROKEN)
    for _ in range(5):
        view.find("acme.markitup.io")
    assert len(reads) == 2


def test_a_broken_file_leaves_the_last_good_state(view: RegistryView, write: Write) -> None:
    """Answers stay, the problem is known, and both are right again once it is mended."""
    assert view.problem() is None
    write(BROKEN)
    assert view.find("acme.markitup.io") is not None
    assert "customers/acme/plan" in (view.problem() or "")
    write(MORE)
    assert view.problem() is None
    assert view.find("fjord.markitup.io") is not None


def test_a_missing_file_leaves_the_last_good_state(view: RegistryView, path: Path) -> None:
    """As a broken one does."""
    assert view.find("acme.markitup.io") is not None
    path.unlink()
    assert view.find("acme.markitup.io") is not None
    assert "there is no such file" in (view.problem() or "")


def test_without_any_good_state_nobody_is_known(tmp_path: Path) -> None:
    """It says why, and is right as soon as there is a file."""
    path = tmp_path / "customers.yaml"
    view = RegistryView(path, cells=CELLS, domain="markitup.io", clock=lambda: date(2026, 1, 15))
    assert view.find("acme.markitup.io") is None
    assert "there is no such file" in (view.problem() or "")
    path.write_text(BROKEN)
    assert "customers/acme/plan" in (view.problem() or "")
    path.write_text(CUSTOMERS)
    assert view.problem() is None
    assert view.find("acme.markitup.io") is not None


def test_readyz_says_why(client: FlaskClient, write: Write) -> None:
    """Not ready with a refused registry, and the answer names the entry; alive all the same."""
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json) == (200, {"status": "ok", "checks": {"registry": "ok"}, "workers": []})
    write(BROKEN)
    refused = client.get("/readyz")
    assert refused.status_code == 503
    assert refused.json is not None
    assert refused.json["status"] == "not ready"
    assert "customers/acme/plan" in refused.json["checks"]["registry"]
    assert client.get("/healthz").status_code == 200
    write(CUSTOMERS)
    assert client.get("/readyz").status_code == 200
