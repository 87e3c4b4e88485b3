"""Writes the configuration reference and the ``config:`` part of Pulumi.yaml from the settings' descriptions.

``python -m stacks.reference`` writes; ``--check`` fails where what is committed is out of date.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml
from pydantic_core import PydanticUndefined

from registry.cells import Cell
from stacks.control_settings import ControlSettings
from stacks.settings import NAMESPACE, SECRET_NAMES, Settings

PROJECT = Path(__file__).parent.parent
REFERENCE = PROJECT / "docs" / "configuration.md"
PULUMI_YAML = PROJECT / "Pulumi.yaml"
MARK = "# Generated from stacks/settings.py by `make docs`.\n"

SECRET_DESCRIPTIONS = {
    "hcloud_token": "Hetzner Cloud API token of the project, 64 characters, read and write.",
    "cloudflare_token": "Cloudflare API token with DNS and zone settings edit rights for the one zone.",
    "tenant_master_keys": "Version (a number in quotes) to master key of at least 32 characters, from which every "
    "customer's secrets are derived. Never remove one that is in use.",
    "control_environment": "With `control`: a mapping of secret environment variables. `HOSTING_...` for web and"
    " workers (docs/control-service.md; those for git, GitHub and mail for the workers); others for the workers only:"
    " `PULUMI_BACKEND_URL`, `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` of state and secrets provider.",
    "control_database_password": "With `control`: password of its Postgres, made once, at least 24 letters and digits.",
    "control_ssh_key": "With `control`: the workers' private key in OpenSSH's format. Its public half is among"
    " `ssh_public_keys`, and at the registry's repository with the right to write.",
}


def reference() -> str:
    """Return docs/configuration.md."""
    lines = [
        "# Configuration",
        "",
        "Generated from `stacks/settings.py` by `make docs`.",
        "",
        "All settings of an environment are in `Pulumi.<environment>.yaml`, one file for its platform stack and all",
        "its cell stacks. `hosting` finds it by itself; for `pulumi` say so: `export",
        'PULUMI_OPTION_CONFIG_FILE="$PWD/Pulumi.prod.yaml"`.',
        "",
        "| setting | default | meaning |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        lines.append(f"| `{NAMESPACE}:{name}` | {_default(field.default)} | {field.description} |")
    lines += ["", "## Secrets", "", "Set with `pulumi config set --secret`.", "", "| setting | meaning |", "|---|---|"]
    lines += [f"| `{NAMESPACE}:{name}` | {SECRET_DESCRIPTIONS[name]} |" for name in SECRET_NAMES]
    lines += [
        "",
        "## A cell",
        "",
        "`hosting:cells` maps a name (`eu-1`) to:",
        "",
        "| field | default | meaning |",
        "|---|---|---|",
    ]
    for name, field in Cell.model_fields.items():
        lines.append(f"| `{name}` | {_default(field.default)} | {field.description} |")
    lines += [
        "",
        "## The control server",
        "",
        "`hosting:control` is a mapping of:",
        "",
        "| field | default | meaning |",
        "|---|---|---|",
    ]
    for name, field in ControlSettings.model_fields.items():
        lines.append(f"| `{name}` | {_default(field.default)} | {field.description} |")
    return "\n".join([*lines, ""])


def pulumi_yaml(current: str) -> str:
    """Return Pulumi.yaml with the schema of the settings; what is above the mark stays."""
    head = current.split(MARK, maxsplit=1)[0]
    schema: dict[str, Any] = {}
    for name, field in Settings.model_json_schema()["properties"].items():
        kind = field.get("type")
        model = Settings.model_fields[name]
        # The engine's schema knows no mappings, and a key with a type but no default is required.
        if kind in {"string", "integer", "boolean"} and not model.is_required():
            entry = {"type": kind, "description": field["description"], "default": field["default"]}
            schema[f"{NAMESPACE}:{name}"] = entry
        elif kind in {"string", "integer", "boolean"}:
            schema[f"{NAMESPACE}:{name}"] = {"type": kind, "description": field["description"]}
        elif kind == "array" and model.is_required():
            items = {"type": field["items"]["type"]}
            schema[f"{NAMESPACE}:{name}"] = {"type": kind, "items": items, "description": field["description"]}
    for name in SECRET_NAMES[:2]:
        schema[f"{NAMESPACE}:{name}"] = {"type": "string", "description": SECRET_DESCRIPTIONS[name], "secret": True}
    return head + MARK + yaml.safe_dump({"config": schema}, sort_keys=False, width=110)


def main() -> int:
    """Write or check; return the exit code."""
    wanted = {REFERENCE: reference(), PULUMI_YAML: pulumi_yaml(PULUMI_YAML.read_text(encoding="utf-8"))}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        for path in stale:
            sys.stderr.write(f"{path.name} is out of date. Fix: make docs\n")
        return 1 if stale else 0
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")
    return 0


def _default(value: object) -> str:
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return "none"
    return f"`{json.dumps(value, default=str)}`"


if __name__ == "__main__":
    sys.exit(main())
