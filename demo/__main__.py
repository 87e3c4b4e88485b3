"""``python -m demo up|down``."""

from __future__ import annotations

import sys

import typer

from demo.database import LentDatabaseError
from demo.docker_engine import NoDockerError
from demo.down import remove_caches, take_down
from demo.processes import StartError
from demo.say import say
from demo.sign_up import SignUpError
from demo.stripe_account import AccountError
from demo.up import DemoError, bring_up
from engine.go import BuildError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The whole business on this machine.")


@app.command()
def up(
    image: str | None = typer.Option(None, envvar="MARKITUP_IMAGE", help="Another local MarkItUp image."),
    database: str | None = typer.Option(
        None, envvar="DEMO_DATABASE_URL", help="An empty database, as postgresql://user:password@host/name."
    ),
) -> None:
    """Bring everything up, check every customer through Caddy, and print where they answer."""
    try:
        sound = bring_up(image, database)
    except (NoDockerError, StartError, BuildError, DemoError, AccountError, SignUpError, LentDatabaseError) as error:
        say(f"[red]{error}[/red]")
        raise typer.Exit(1) from None
    if not sound:
        raise typer.Exit(1)


@app.command()
def down() -> None:
    """Remove every container, network, volume, process and file of the demo."""
    take_down()


@app.command()
def clean() -> None:
    """Remove the demo's images and the cached engine as well."""
    remove_caches()


if __name__ == "__main__":
    sys.exit(app())
