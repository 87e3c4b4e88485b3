"""Reads and checks the whole registry: every problem at once, or a registry that can be relied on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import date
from pathlib import Path

from pydantic import ValidationError

from registry.cells import Cell, capacity
from registry.customers import CUSTOMER_ID, FIELDS, LEAVING, Customer, Registry, Status
from registry.document import Document, RawEntry, read_document
from registry.edits import entry_at, without_entry
from registry.errors import Problem, RegistryError
from registry.names import domain_problem, subdomain_problem
from registry.placement import loads
from registry.plans import PLANS
from registry.text import read_text


def load(path: Path, *, cells: Mapping[str, Cell], domain: str, today: date) -> Registry:
    """Read and check a registry file.

    Raises:
        RegistryError: with every problem at once.
    """
    return parse(read_text(path), cells=cells, domain=domain, today=today)


def parse(text: str, *, cells: Mapping[str, Cell], domain: str, today: date) -> Registry:
    """Check a registry's text.

    Args:
        text: Content of ``customers.yaml``.
        cells: The environment's cells, name to cell.
        domain: The product's domain; custom domains must be elsewhere.
        today: Quarantine ends are compared with it.

    Raises:
        RegistryError: with every problem at once, each with path, line, reason and fix.
    """
    document = read_document(text)
    problems = document.problems
    if not document.entries and not problems:
        problems.append(
            Problem(
                path="customers",
                reason="there is no customer in it; the file looks truncated",
                fix="restore it: git checkout -- customers.yaml",
            )
        )
    customers: dict[str, Customer] = {}
    broken: dict[str, AbstractSet[str]] = {}
    for customer_id, raw in document.entries.items():
        customers[customer_id], broken[customer_id] = _entry(customer_id, raw, problems)
    registry = Registry(customers=customers, quarantine=_quarantine(document, problems))
    problems.extend(_rules(registry, document, broken, cells=cells, domain=domain, today=today))
    if problems:
        raise RegistryError(sorted(problems, key=lambda problem: problem.line or 0))
    return registry


_ID = re.compile(CUSTOMER_ID)


def _entry(customer_id: str, raw: RawEntry, problems: list[Problem]) -> tuple[Customer, AbstractSet[str]]:
    """Return an entry, and which of its fields are broken and stood in for."""
    path = f"customers/{customer_id}"
    if _ID.fullmatch(customer_id) is None:
        problems.append(
            Problem(
                path=path,
                reason="a customer id is 2-40 of a-z, 0-9, - and _, a letter first",
                fix="give it another id",
                line=raw.line,
            )
        )
    fields = {name: value for name, value in raw.fields.items() if value is not None}
    noted: AbstractSet[str] = raw.fields.keys() - fields.keys()
    try:
        return Customer.model_validate(fields), noted
    except ValidationError as error:
        for item in error.errors(include_url=False):
            name = str(item["loc"][0])
            if name not in noted:  # what the notation got wrong is reported already
                problems.append(_field_problem(path, name, item, raw))
        noted |= {str(item["loc"][0]) for item in error.errors(include_url=False)}
    return _readable_part(fields, noted), noted


def _readable_part(fields: Mapping[str, object], broken: AbstractSet[str]) -> Customer:
    """Return a broken entry's sound fields, so that the rules can be held against them as well."""
    sound = {name: value for name, value in fields.items() if name not in broken and name in FIELDS}
    status = Status.DELETING if "delete_after" in sound else Status.ACTIVE
    return Customer.model_validate({"subdomain": "", "plan": "pro", "status": status, "cell": "", **sound})


def _field_problem(path: str, name: str, item: Mapping[str, object], raw: RawEntry) -> Problem:
    line = raw.lines.get(name, raw.line)
    where = f"{path}/{name}"
    if item["type"] == "missing":
        return Problem(path=where, reason="it is missing", fix=f"add a line `{name}: ...`", line=line)
    if item["type"] == "extra_forbidden":
        return Problem(path=where, reason="there is no such field", fix=f"use one of {', '.join(FIELDS)}", line=line)
    return Problem(path=where, reason=f"`{raw.fields.get(name)}`: {item['msg']}", fix="mend the value", line=line)


def _quarantine(document: Document, problems: list[Problem]) -> dict[str, date]:
    result: dict[str, date] = {}
    for name, (until, line) in document.quarantine.items():
        if isinstance(until, date):
            result[name] = until
        elif until is not None:
            problems.append(
                Problem(path=f"quarantine/{name}", reason=f"`{until}` is no date", fix="write YYYY-MM-DD", line=line)
            )
    return result


