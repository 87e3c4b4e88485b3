"""The service's settings: all that is missing is said at once, and no value is said at all."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from demo import settings as demo_settings
from demo.database import OWN
from localcloud.serve import Endpoints
from scripts.context import read_variables
from stacks.settings import SettingsError
from webhook.app import serve
from webhook.settings import ServiceSettings, read_database_settings, read_service_settings

ROOT = Path(__file__).parents[2]
SECRET = "whsec_0123456789abcdef"
GOOD = {
    "HOSTING_STRIPE_WEBHOOK_SECRETS": SECRET,
    "HOSTING_STRIPE_API_KEY": "rk_live_0123456789",
    "HOSTING_SECRET_KEY": "signs-cookies-and-links-0123456789",
}


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Nothing is set, and the folder is empty."""
    monkeypatch.chdir(tmp_path)
    for name in ServiceSettings.model_fields:
        monkeypatch.delenv(f"HOSTING_{name.upper()}", raising=False)
    return monkeypatch


def set_all(variables: pytest.MonkeyPatch, **changes: str) -> None:
    """Set the variables."""
    for name, value in (GOOD | changes).items():
        variables.setenv(name, value)


def test_all_that_is_missing_is_said_at_once(tmp_path: Path) -> None:
    """Each with its meaning and its fix; the settings file too."""
    with pytest.raises(SettingsError) as caught:
        read_service_settings()
    message = str(caught.value)
    for name in GOOD:
        assert f"{name}: is missing. Meaning: " in message
    assert message.count("Fix: ") == len(GOOD)
    with pytest.raises(SettingsError) as caught:
        serve()
    message = str(caught.value)
    for words in (*GOOD, "Pulumi.prod.yaml: there is no such settings file"):
        assert words in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("HOSTING_STRIPE_WEBHOOK_SECRETS", "", "is missing"),
        ("HOSTING_STRIPE_WEBHOOK_SECRETS", " , ,", "is empty"),
        ("HOSTING_STRIPE_WEBHOOK_SECRETS", f"{SECRET},sk_live_mistaken", "begin with whsec_"),
        ("HOSTING_STRIPE_WEBHOOK_SECRETS", f"{SECRET},whsec_", "too short"),
        ("HOSTING_STRIPE_API_KEY", "", "is missing"),
        ("HOSTING_STRIPE_API_KEY", "pk_live_mistaken", "begin with sk_live_"),
        ("HOSTING_SECRET_KEY", "", "is missing"),
        ("HOSTING_SECRET_KEY", "mistaken" * 3, "at least 32 characters"),
        ("HOSTING_PUBLIC_URL", "portal.mistaken.org", "https:// and a host name"),
        ("HOSTING_PUBLIC_URL", "https://portal.example.org/mistaken", "without a path"),
        ("HOSTING_PUBLIC_URL", "http://portal.mistaken.org", "must begin with https://"),
        ("HOSTING_DATABASE_URL", "mysql://root:mistaken@host/x", "mysql is not supported"),
        ("HOSTING_REGISTRY_REMOTE", "https://git:mistaken@github.com/a/b", "has a password or token in it"),
        ("HOSTING_REGISTRY_REMOTE", "https://mistaken@github.com/a/b", "has a password or token in it"),
        ("HOSTING_REGISTRY_REMOTE", "--upload-pack=mistaken", "neither a remote's name nor a URL"),
        ("HOSTING_GITHUB_REPOSITORY", "a/b", "needs HOSTING_GITHUB_TOKEN and HOSTING_REGISTRY_REMOTE"),
    ],
)
def test_a_wrong_value_is_refused(variables: pytest.MonkeyPatch, name: str, value: str, words: str) -> None:
    """By its name; the value, which may be a secret, is not repeated."""
    set_all(variables, **{name: value})
    with pytest.raises(SettingsError) as caught:
        read_service_settings()
    assert f"{name}: " in str(caught.value)
    assert words in str(caught.value)
    assert "mistaken" not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_repository_is_an_owner_and_a_name(variables: pytest.MonkeyPatch) -> None:
    """Not an address; and it has what it needs with it."""
    set_all(variables, HOSTING_GITHUB_TOKEN="ghp_hidden", HOSTING_REGISTRY_REMOTE="origin")
    for wrong in ("https://github.com/a/b", "a", "a/b/c", "-a/b", "a/../b"):
        variables.setenv("HOSTING_GITHUB_REPOSITORY", wrong)
        with pytest.raises(SettingsError, match="HOSTING_GITHUB_REPOSITORY: must be owner/name"):
            read_service_settings()
    variables.setenv("HOSTING_GITHUB_REPOSITORY", "acme-inc/hosting.registry")
    found = read_service_settings()
    assert (found.github_repository, found.registry_remote) == ("acme-inc/hosting.registry", "origin")
    assert "ghp_hidden" not in repr(found)


