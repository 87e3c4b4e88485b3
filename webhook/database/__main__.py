"""Brings the management database to this release's schema: ``python -m webhook.database [REVISION]``."""

from __future__ import annotations

import sys

from sqlalchemy.exc import SQLAlchemyError

from stacks.settings import SettingsError
from webhook.database.engine import open_database
from webhook.database.migrate import migrate
from webhook.database.schema import revision
from webhook.settings import read_database_settings


def main(arguments: list[str]) -> int:
    """Migrate; return the exit code."""
    try:
        engine = open_database(read_database_settings().database_url)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        migrate(engine, arguments[0] if arguments else "head")
    except SQLAlchemyError as error:
        print(f"the management database was not changed: {type(error).__name__}", file=sys.stderr)
        return 1
    print(f"the management database is at {revision(engine) or 'nothing'}")
    engine.dispose()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
