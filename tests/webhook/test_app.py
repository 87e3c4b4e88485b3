"""The application: made from what it is handed, light to import, quiet about its visitors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from flask import Flask
from flask.testing import FlaskClient

from stacks.settings import SettingsError
from tests.webhook.conftest import CUSTOMERS
from webhook.app import serve

ROOT = Path(__file__).parents[2]
FORBIDDEN = ("pulumi", "pulumi_aws", "pulumi_cloudflare", "pulumi_docker", "pulumi_hcloud", "docker", "boto3", "hcloud")


def test_it_has_these_routes(app: Flask) -> None:
    """And each answers to GET only."""
    routes = {rule.rule: rule.methods for rule in app.url_map.iter_rules() if rule.endpoint != "static"}
    assert set(routes) == {"/healthz", "/readyz", "/internal/ask", "/internal/placard"}
    assert all(methods == {"GET", "HEAD", "OPTIONS"} for methods in routes.values())


def test_it_is_alive(client: FlaskClient) -> None:
    """Without looking at anything."""
    response = client.get("/healthz")
    assert (response.status_code, response.json) == (200, {"status": "ok"})


def test_importing_it_pulls_in_no_engine() -> None:
    """A worker of the web server starts fast and small: neither Pulumi, nor a provider's SDK, nor Docker's."""
    script = "import json, sys; import webhook.app; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert "webhook.app" in loaded
    assert not [name for name in FORBIDDEN if name in loaded]
    assert not [name for name in loaded if name.split(".")[0] in {"components", "engine", "localcloud", "scripts"}]
    assert "webhook.deploy" not in loaded


def test_it_serves_an_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the settings file that the environment names; the registry is beside it."""
    production = yaml.safe_load((ROOT / "Pulumi.prod.yaml").read_text())
    production["config"]["hosting:registry"] = "data/customers.yaml"
    file = tmp_path / "Pulumi.test.yaml"
    file.write_text(yaml.safe_dump(production))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "customers.yaml").write_text(CUSTOMERS)
    monkeypatch.setenv("HOSTING_SETTINGS_FILE", str(file))
    monkeypatch.setenv("HOSTING_DATABASE_URL", f"sqlite:///{tmp_path}/hosting.db")
    monkeypatch.setenv("HOSTING_STRIPE_WEBHOOK_SECRETS", f"whsec_{'x' * 32}")
    monkeypatch.setenv("HOSTING_STRIPE_API_KEY", f"rk_test_{'x' * 24}")
    monkeypatch.setenv("HOSTING_SECRET_KEY", "x" * 32)
    monkeypatch.setattr("webhook.app.configure_logs", lambda: None)
    client = serve().test_client()
    ready = client.get("/readyz").json
    assert ready is not None
    assert (ready["status"], ready["checks"]["registry"]) == ("degraded", "ok")  # there is no worker
    assert client.get("/internal/ask?domain=wiki.example.org&cell=eu-1").status_code == 200
    assert client.get("/checkout").headers["Set-Cookie"].startswith("__Host-hosting=")


def test_it_does_not_serve_without_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails at the start, not at the first question."""
    monkeypatch.setenv("HOSTING_SETTINGS_FILE", str(tmp_path / "Pulumi.nowhere.yaml"))
    monkeypatch.setattr("webhook.app.configure_logs", lambda: None)
    with pytest.raises(SettingsError, match=r"Pulumi\.nowhere\.yaml"):
        serve()


def test_requests_are_logged_without_their_query(client: FlaskClient, capfd: pytest.CaptureFixture[str]) -> None:
    """A query may carry a name or a token; path, method and status are enough."""
    client.get("/internal/ask?domain=secret.example.org")
    out, err = capfd.readouterr()
    assert "/internal/ask" in out + err
    assert "404" in out + err
    assert "secret.example.org" not in out + err
