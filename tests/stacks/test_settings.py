"""Settings: decoded as the engine hands them over, and refused with a message that says what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stacks.settings import SECRET_NAMES, Settings, SettingsError, parse_settings, read_settings

ROOT = Path(__file__).parents[2]
CELL = {"region": "eu", "location": "nbg1", "server_types": ["cx43"]}
GOOD: dict[str, Any] = {
    "cells": {"eu-1": CELL},
    "image": "ghcr.io/example/markitup:1.0.0",
    "proxy_image": "ghcr.io/example/caddy:2.11.9",
    "control_url": "http://10.0.0.2:8300",
    "zone_id": "0123456789abcdef" * 2,
    "ssh_public_keys": ["ssh-ed25519 AAAA ops"],
}
REQUIRED = sorted(name for name, field in Settings.model_fields.items() if field.is_required())


def settings(**changes: object) -> Settings:
    """Check good settings with some changed."""
    return parse_settings({**GOOD, **changes}, environment="prod")


def refusal(call: Callable[[], object]) -> list[str]:
    """Return the lines of a refusal after its headline."""
    with pytest.raises(SettingsError) as error:
        call()
    headline, *lines = str(error.value).splitlines()
    assert headline == "The settings of `prod` (Pulumi.prod.yaml) are refused; nothing is declared:"
    return lines


def test_the_required_settings_are_these() -> None:
    """Everything else has a default that fits production."""
    assert sorted(GOOD) == REQUIRED


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_setting_names_itself(name: str) -> None:
    """Its name, its meaning and the command that sets it, in one line."""
    (line,) = refusal(
        lambda: parse_settings({key: value for key, value in GOOD.items() if key != name}, environment="prod")
    )
    meaning = Settings.model_fields[name].description
    assert line == (
        f"  hosting:{name}: is missing. Meaning: {meaning}"
        f" Fix: pulumi config set --path 'hosting:{name}' VALUE --config-file Pulumi.prod.yaml"
    )


WRONG: list[tuple[str, object, str]] = [
    ("domain", "wiki.markitup.io", "match pattern"),
    ("domain", "localhost", "match pattern"),
    ("cells", {}, "at least 1 item"),
    ("cells", "{broken", "valid dictionary"),
    ("cells", 3, "valid dictionary"),
    ("image", "ghcr.io/example/markitup", "pinned"),
    ("image", "ghcr.io/example/markitup:latest", "pinned"),
    ("image", "localhost:5000/markitup", "pinned"),
    ("proxy_image", "caddy:latest", "pinned"),
    ("tls", "none", "'cloudflare' or 'internal'"),
    ("control_url", "10.0.0.2:8300", "match pattern"),
    ("zone_id", "123", "match pattern"),
    ("ssh_public_keys", [], "at least 1 item"),
    ("ssh_public_keys", "ssh-ed25519 AAAA ops", "valid list"),
    ("admin_networks", [], "at least 1 item"),
    ("admin_networks", ["198.51.100.0/33"], "198.51.100.0/33"),
    ("network_range", "10.0.0.0", "at least a /22"),
    ("network_range", "everywhere", "everywhere"),
    ("backup_retention_days", "0", "greater than or equal to 1"),
    ("backup_retention_days", "a month", "valid integer"),
    ("health_interval_seconds", "0", "greater than or equal to 1"),
    ("health_start_interval_seconds", "-1", "greater than or equal to 0"),
    ("secret_versions", {"jwt": "new"}, "valid integer"),
    ("protect", "maybe", "valid boolean"),
    ("acme_email", ["a@example.org"], "valid string"),
]


@pytest.mark.parametrize(("name", "value", "reason"), WRONG, ids=[f"{name}-{value}" for name, value, _ in WRONG])
@pytest.mark.parametrize("form", ["as YAML has it", "as the engine has it"])
def test_a_wrong_setting_names_itself(name: str, value: object, reason: str, form: str) -> None:
    """Its name, what is wrong, its meaning and the command that sets it, whoever reads the file."""
    given = value if form == "as YAML has it" or isinstance(value, str) else json.dumps(value)
    (line,) = refusal(lambda: settings(**{name: given}))
    assert line.startswith(f"  hosting:{name}")
    assert reason in line
    assert f"Meaning: {Settings.model_fields[name].description}" in line
    assert f"Fix: pulumi config set --path 'hosting:{name}" in line
    assert line.endswith("VALUE --config-file Pulumi.prod.yaml")


def test_every_wrong_setting_is_named_at_once() -> None:
    """Nobody has to mend one to hear of the next."""
    lines = refusal(lambda: parse_settings({**GOOD, "tls": "none", "zone_id": "x", "image": "y"}, environment="prod"))
    assert [line.split(":")[1].split(".")[0] for line in lines] == ["image", "tls", "zone_id"]


def test_a_setting_of_a_cell_is_named_with_its_path() -> None:
    """The command sets exactly that one."""
    (line,) = refusal(lambda: settings(cells={"eu-1": {**CELL, "location": "moon"}}))
    assert line.startswith("  hosting:cells.eu-1.location: ")
    assert "pulumi config set --path 'hosting:cells.eu-1.location' VALUE" in line


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"colour": "blue"}, "colour"),
        ({"cells": {"eu-1": {**CELL, "colour": "blue"}}}, "cells.eu-1.colour"),
        ({"cells": {"eu-1": CELL, "EU_2": CELL}}, "cells.EU_2"),
        ({"cells": {"eu-1": CELL, "europe-west-1": CELL}}, "cells.europe-west-1"),
        ({"secret_versions": {"jwtt": 1}}, "secret_versions.jwtt"),
    ],
)
def test_a_setting_that_does_not_exist_is_to_be_removed(changes: dict[str, object], path: str) -> None:
    """Another value would not help: the command takes it away."""
    (line,) = refusal(lambda: settings(**changes))
    assert line.startswith(f"  hosting:{path}: ")
    assert line.endswith(f"Fix: pulumi config rm --path 'hosting:{path}' --config-file Pulumi.prod.yaml")


def test_the_engines_json_is_decoded() -> None:
    """Mappings, lists, numbers and booleans come as text and are what the file says they are."""
    given = settings(
        cells=json.dumps({"eu-1": CELL}),
        ssh_public_keys='["ssh-ed25519 AAAA ops"]',
        backup_retention_days="14",
        protect="false",
        acme_email="null",
    )
    assert given == settings(backup_retention_days=14, protect=False, acme_email=None)
    assert given.cells["eu-1"].server_types == ("cx43",)
    assert given.backup_retention_days == 14
    assert given.protect is False


def test_text_that_looks_like_json_stays_text() -> None:
    """A zone id of digits only is no number, a path `true` no boolean."""
    given = settings(zone_id="1" * 32, registry="true", backup_bucket="12345")
    assert (given.zone_id, given.registry, given.backup_bucket) == ("1" * 32, Path("true"), "12345")


def test_secrets_are_not_settings() -> None:
    """They are read through the engine only: none has a field, and they are not refused as unknown."""
    assert not set(SECRET_NAMES) & set(Settings.model_fields)
    assert settings(**dict.fromkeys(SECRET_NAMES, "x")) == settings()


def test_one_kind_of_secret_is_rotated_alone() -> None:
    """Raising the version of `jwt` leaves the encryption key at its first version, and the other way round."""
    assert settings(secret_versions={"jwt": 2}).secret_versions == {"jwt": 2, "encryption": 1}
    assert settings(secret_versions='{"encryption": 3}').secret_versions == {"jwt": 1, "encryption": 3}


@pytest.mark.parametrize("image", ["caddy:2.11.9", "host:5000/caddy:2", f"caddy@sha256:{'0' * 64}"])
def test_pinned_images_are_accepted(image: str) -> None:
    """By a tag or by a digest, from any registry."""
    assert settings(image=image).image == image


def test_every_setting_has_a_meaning() -> None:
    """Messages and the configuration reference are made of it."""
    assert [name for name, field in Settings.model_fields.items() if len(field.description or "") < 15] == []


def test_production_is_complete() -> None:
    """The file in the repository passes as it is."""
    production = read_settings(ROOT / "Pulumi.prod.yaml")
    assert production.protect
    assert production.tls == "cloudflare"


def test_the_file_is_named_after_the_environment(tmp_path: Path) -> None:
    """A refusal's command names the file that was read."""
    path = tmp_path / "Pulumi.staging.yaml"
    path.write_text("config:\n  other:domain: x\n  hosting:domain: markitup.io\n")
    with pytest.raises(SettingsError, match=r"(?s)settings of `staging`.*--config-file Pulumi\.staging\.yaml") as error:
        read_settings(path)
    assert "other" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no such settings file.*Fix:"), ("config: {", "no YAML.*Fix:")]
)
def test_a_file_that_cannot_be_read_names_itself(tmp_path: Path, content: str | None, message: str) -> None:
    """Missing or broken: the path, what is the matter and the fix."""
    path = tmp_path / "Pulumi.prod.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=f"(?s)Pulumi.prod.yaml: .*{message}"):
        read_settings(path)


