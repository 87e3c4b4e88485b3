"""Reads form-encoded nested parameters: ``items[0][price]=price_1&metadata[a]=b&expand[]=customer``."""

from __future__ import annotations

import re
from collections.abc import Iterable

from localcloud.store import Thing
from localcloud.stripe_api.errors import invalid

_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_KEY = re.compile(r"\[([^\[\]]*)\]")


def decode(pairs: Iterable[tuple[str, str]]) -> Thing:
    """Return the pairs as nested objects of strings; a list is an object with the keys 0, 1, 2.

    Raises:
        ApiError: a name that can't be read, or one that is both a value and an object.
    """
    result: Thing = {}
    for name, value in pairs:
        match = _NAME.fullmatch(name)
        if match is None:
            raise invalid(f"Invalid request: the parameter name {name!r} can't be read.", name)
        keys = [match[1], *_KEY.findall(match[2])]
        target = result
        for key in keys[:-1]:
            inner = target.setdefault(key or str(len(target)), {})
            if not isinstance(inner, dict):
                raise invalid(f"Invalid request: {name} is both a value and an object.", name)
            target = inner
        last = keys[-1] or str(len(target))
        if isinstance(target.get(last), dict):
            raise invalid(f"Invalid request: {name} is both a value and an object.", name)
        target[last] = value
    return result


def items(value: Thing) -> list[object]:
    """Return the values of a list that was decoded as an object, in order."""
    return [
        value[key] for key in sorted(value, key=lambda key: (not key.isdecimal(), int(key) if key.isdecimal() else 0))
    ]
