"""``hosting``: the operators' commands. Exit codes: 0 done, 1 refused or failed, 2 wrong usage."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from engine.go import BuildError
from registry.errors import PlacementError, RegistryError
from scripts.context import Context, find_context
from scripts.customer import customer
from scripts.doctor import doctor
from scripts.events import events
from scripts.review import review
from scripts.stripe_commands import stripe
from scripts.update import preview, up
from scripts.why import why
from stacks.settings import SettingsError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Managed MarkItUp hosting: servers, instances and customers from one registry.",
)
app.command()(up)
app.command()(preview)
app.command()(review)
app.command()(doctor)
app.command()(why)
app.add_typer(customer, name="customer")
app.add_typer(events, name="events")
app.add_typer(stripe, name="stripe")


@app.callback()
def choose_environment(
    context: typer.Context,
    environment: Annotated[
        str | None,
        typer.Option(
            "--environment",
            "-e",
            envvar="HOSTING_ENVIRONMENT",
            help="Environment to work on; by default the demo where one was made here, else prod.",
        ),
    ] = None,
) -> None:
    """Find the environment once, for all commands."""

    def find() -> Context:
        found = find_context(environment)
        if found.is_demo and environment is None:
            print("hosting: working on the demo (--environment prod for production)", file=sys.stderr)  # noqa: T201
        return found

    context.obj = find


def main() -> None:
    """Run; what the product refuses is told in its own words, without a stack trace."""
    try:
        app(prog_name="hosting")
    except (SettingsError, RegistryError, PlacementError, BuildError) as error:
        Console(stderr=True).print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        print("hosting: interrupted; run the command again, it continues where it stopped", file=sys.stderr)  # noqa: T201
        sys.exit(1)


if __name__ == "__main__":
    main()