def test_secrets_are_a_list(variables: pytest.MonkeyPatch) -> None:
    """With commas, and spaces as people put them."""
    set_all(variables, HOSTING_STRIPE_WEBHOOK_SECRETS=f" {SECRET} ,whsec_fedcba9876543210,")
    found = read_service_settings()
    secrets = [each.get_secret_value() for each in found.stripe_webhook_secrets]
    assert secrets == [SECRET, "whsec_fedcba9876543210"]


def test_nothing_secret_is_printed(variables: pytest.MonkeyPatch) -> None:
    """By whoever prints the settings."""
    set_all(variables, HOSTING_DATABASE_URL="postgresql://user:hidden@host/name")
    printed = repr(read_service_settings()) + str(read_service_settings())
    assert not [word for word in (SECRET, "rk_live", "hidden", "signs-") if word in printed]


def test_a_public_url_is_where_it_says(variables: pytest.MonkeyPatch) -> None:
    """With HTTPS, or without on one's own machine; a slash at the end is no path."""
    set_all(variables)
    assert read_service_settings().public_url is None
    for value in ("https://portal.example.org/", "http://127.0.0.1:8300"):
        variables.setenv("HOSTING_PUBLIC_URL", value)
        assert read_service_settings().public_url == value.rstrip("/")


def test_the_database_is_beside_the_settings_file(variables: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Unless it is set; its own commands need none of Stripe's secrets."""
    variables.setenv("HOSTING_SETTINGS_FILE", "deep/Pulumi.test.yaml")
    assert read_database_settings().database_url == f"sqlite:///{tmp_path}/deep/.hosting/management.sqlite3"
    variables.setenv("HOSTING_DATABASE_URL", "sqlite:////srv/one.sqlite3")
    assert read_database_settings().database_url == "sqlite:////srv/one.sqlite3"


def test_the_embedded_database_is_never_committed() -> None:
    """It holds personal data; git is told to look away."""
    done = subprocess.run(["git", "check-ignore", "-q", ".hosting/management.sqlite3"], cwd=ROOT, check=False)
    assert done.returncode == 0


def test_gunicorn_does_not_start_without_them(tmp_path: Path) -> None:
    """The process ends, and its log says all of it."""
    argv = [
        sys.executable,
        "-m",
        "gunicorn",
        "--chdir",
        str(ROOT),
        "--bind",
        f"unix:{tmp_path}/socket",
        "webhook.app:serve()",
    ]
    path = {"PATH": str(Path(shutil.which("env") or "/usr/bin/env").parent)}
    done = subprocess.run(argv, cwd=ROOT, env=path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    for name in GOOD:
        assert f"{name}: is missing" in done.stderr


def test_every_setting_is_documented() -> None:
    """With its meaning, word for word."""
    page = (ROOT / "docs" / "control-service.md").read_text()
    for name, field in ServiceSettings.model_fields.items():
        assert f"| `HOSTING_{name.upper()}` |" in page
        assert field.description is not None
        assert field.description in page


def test_the_demo_has_them_all(variables: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The service accepts what the demo writes, for its owner only; the database is the demo's own."""
    file = tmp_path / "environment"
    variables.setattr(demo_settings, "ENVIRONMENT", file)
    endpoints = Endpoints(**{field.name: "127.0.0.1:25" for field in fields(Endpoints)})
    urls = {
        "database_url": OWN,
        "public_url": "http://127.0.0.1:8300",
        "webhook_url": "http://127.0.0.1:8300/webhooks/stripe",
    }
    written = demo_settings.write_environment(endpoints, {}, {}, SECRET, **urls)
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_variables(file) == written
    for name, value in written.items():
        variables.setenv(name, value)
    found = read_service_settings()
    assert found.public_url == "http://127.0.0.1:8300"
    again = demo_settings.write_environment(endpoints, {}, written, SECRET, **urls)
    assert again == written
    assert found.database_url == f"sqlite:///{ROOT}/.local/demo/management.sqlite3"
    assert [each.get_secret_value() for each in found.stripe_webhook_secrets] == [SECRET]
