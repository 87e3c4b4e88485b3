"""Checks every customer through Caddy and prints where they answer."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from demo.places import CA, PROJECT, REGISTRY
from registry.customers import RUNNING, Customer, Status
from scripts.context import Context
from webhook.probe import Answer, Probe

WAIT_SECONDS = 60.0
PLACARDS = {Status.SUSPENDED: 503, Status.DELETING: 410, Status.PURGING: 410}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table."""

    customer_id: str
    entry: Customer
    url: str
    answer: Answer

    @property
    def sound(self) -> bool:
        """Whether it answers as its status says."""
        if self.entry.status in RUNNING:
            return self.answer.healthy
        return self.answer.code == PLACARDS[self.entry.status]

    @property
    def says(self) -> str:
        """What the table shows."""
        if self.entry.status in RUNNING:
            return self.answer.detail
        return "placard" if self.sound else self.answer.detail


def check_and_print(context: Context) -> bool:
    """Ask every address and print the table; return whether all answered as they should."""
    probe = context.probe()
    rows = [row for key, entry in context.store().read().customers.items() for row in _rows(context, probe, key, entry)]
    table = Table(title="Customers", title_justify="left")
    for column in ("customer", "plan", "cell", "URL", "status", "answers", "time"):
        table.add_column(column, overflow="fold", no_wrap=column == "URL")
    for row in rows:
        colour = "green" if row.sound else "red"
        table.add_row(
            row.customer_id,
            row.entry.plan,
            row.entry.cell,
            row.url,
            str(row.entry.status),
            f"[{colour}]{row.says}[/{colour}]",
            f"{row.answer.seconds * 1000:.0f} ms",
        )
    console = Console(width=max(120, Console().width))
    console.print(table)
    _print_next_steps(console, next((row.url for row in rows if row.sound), "https://..."))
    return all(row.sound for row in rows)


def _rows(context: Context, probe: Probe, customer_id: str, entry: Customer) -> list[Row]:
    urls = [context.settings.url_of(entry)]
    if entry.domain is not None and entry.status in RUNNING:
        urls.append(f"https://{entry.domain}:{context.settings.cells[entry.cell].https_port}")
    rows = []
    for url in urls:
        answer = probe.wait(url, seconds=WAIT_SECONDS) if entry.status in RUNNING else probe.ask(url)
        rows.append(Row(customer_id=customer_id, entry=entry, url=url, answer=answer))
    return rows


def _print_next_steps(console: Console, url: str) -> None:
    ca, registry = CA.relative_to(PROJECT), REGISTRY.relative_to(PROJECT)
    console.print(f"Look at one:   curl --cacert {ca} {url}/api/health", soft_wrap=True)
    console.print(f"Change it:     edit {registry}, then .venv/bin/hosting up", soft_wrap=True)
    console.print("By hand:       set -a; . .local/demo/environment; set +a; pulumi -C .local/demo up -s demo-eu-1")
    console.print("The cloud:     .venv/bin/python -m localcloud status")
    console.print("Take it away:  make down")
