"""The text of ``customers.yaml`` taken apart: raw values with their lines, without judging them.

Two readers with one result. Nearly every line of the file is ``key: plain-word``; a scanner reads those
ten times faster than a YAML parser. Anything else (quotes, flow style, odd indentation, a value that YAML
would not read as text) goes to the YAML parser, which knows the line of every mistake. A test holds both together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import yaml

from registry.errors import Problem, RegistryError

LARGEST_FILE = 32 * 1024 * 1024
"""Bytes; 10,000 customers take about 2 MiB."""
DEEPEST = 6
"""Nesting; the file needs 3. Deeper is refused before the parser's own recursion can fail."""

SECTIONS = ("customers", "quarantine")
_NOT_TEXT = re.compile(r"(?:y|n|yes|no|on|off|true|false|null)\Z|[0-9]+\Z", re.IGNORECASE)
_TEXT = r"\t -~\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff"
"""What YAML allows in a line, but for its byte order mark. U+0085, U+2028 and U+2029 would end the line."""
_COMMENT = rf"(?:[ ]+#[{_TEXT}]*)?[ ]*\n"
_LINE = re.compile(
    rf"(?P<blank>[ ]*(?:#[{_TEXT}]*)?)\n"
    rf"|(?P<section>[a-z]{{1,99}}):(?P<empty>[ ]+\{{\}})?{_COMMENT}"
    rf"|[ ]{{2}}(?P<entry>[a-z][a-z0-9_-]{{0,99}}):(?:[ ]+(?P<day>[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}))?{_COMMENT}"
    rf"|[ ]{{4}}(?P<field>[a-z_]{{1,99}}):[ ]+"
    rf"(?P<value>[A-Za-z][A-Za-z0-9_.-]*|[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}){_COMMENT}"
)
_UNSEEN = re.compile(rf"[^\n\r\ufeff{_TEXT}]|\r(?!\n)")
"""What no editor shows: control characters, lone surrogates, and line ends that YAML knows and git does not."""


@dataclass(slots=True)
class RawEntry:
    """One customer as it stands in the file: field to value, and field to line (from 1)."""

    line: int
    fields: dict[str, object]
    lines: dict[str, int]


@dataclass(slots=True)
class Document:
    """The file taken apart; problems are those of the notation, not of the business."""

    entries: dict[str, RawEntry]
    quarantine: dict[str, tuple[object, int]]
    problems: list[Problem]


def read_document(text: str) -> Document:
    """Take the text apart.

    Raises:
        RegistryError: it is no YAML of the right outline at all; the one problem says where.
    """
    if len(text) > LARGEST_FILE:
        raise _refused("the file", f"it is larger than {LARGEST_FILE // 2**20} MiB", "is it the right file?", None)
    return _scan(text) or _parse(text)


def _scan(text: str) -> Document | None:  # noqa: PLR0911 - one for each thing that is not simple
    """Read a file of simple lines; None where a line is not simple."""
    document = Document(entries={}, quarantine={}, problems=[])
    if not text.endswith("\n"):
        return None
    section, entry, number, position = None, None, 0, 0
    seen: set[str] = set()
    match = _LINE.match
    while position < len(text):
        found = match(text, position)
        if found is None:
            return None
        position = found.end()
        number += 1
        if found["field"] is not None:
            name, value = found["field"], found["value"]
            odd = _NOT_TEXT.match(name) or _NOT_TEXT.match(value) or (value[0].isdigit() and not _is_day(value))
            if entry is None or name in entry.fields or odd:
                return None
            entry.fields[name] = date.fromisoformat(value) if value[0].isdigit() else value
            entry.lines[name] = number
        elif found["entry"] is not None:
            name, day = found["entry"], found["day"]
            odd = _NOT_TEXT.match(name)
            if section == "customers" and not odd and day is None and name not in document.entries:
                document.entries[name] = entry = RawEntry(line=number, fields={}, lines={})
            elif (
                section == "quarantine"
                and not odd
                and day is not None
                and name not in document.quarantine
                and _is_day(day)
            ):
                document.quarantine[name] = (date.fromisoformat(day), number)
            else:
                return None
        elif found["section"] is not None:
            if found["section"] not in SECTIONS or found["section"] in seen:
                return None
            seen.add(found["section"])
            section, entry = found["section"] if found["empty"] is None else None, None
    if not document.entries or any(not raw.fields for raw in document.entries.values()):
        return None
    return document


