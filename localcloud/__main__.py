"""``python -m localcloud``: serve the local cloud, look at it, make it fail."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from localcloud.faults import Fault, Faults, Mode
from localcloud.mailbox import mails
from localcloud.serve import MAIL, STORE, serve_until_told
from localcloud.status import print_status
from localcloud.store import Store

app = typer.Typer(no_args_is_help=True, add_completion=False, help="A laptop's Hetzner, Cloudflare, AWS and Stripe.")
Folder = Annotated[Path, typer.Option(help="Where its state is kept.", envvar="LOCALCLOUD_FOLDER")]
DEFAULT = Path(".local/demo/cloud")


@app.command()
def serve(folder: Folder = DEFAULT, http_port: int = 0, s3_port: int = 0) -> None:
    """Serve until told to stop; endpoints.json in the folder says where."""
    folder.mkdir(parents=True, exist_ok=True)
    serve_until_told(folder, http_port=http_port, s3_port=s3_port)


@app.command()
def status(folder: Folder = DEFAULT, *, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Show what exists."""
    print_status(folder, as_json=as_json)


@app.command()
def fault(
    cloud: Annotated[str, typer.Argument(help="hetzner, cloudflare, aws or stripe.")],
    operation: Annotated[str, typer.Argument(help="Pattern, such as 'POST /servers' or 'create DnsRecord'.")],
    mode: Mode,
    folder: Folder = DEFAULT,
    times: int = 1,
    seconds: float = 1.0,
) -> None:
    """Let the next matching calls fail; `fault hetzner '*' error --times 0` is refused: see `clear`."""
    if times < 1:
        raise typer.BadParameter("at least 1", param_hint="--times")
    _faults(folder).order(Fault(cloud=cloud, operation=operation, mode=mode, times=times, seconds=seconds))


@app.command()
def clear(folder: Folder = DEFAULT) -> None:
    """Forget all faults to come."""
    _faults(folder).clear()


@app.command()
def calls(folder: Folder = DEFAULT, *, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Show how often each operation was called."""
    counted = Store(folder / STORE).calls()
    if as_json:
        print(json.dumps([{"cloud": c, "operation": o, "count": n} for (c, o), n in sorted(counted.items())]))
        return
    table = Table("cloud", "operation", "calls")
    for (cloud, operation), count in sorted(counted.items()):
        table.add_row(cloud, operation, str(count))
    Console().print(table)


@app.command("mails")
def show_mails(
    folder: Folder = DEFAULT, *, text: Annotated[bool, typer.Option(help="Show the letters whole.")] = False
) -> None:
    """Show the mails that were caught."""
    table = Table("to", "subject", "date")
    for mail in mails(folder / MAIL):
        table.add_row(mail["To"], mail["Subject"], mail["Date"])
        body = mail.get_body(("plain",))
        if text and body is not None:
            print(f"To: {mail['To']}\nSubject: {mail['Subject']}\n\n{body.get_content()}\n---")
    if not text:
        Console(width=None if sys.stdout.isatty() else 160).print(table)


def _faults(folder: Path) -> Faults:
    return Faults(Store(folder / STORE))


if __name__ == "__main__":
    app()
