"""Which size of server to order: the first of a preference list that is to be had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class NoServerTypeError(Exception):
    """No server type of a list can be ordered at its location."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """One server type at one location, as the provider's catalogue has it."""

    server_type: str
    location: str
    available: bool
    deprecated: bool


def choose(
    *, setting: str, preferences: Sequence[str], location: str, offers: Sequence[Offer], current: str | None
) -> str:
    """Return the server type to declare.

    A server keeps its type as long as the list has it: a type that sells out must not rescale a running server.

    Args:
        setting: Where the list is, for the message.
        preferences: Server types, best first.
        location: Hetzner location.
        offers: The provider's catalogue.
        current: The type of the server that exists already, if any.

    Raises:
        NoServerTypeError: naming what was looked for, what there is instead and the fix.
    """
    if current in preferences:
        return str(current)
    here = {offer.server_type: offer for offer in offers if offer.location == location}
    reasons: list[str] = []
    for name in preferences:
        offer = here.get(name)
        if offer is None:
            reasons.append(f"{name} is not offered there")
        elif offer.deprecated:
            reasons.append(f"{name} has left the catalogue there")
        elif not offer.available:
            reasons.append(f"{name} is sold out there at the moment")
        else:
            return name
    there = sorted(name for name, offer in here.items() if offer.available and not offer.deprecated)
    msg = (
        f"{setting}.server_types: no server can be ordered in {location}: {'; '.join(reasons)}."
        f" To be had there: {', '.join(there) or 'nothing'}. The server is not created."
        f" Fix: add one of them to the list, or choose another location."
    )
    raise NoServerTypeError(msg)
