"""Labels and label selectors: https://docs.hetzner.cloud/reference/cloud#label-selector."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from localcloud.hetzner.errors import ApiError

_NAME = r"[a-zA-Z0-9](?:[a-zA-Z0-9._-]{0,61}[a-zA-Z0-9])?"
_KEY = re.compile(rf"(?:(?=[^/]{{1,253}}/){_NAME}(?:\.{_NAME})*/)?{_NAME}")
_VALUE = re.compile(rf"(?:{_NAME})?")
_IN = re.compile(r"(?P<key>\S+)\s+(?P<operator>in|notin)\s+\((?P<values>[^()]*)\)")
_EQUAL = re.compile(r"(?P<key>[^!=\s]+)\s*(?P<operator>==|=|!=)\s*(?P<value>\S*)")

Test = Callable[[Mapping[str, str]], bool]


def label_problems(labels: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with labels."""
    for key, value in labels.items():
        if not _KEY.fullmatch(key) or key.startswith("hetzner.cloud/"):
            yield f"Label key '{key}' is not correctly formatted."
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            yield f"Label value '{value}' (key: {key}) is not correctly formatted."


def selector(text: str) -> Test:
    """Return the test that a label selector makes.

    Raises:
        ApiError: it can't be read.
    """
    parts = [part.strip() for part in re.split(r",(?![^(]*\))", text)]
    tests = [_requirement(part) for part in parts if part]
    return lambda labels: all(test(labels) for test in tests)


def _requirement(part: str) -> Test:
    if match := _IN.fullmatch(part):
        key, wanted = match["key"], {value.strip() for value in match["values"].split(",")}
        if match["operator"] == "in":
            return lambda labels: labels.get(key) in wanted
        return lambda labels: labels.get(key) not in wanted
    if match := _EQUAL.fullmatch(part):
        key, value = match["key"], match["value"]
        if match["operator"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    absent = part.startswith("!")
    key = part.removeprefix("!")
    if not _KEY.fullmatch(key):
        raise ApiError("invalid_input", "label selector is invalid")
    return lambda labels: (key in labels) != absent
