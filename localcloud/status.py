"""What exists in the local cloud, as a table."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from botocore.exceptions import BotoCoreError
from rich.console import Console
from rich.table import Table

from localcloud.aws.api import Api
from localcloud.serve import STORE, read_endpoints
from localcloud.store import Store, Thing

NAMING = ("name", "type", "content", "ip", "value", "status")
INTERNAL = frozenset(
    {
        "hetzner/action",
        *(f"stripe/{kind}" for kind in ("event", "delivery", "attempt", "due", "setting", "idempotency")),
    }
)


def rows(folder: Path) -> list[dict[str, str]]:
    """Return one row for each thing: cloud, kind, id, and what it is."""
    store = Store(folder / STORE)
    try:
        kinds = [kind for kind in store.kinds() if kind not in INTERNAL]
        result = [_row(kind, thing) for kind in kinds for thing in store.all(kind)]
    finally:
        store.close()
    return result + _s3_rows(folder)


def print_status(folder: Path, *, as_json: bool) -> None:
    """Print the rows."""
    found = rows(folder)
    if as_json:
        print(json.dumps(found, indent=2))  # noqa: T201 - a program that prints
        return
    table = Table(title="Local cloud", title_justify="left")
    for column in ("cloud", "kind", "id", "what"):
        table.add_column(column, overflow="fold")
    for row in found:
        table.add_row(*row.values())
    Console(width=None if sys.stdout.isatty() else 160).print(table if found else "The local cloud is empty.")


def _row(kind: str, thing: Thing) -> dict[str, str]:
    cloud, _, name = kind.partition("/")
    parts = (thing.get(part) for part in NAMING)
    what = ", ".join(str(_brief(part)) for part in parts if part not in (None, "") and not isinstance(part, list))
    return {"cloud": cloud, "kind": name, "id": str(thing.get("id", "")), "what": what}


def _brief(value: object) -> object:
    return value.get("name", "") if isinstance(value, dict) else value


def _s3_rows(folder: Path) -> list[dict[str, str]]:
    endpoints = read_endpoints(folder)
    if endpoints is None:
        return []
    api = Api(endpoints.s3)
    try:
        buckets = api.s3.list_buckets()["Buckets"]
        users = api.iam.list_users()["Users"]
    except BotoCoreError as error:
        return [{"cloud": "aws", "kind": "-", "id": "-", "what": f"not reachable: {error}"}]
    found = [("bucket", each.get("Name", ""), "") for each in buckets]
    found += [("user", each["UserName"], each["Arn"]) for each in users]
    return [{"cloud": "aws", "kind": kind, "id": key, "what": what} for kind, key, what in found]