CONTROL: dict[str, Any] = {
    "location": "fsn1",
    "server_types": ["cx43"],
    "image": "ghcr.io/example/control:1.2.3",
    "repository": "git@github.com:example/hosting.git",
}


def test_no_cell_is_called_control() -> None:
    """Its stack's name is taken."""
    with pytest.raises(SettingsError, match="no cell can be called `control`"):
        settings(cells={"control": CELL})


def test_the_control_server_is_a_mapping() -> None:
    """As text, as the engine hands it over, and with defaults for what is not said."""
    control = settings(control=json.dumps(CONTROL)).control
    assert control is not None
    assert (control.workers, control.private_port, control.docker_host) == (1, 8300, None)
    assert control == settings(control=CONTROL).control
    assert settings().control is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"image": "ghcr.io/example/control:latest"}, "hosting:control.image: .*must be pinned"),
        ({"database_image": "postgres"}, "hosting:control.database_image: .*must be pinned"),
        ({"repository": "https://ghp_token@github.com/a/b"}, "hosting:control.repository: .*has a password or token"),
        ({"repository": "https://git:token@example.org/b"}, "hosting:control.repository: .*has a password or token"),
        ({"workers": 0}, "hosting:control.workers: .*greater than or equal to 1"),
        ({"server_types": []}, "hosting:control.server_types: "),
        ({"environment": {"lower-case": "x"}}, "hosting:control.environment.lower-case: "),
        ({"colour": "red"}, "hosting:control.colour: no such setting"),
    ],
)
def test_a_wrong_control_server_is_refused(change: dict[str, object], reason: str) -> None:
    """With the path of the mistake."""
    with pytest.raises(SettingsError, match=reason):
        settings(control={**CONTROL, **change})
