"""The schema for editors: up to date, and of one opinion with the checks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from registry.customers import FIELDS
from registry.schema import customers_schema

ROOT = Path(__file__).parents[2]


def valid(text: str) -> bool:
    """Return whether the schema accepts a text, whose plain words all count as text, as they do for editors."""
    validator = jsonschema.Draft202012Validator(customers_schema(), format_checker=jsonschema.FormatChecker())
    return bool(validator.is_valid(yaml.load(text, Loader=yaml.BaseLoader)))  # noqa: S506 - a safe loader of text only


def test_the_schema_in_docs_is_up_to_date() -> None:
    """`python -m registry.schema` prints what is in docs/customers.schema.json, to the byte."""
    printed = subprocess.run(
        [sys.executable, "-m", "registry.schema"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    assert printed == (ROOT / "docs" / "customers.schema.json").read_bytes()
    assert json.loads(printed) == customers_schema()


def test_the_registry_names_its_schema() -> None:
    """The first line of customers.yaml tells editors where the schema is, and it is there."""
    first = (ROOT / "customers.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=docs/customers.schema.json"
    assert (ROOT / first.partition("=")[2]).is_file()


def test_every_field_is_explained() -> None:
    """Each field of an entry has a description that editors can show."""
    entry = customers_schema()["properties"]["customers"]["additionalProperties"]  # type: ignore[index]
    assert tuple(entry["properties"]) == FIELDS
    assert all(len(field["description"]) > 10 for field in entry["properties"].values())


def test_the_schema_is_a_schema() -> None:
    """The schema is well-formed by the rules for schemas."""
    jsonschema.Draft202012Validator.check_schema(customers_schema())


def test_the_demo_fits_the_schema() -> None:
    """Editors find nothing wrong with the repository's own customers.yaml."""
    assert valid((ROOT / "customers.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("subdomain: acme\n", "subdomain: Acme\n"),
        ("subdomain: acme\n", "subdomain: ac\n"),
        ("    subdomain: acme\n", ""),
        ("plan: team", "plan: gold"),
        ("status: active", "status: asleep"),
        ("ring: canary", "ring: outer"),
        ("ring: canary", "colour: red"),
        ("c-acme7k2m", "C.acme"),
        ("cus_demo_acme", "acme"),
        ("\ncustomers:", "\nservers:"),
    ],
)
def test_mistakes_do_not_fit_the_schema(old: str, new: str) -> None:
    """Editors underline what the checks would refuse."""
    text = (ROOT / "customers.yaml").read_text(encoding="utf-8")
    assert old in text
    assert not valid(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("section", "fits"), [(" {}\n", True), ("\n  old: 2026-01-15\n", True), ("\n  old: soon\n", False)]
)
def test_quarantine_fits_the_schema(section: str, fits: bool) -> None:
    """A quarantine of names and days fits, an empty section too; anything but a day does not."""
    assert valid((ROOT / "customers.yaml").read_text(encoding="utf-8") + f"quarantine:{section}") == fits
