"""Edits of the file's text: pure, and only ever of the lines of one entry.

Everything else (order, comments, spacing, other customers) stays as it is, byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

import yaml

from registry.customers import FIELDS, Customer
from registry.document import RawEntry, read_document
from registry.errors import Problem, RegistryError

_FIELD = re.compile(r"^ {4}([a-z_]+):(?P<gap>[ ]*)(?P<value>[^#\n]*?)(?P<rest>[ ]*(?:[ ]#[^\n]*)?)\n", re.MULTILINE)
_SECTION = r"^{name}:(?P<empty>[ ]+\{{\}})?[ ]*(?:[ ]#[^\n]*)?\n"
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


def add(text: str, customer_id: str, customer: Customer) -> str:
    """Return the text with one more entry at the end of ``customers:``.

    Raises:
        RegistryError: the id is there already, or the file has no ``customers:`` section in block style.
    """
    text = _whole_lines(text)
    if _header(customer_id).search(text) is not None:
        raise _refused(customer_id, "it is there already", "choose another id")
    section = re.search(_SECTION.format(name="customers"), text, re.MULTILINE)
    if section is None or section["empty"]:
        raise _refused(customer_id, "the file has no section `customers:` in block style", "add the line `customers:`")
    following = re.compile(r"^[a-z]", re.MULTILINE).search(text, section.end())
    end = len(text) if following is None else following.start()
    body = text[section.end() : end]
    # Blank lines and comments at the left margin behind the last entry belong to what follows.
    kept = len(body) - len(re.sub(r"(?:^(?:#[^\n]*)?\n)+\Z", "", body, flags=re.MULTILINE))
    at = end - kept
    lines = "".join(f"    {name}: {_written(value)}\n" for name, value in _values(customer).items())
    return f"{text[:at]}  {customer_id}:\n{lines}{text[at:]}"


def update(text: str, customer_id: str, **changes: object) -> str:
    """Return the text with fields of one entry changed; None removes a field.

    Raises:
        RegistryError: there is no such entry in block style.
    """
    text = _whole_lines(text)
    start, end = _span(text, customer_id)
    entry = text[start:end]
    for name in (name for name in FIELDS if name in changes):
        entry = _with_field(entry, name, changes[name])
    return text[:start] + entry + text[end:]


def remove(text: str, customer_id: str, *, quarantine_until: date) -> str:
    """Return the text without an entry, its name in quarantine.

    Raises:
        RegistryError: there is no such entry in block style.
    """
    text = _whole_lines(text)
    header = _header(customer_id).search(text)
    start, end = _span(text, customer_id)
    subdomain = entry_at(text, customer_id).fields.get("subdomain")
    if subdomain is None:
        raise _refused(customer_id, "it has no subdomain to keep in quarantine", "add a line `subdomain: ...`")
    text = text[: header.start() if header is not None else start] + text[end:]
    line = f"  {_written(subdomain)}: {quarantine_until.isoformat()}\n"
    section = re.search(_SECTION.format(name="quarantine"), text, re.MULTILINE)
    if section is None:
        about = "# Names of deleted customers and the day until which nobody else gets them."
        return f"{text}\n{about}\nquarantine:\n{line}"
    opening = section.group().replace(section["empty"], "", 1) if section["empty"] else section.group()
    # The name may have been in quarantine before, and taken again after that.
    earlier = re.compile(rf"^ {{2}}[\"']?{re.escape(str(subdomain))}[\"']?:[^\n]*\n", re.MULTILINE)
    following = re.compile(r"^[a-z]", re.MULTILINE).search(text, section.end())
    end = len(text) if following is None else following.start()
    names = earlier.sub("", text[section.end() : end])
    return text[: section.start()] + opening + line + names + text[end:]


def entry_at(text: str, customer_id: str) -> RawEntry:
    """Return one entry as it stands, reading no other.

    Raises:
        RegistryError: there is no such entry in block style, or it is broken.
    """
    text = _whole_lines(text)
    start, end = _span(text, customer_id)
    document = read_document(f"customers:\n  {customer_id}:\n{text[start:end]}")
    if document.problems:
        raise RegistryError(document.problems)
    return document.entries[customer_id]


def without_entry(text: str, customer_id: str) -> str | None:
    """Return the text without an entry's fields, to see that nothing else differs; None where it has no such entry."""
    text = _whole_lines(text)
    if _header(customer_id).search(text) is None:
        return None
    start, end = _span(text, customer_id)
    return text[:start] + text[end:]


def _whole_lines(text: str) -> str:
    """Return the text with a line end behind its last line, which an editor may have left out."""
    return text if not text or text.endswith("\n") else f"{text}\n"


def _header(customer_id: str) -> re.Pattern[str]:
    return re.compile(rf"^ {{2}}{re.escape(customer_id)}:[ ]*(?:#[^\n]*)?\n", re.MULTILINE)


def _span(text: str, customer_id: str) -> tuple[int, int]:
    """Return where an entry's fields begin and end; comments between this entry and the next stay with the next."""
    header = _header(customer_id).search(text)
    if header is None:
        raise _refused(
            customer_id,
            "there is no such entry, or it is not written as `id:` with one indented line a field",
            "`hosting customer list` shows the ids",
        )
    # Blank lines and comments, however indented, are inside the entry where another field comes after them.
    body = re.compile(r"(?: {4,}[^\n]*\n|(?:[ \t]*(?:#[^\n]*)?\n)+(?= {4,}[^\s#]))*").match(text, header.end())
    return header.end(), header.end() if body is None else body.end()


def _with_field(entry: str, name: str, value: object) -> str:
    for line in _FIELD.finditer(entry):
        if line[1] == name:
            if value is None:
                return entry[: line.start()] + entry[line.end() :]
            return f"{entry[: line.start()]}    {name}: {_written(value)}{line['rest']}\n{entry[line.end() :]}"
    if value is None:
        return entry
    earlier = {*FIELDS[: FIELDS.index(name)]}
    at = max((line.end() for line in _FIELD.finditer(entry) if line[1] in earlier), default=0)
    return f"{entry[:at]}    {name}: {_written(value)}\n{entry[at:]}"


def _values(customer: Customer) -> Mapping[str, Any]:
    return customer.model_dump(exclude_none=True, exclude_defaults=True)


def _written(value: object) -> str:
    """Return a value as YAML, in quotes where it would otherwise be read as something else."""
    if isinstance(value, date):
        return value.isoformat()
    text = str(value)
    plain = _PLAIN.fullmatch(text) is not None and yaml.safe_load(text) == text
    return text if plain else yaml.safe_dump(text, default_style='"', width=1_000, allow_unicode=False).strip()


def _refused(customer_id: str, reason: str, fix: str) -> RegistryError:
    return RegistryError([Problem(path=f"customers/{customer_id}", reason=reason, fix=fix)])