def _is_day(value: str) -> bool:
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _parse(text: str) -> Document:
    unseen = _UNSEEN.search(text)
    if unseen is not None:
        line = text.count("\n", 0, unseen.start()) + 1
        reason = f"it has the character U+{ord(unseen[0]):04X}, which YAML forbids or editors hide"
        raise _refused("the file", reason, "remove it", line)
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            line = event.start_mark.line + 1  # pyright: ignore[reportOptionalMemberAccess] - set by every parser
            if depth > DEEPEST:
                raise _refused("the file", "it is nested too deeply", "write entries as the examples do", line)
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
                raise _refused("the file", "anchors and aliases are not allowed", "write the value out", line)
            tag = getattr(event, "tag", None)
            if tag is not None:
                raise _refused("the file", f"tags (`{tag}`) are not allowed", "quote the value instead", line)
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, UnicodeError) as error:  # an escaped tag can be no UTF-8
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or str(error)
        raise _refused(
            "the file",
            f"it is no YAML: {reason}",
            "mend that line (`git diff` shows what changed)",
            None if mark is None else mark.line + 1,
        ) from None
    if root is None:
        raise _refused("the file", "it is empty", "restore it: git checkout -- customers.yaml", None)
    document = Document(entries={}, quarantine={}, problems=[])
    for name, node, line in _mapping(root, "the file", document.problems):
        if name == "customers":
            _read_customers(node, document)
        elif name == "quarantine" and not _is_null(node):
            document.quarantine = {
                key: (_value(value, f"quarantine/{key}", document.problems), at)
                for key, value, at in _mapping(node, "quarantine", document.problems)
            }
        elif name not in SECTIONS:
            document.problems.append(
                Problem(
                    path=name or '""', reason="there is no such section", fix=f"use {' or '.join(SECTIONS)}", line=line
                )
            )
    return document


def _read_customers(node: yaml.Node, document: Document) -> None:
    for customer_id, fields, line in _mapping(node, "customers", document.problems):
        path = f"customers/{customer_id}"
        raw = RawEntry(line=line, fields={}, lines={})
        for name, value, at in _mapping(fields, path, document.problems):
            raw.fields[name] = _value(value, f"{path}/{name}", document.problems)
            raw.lines[name] = at
        if isinstance(fields, yaml.MappingNode):  # otherwise it is one problem, not one a field as well
            document.entries[customer_id] = raw


def _mapping(node: yaml.Node, path: str, problems: list[Problem]) -> Iterator[tuple[str, yaml.Node, int]]:
    """Yield a mapping's keys, value nodes and lines; note what is no mapping, no text or there twice."""
    line = node.start_mark.line + 1
    if _is_null(node):
        problems.append(Problem(path=path, reason="it is empty", fix="fill it in, or remove it", line=line))
        return
    if not isinstance(node, yaml.MappingNode):
        problems.append(Problem(path=path, reason="it is no mapping", fix="write `key: value` lines", line=line))
        return
    seen: dict[str, int] = {}
    for key, value in node.value:
        at = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
            shown = key.value if isinstance(key, yaml.ScalarNode) else "a list or mapping"
            problems.append(
                Problem(path=path, reason=f"the key `{shown}` is not text", fix=f'quote it: "{shown}"', line=at)
            )
        elif key.value in seen:
            problems.append(
                Problem(
                    path=f"{path}/{key.value}" if path != "the file" else key.value,
                    reason=f"it is there twice (first in line {seen[key.value]})",
                    fix="keep one of them",
                    line=at,
                )
            )
        else:
            seen[key.value] = at
            yield key.value, value, at


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


_KINDS: Mapping[str, str] = {"bool": "true or false", "int": "a number", "float": "a number", "null": "nothing"}


def _value(node: yaml.Node, path: str, problems: list[Problem]) -> object:
    """Return text or a date; anything that YAML takes for something else is a problem, not a guess."""
    line = node.start_mark.line + 1
    if not isinstance(node, yaml.ScalarNode):
        problems.append(Problem(path=path, reason="it is a list or mapping", fix="give one value", line=line))
        return None
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    if kind == "str":
        return str(node.value)
    if kind == "timestamp" and _is_day(node.value):
        return date.fromisoformat(node.value)
    read_as = _KINDS.get(kind, f"a {kind}")
    problems.append(
        Problem(
            path=path,
            reason=f"YAML reads `{node.value}` as {read_as}, not as text",
            fix=f'quote it: "{node.value}"' if node.value else "give a value or remove the line",
            line=line,
        )
    )
    return None


def _refused(path: str, reason: str, fix: str, line: int | None) -> RegistryError:
    return RegistryError([Problem(path=path, reason=reason, fix=fix, line=line)])
