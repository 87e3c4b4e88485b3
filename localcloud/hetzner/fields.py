"""Reads a request's body field by field and collects all that is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from localcloud.hetzner.errors import invalid
from localcloud.hetzner.labels import label_problems

MISSING = "Missing data for required field."
_PART = r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
HOSTNAME = re.compile(rf"{_PART}(\.{_PART})*")
"""A server's name: RFC 1123."""


class Fields:
    """The fields of one JSON object.

    A reader returns None for a field that is missing, null or wrong; ``check`` raises for all wrong ones at once.
    """

    def __init__(self, body: Mapping[str, Any], problems: dict[str, list[str]] | None = None, path: str = "") -> None:
        self._body = body
        self._path = path
        self._problems: dict[str, list[str]] = {} if problems is None else problems

    def has(self, name: str) -> bool:
        """Return whether a field was sent, null included."""
        return name in self._body

    def problem(self, name: str, message: str) -> None:
        """Note what is wrong with a field."""
        self._problems.setdefault(f"{self._path}{name}", []).append(message)

    def check(self) -> None:
        """Raise ApiError ``invalid_input`` if anything was wrong."""
        if self._problems:
            raise invalid(self._problems)

    def text(
        self, name: str, *, required: bool = False, choices: Collection[str] = (), limit: int | None = None
    ) -> str | None:
        """Return a string field.

        Args:
            name: Of the field.
            required: Complain if there is none or an empty one.
            choices: All that it may be; anything if empty.
            limit: Most bytes.
        """
        value = self._typed(name, str, "Not a valid string.", required=required)
        if value is None:
            return None
        if required and not value:
            self.problem(name, "Shorter than minimum length 1.")
        elif choices and value not in choices:
            self.problem(name, f"Must be one of: {', '.join(sorted(choices))}.")
        elif limit is not None and len(value.encode()) > limit:
            self.problem(name, f"Longer than maximum length {limit}.")
        else:
            return value
        return None

    def name(self, *, required: bool, hostname: bool = False) -> str | None:
        """Return the field ``name``."""
        value = self.text("name", required=required, limit=253 if hostname else 128)
        if value is not None and hostname and not HOSTNAME.fullmatch(value):
            self.problem("name", "Not a valid hostname (RFC 1123).")
        return value

    def flag(self, name: str, *, required: bool = False) -> bool | None:
        """Return a boolean field."""
        return self._typed(name, bool, "Not a valid boolean.", required=required)

    def number(self, name: str, *, required: bool = False) -> int | None:
        """Return a whole number, such as the id of something else."""
        return self._typed(name, int, "Not a valid integer.", required=required)

    def reference(self, name: str, *, required: bool = False) -> int | str | None:
        """Return an id or a name."""
        value = self._body.get(name)
        if isinstance(value, str) and value:
            return int(value) if value.isdecimal() else value
        return self.number(name, required=required)

    def labels(self) -> dict[str, str] | None:
        """Return the field ``labels``."""
        labels: dict[str, str] | None = self._typed("labels", dict, "Not a valid object.")
        for message in label_problems(labels or {}):
            self.problem("labels", message)
        return labels

    def values(self, name: str, kind: type | tuple[type, ...], *, required: bool = False) -> list[Any]:
        """Return a list field with items of one type; an empty one if there is none."""
        values: list[Any] = self._typed(name, list, "Not a valid list.", required=required) or []
        for index, value in enumerate(values):
            if not isinstance(value, kind) or isinstance(value, bool):
                self.problem(f"{name}.{index}", "Has a wrong type.")
        return [value for value in values if isinstance(value, kind) and not isinstance(value, bool)]

    def objects(self, name: str, *, required: bool = False) -> list[Fields]:
        """Return the fields of each object of a list; what is wrong with them counts here too."""
        values = self.values(name, dict, required=required)
        return [Fields(value, self._problems, f"{self._path}{name}.{index}.") for index, value in enumerate(values)]

    def object(self, name: str) -> Fields:
        """Return the fields of an object; an empty one if there is none."""
        value: dict[str, Any] = self._typed(name, dict, "Not a valid object.") or {}
        return Fields(value, self._problems, f"{self._path}{name}.")

    def _typed(self, name: str, kind: type, message: str, *, required: bool = False) -> Any:  # noqa: ANN401 - kind says
        value = self._body.get(name)
        if value is None:
            if required:
                self.problem(name, MISSING)
            return None
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.problem(name, message)
            return None
        return value
