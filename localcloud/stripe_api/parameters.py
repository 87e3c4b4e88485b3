"""Holds parameters to the official API description, as the SDK's parameter types give it, and types their values."""

from __future__ import annotations

import types
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib import import_module
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from stripe._request_options import RequestOptions
from stripe._stripe_object import UntypedStripeObject

from localcloud.store import Thing
from localcloud.stripe_api.errors import ApiError, invalid
from localcloud.stripe_api.form import items

_OF_THE_CLIENT = frozenset(RequestOptions.__annotations__)
"""Options of the SDK's own that stand among its parameter types but aren't sent."""


def typed(params: Thing, name: str) -> Thing:
    """Return the parameters of a request with values of their types.

    Args:
        params: As decoded from the form, all strings.
        name: Of the SDK's type, such as ``CustomerCreateParams`` or ``checkout.SessionCreateParams``.

    Raises:
        ApiError: a parameter is unknown, missing or of a wrong type; its path is named.
    """
    package, _, kind = name.rpartition(".")
    module = import_module(".".join(filter(None, ("stripe.params", package))))
    return _object(params, getattr(module, kind), "")


@cache
def _fields(kind: Any) -> Thing:  # noqa: ANN401 - a TypedDict has no type of its own
    hints = get_type_hints(kind, localns={"Mapping": Mapping, "StripeContext": object})
    return {name: hint for name, hint in hints.items() if name not in _OF_THE_CLIENT}


def _object(value: Thing, kind: Any, path: str) -> Thing:  # noqa: ANN401 - as above
    fields = _fields(kind)
    for name in value:
        if name not in fields:
            where = _join(path, name)
            raise invalid(f"Received unknown parameter: {where}", where, "parameter_unknown")
    for name in sorted(kind.__required_keys__ & fields.keys()):
        if name not in value:
            where = _join(path, name)
            raise invalid(f"Missing required param: {where}.", where, "parameter_missing")
    return {name: _value(each, fields[name], _join(path, name)) for name, each in value.items()}


def _value(value: Any, hint: Any, path: str) -> Any:  # noqa: ANN401 - whatever the API takes
    origin = get_origin(hint)
    if origin in {Union, types.UnionType}:
        return _choice(value, get_args(hint), path)
    if origin is Literal:
        return _choice(value, (hint,), path)
    if hasattr(hint, "__required_keys__") or origin is dict:
        if not isinstance(value, dict):
            raise invalid(f"Invalid object: {path}", path)
        return _object(value, hint, path) if origin is not dict else _mapping(value, get_args(hint)[1], path)
    if origin is list:
        if not isinstance(value, dict):
            raise invalid(f"Invalid array: {path}", path)
        inner = get_args(hint)[0]
        return [_value(each, inner, f"{path}[{number}]") for number, each in enumerate(items(value))]
    if isinstance(value, dict):
        raise invalid(f"Invalid string: {path}", path)
    return _scalar(value, hint, path)


def _mapping(value: Thing, hint: Any, path: str) -> Thing:  # noqa: ANN401 - as above
    return {name: _value(each, hint, _join(path, name)) for name, each in value.items()}


def _scalar(value: str, hint: object, path: str) -> str | float | bool:
    try:
        if hint is bool:
            return {"true": True, "false": False}[value]
        if hint is int:
            return int(value)
        if hint is float:
            return float(value)
        if hint is Decimal:
            Decimal(value)
    except (KeyError, ValueError, InvalidOperation):
        title = {bool: "boolean", int: "integer"}.get(hint, "decimal")  # type: ignore[call-overload]
        raise invalid(f"Invalid {title}: {value}", path, f"parameter_invalid_{title}") from None
    return value


def _choice(value: Any, hints: tuple[Any, ...], path: str) -> Any:  # noqa: ANN401 - as above
    """Return the value as the first of a union that takes it; an empty string clears what may be cleared."""
    words = [word for hint in hints if get_origin(hint) is Literal for word in get_args(hint)]
    others = [hint for hint in hints if get_origin(hint) not in {Literal, UntypedStripeObject} and hint is not str]
    if value == "" and "" in words:
        return None
    if isinstance(value, str) and value in words:
        return value
    refusal: ApiError | None = None
    for hint in others:
        try:
            return _value(value, hint, path)
        except ApiError as error:
            refusal = refusal or error
    named = [word for word in words if word]
    if str in hints and not named and isinstance(value, str):
        return value
    if named:
        raise invalid(f"Invalid {path}: must be one of {', '.join(named)}", path)
    raise refusal or invalid(f"Invalid string: {path}", path)


def _join(path: str, name: str) -> str:
    return f"{path}[{name}]" if path else name