def _rules(
    registry: Registry,
    document: Document,
    broken: Mapping[str, AbstractSet[str]],
    *,
    cells: Mapping[str, Cell],
    domain: str,
    today: date,
) -> Iterator[Problem]:
    """Yield what is wrong with well-formed fields, alone or together; broken ones are reported already."""
    taken: dict[tuple[str, str], str] = {}
    for customer_id, entry in registry.customers.items():
        raw = document.entries[customer_id]
        for name, reason, fix in entry_rules(entry, registry.quarantine, cells=cells, domain=domain, today=today):
            if name not in broken[customer_id]:
                yield _problem(customer_id, name, reason, fix, raw)
        for name, value in unique_values(entry):
            if name in broken[customer_id]:
                continue
            other = taken.setdefault((name, value), customer_id)
            if other != customer_id:
                reason = f"`{value}` belongs to customers/{other} already"
                yield _problem(customer_id, name, reason, "give one of them another value", raw)
    placed = {key: entry for key, entry in registry.customers.items() if broken[key].isdisjoint({"plan", "cell"})}
    yield from over_full(Registry(customers=placed), cells)


def _problem(customer_id: str, name: str, reason: str, fix: str, raw: RawEntry) -> Problem:
    return Problem(path=f"customers/{customer_id}/{name}", reason=reason, fix=fix, line=raw.lines.get(name, raw.line))


def over_full(registry: Registry, cells: Mapping[str, Cell]) -> Iterator[Problem]:
    """Yield the cells that have promised more than they can hold."""
    for name, load_ in loads(registry, cells).items():
        over = load_.exceeds(capacity(cells[name]))
        if over:
            yield Problem(
                path=f"cells/{name}",
                reason=f"it is over-full: {', '.join(over)}",
                fix="move the last change to another cell, or add a cell to hosting:cells",
            )


def unique_values(entry: Customer) -> Iterator[tuple[str, str]]:
    """Yield the field names and values that no other customer may have."""
    yield "subdomain", entry.subdomain
    if entry.domain is not None:
        yield "domain", entry.domain
    if entry.stripe_customer is not None:
        yield "stripe_customer", entry.stripe_customer
    if entry.stripe_subscription is not None:
        yield "stripe_subscription", entry.stripe_subscription


def entry_rules(
    entry: Customer, quarantine: Mapping[str, date], *, cells: Mapping[str, Cell], domain: str, today: date
) -> Iterator[tuple[str, str, str]]:
    """Yield field, reason and fix of what is wrong with one entry by itself."""
    reason = subdomain_problem(entry.subdomain)
    if reason is not None:
        yield "subdomain", reason, "take another name"
    until = quarantine.get(entry.subdomain)
    if until is not None and until >= today:
        reason = f"`{entry.subdomain}` is in quarantine until {until}: links to its last owner may still be about"
        yield "subdomain", reason, "take another name"
    if entry.domain is not None:
        if not PLANS[entry.plan].custom_domain:
            yield "domain", f"a custom domain is not part of plan {entry.plan}", "remove it, or change the plan to pro"
        reason = domain_problem(entry.domain, product_domain=domain)
        if reason is not None:
            yield "domain", reason, "mend or remove it"
    if entry.cell not in cells:
        yield "cell", f"there is no cell `{entry.cell}`", f"use one of {', '.join(sorted(cells))}"
    if entry.status in LEAVING and entry.delete_after is None:
        yield "delete_after", f"it is missing for status {entry.status}", "add `delete_after: YYYY-MM-DD`"
    if entry.status not in LEAVING and entry.delete_after is not None:
        yield "delete_after", f"it has no meaning for status {entry.status}", "remove it"


def parse_edit(
    before: tuple[str, Registry],
    after: str,
    customer_id: str,
    *,
    cells: Mapping[str, Cell],
    domain: str,
    today: date,
) -> Registry | None:
    """Check a text that differs from a checked one in a single entry, without reading the others again.

    Returns:
        The registry; None where more than that entry differs, or the edit has a problem: then ``parse`` is due.
    """
    text, registry = before
    if without_entry(text, customer_id) != without_entry(after, customer_id) or customer_id not in registry.customers:
        return None
    problems: list[Problem] = []
    try:
        raw = entry_at(after, customer_id)
    except RegistryError:  # its lines are counted from the entry, not from the file's beginning
        return None
    entry, _ = _entry(customer_id, raw, problems)
    if problems:
        return None
    edited = Registry(customers={**registry.customers, customer_id: entry}, quarantine=registry.quarantine)
    mine = set(unique_values(entry))
    clash = any(
        key != customer_id and not mine.isdisjoint(unique_values(other)) for key, other in registry.customers.items()
    )
    wrong = [*entry_rules(entry, registry.quarantine, cells=cells, domain=domain, today=today)]
    return None if clash or wrong or any(over_full(edited, cells)) else edited
