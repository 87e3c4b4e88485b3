"""Which size of server is ordered."""

from __future__ import annotations

import pytest

from stacks.server_types import NoServerTypeError, Offer, choose


def offer(server_type: str, *, location: str = "nbg1", available: bool = True, deprecated: bool = False) -> Offer:
    """Return an offer."""
    return Offer(server_type=server_type, location=location, available=available, deprecated=deprecated)


OFFERS = [
    offer("cx43"),
    offer("cpx42"),
    offer("cx53", available=False),
    offer("cpx41", deprecated=True),
    offer("ccx33", location="ash"),
]


def chosen(*preferences: str, current: str | None = None) -> str:
    """Choose for a cell in Nuremberg."""
    return choose(
        setting="hosting:cells.eu-1", preferences=preferences, location="nbg1", offers=OFFERS, current=current
    )


def test_the_best_that_is_to_be_had() -> None:
    """The list's order decides, not the catalogue's."""
    assert chosen("cpx42", "cx43") == "cpx42"
    assert chosen("cx43", "cpx42") == "cx43"


@pytest.mark.parametrize(
    "gone", ["cx53", "cpx41", "ccx33", "cx99"], ids=["sold out", "deprecated", "elsewhere", "unknown"]
)
def test_what_is_not_to_be_had_is_passed_over(gone: str) -> None:
    """Sold out, off the catalogue, offered elsewhere or nowhere: the next one is taken."""
    assert chosen(gone, "cpx42") == "cpx42"


@pytest.mark.parametrize("current", ["cx53", "cpx41", "ccx33"])
def test_a_server_keeps_its_type(current: str) -> None:
    """A type that sold out or left the catalogue must not rescale a running server."""
    assert chosen("cx43", current, current=current) == current


def test_a_type_off_the_list_is_left() -> None:
    """Taking a type off the list is how an operator asks for a rescale."""
    assert chosen("cpx42", current="cx43") == "cpx42"


def test_nothing_to_be_had_is_refused() -> None:
    """The message names the setting, the place, why each one isn't, what there is, and the fix."""
    with pytest.raises(NoServerTypeError) as error:
        chosen("cx53", "cpx41", "ccx33", "cx99")
    assert str(error.value) == (
        "hosting:cells.eu-1.server_types: no server can be ordered in nbg1: cx53 is sold out there at the moment;"
        " cpx41 has left the catalogue there; ccx33 is not offered there; cx99 is not offered there."
        " To be had there: cpx42, cx43. The server is not created."
        " Fix: add one of them to the list, or choose another location."
    )


def test_a_location_without_offers_says_so() -> None:
    """No empty list in the message."""
    with pytest.raises(NoServerTypeError, match="To be had there: nothing"):
        choose(setting="hosting:cells.us-1", preferences=["cx43"], location="hil", offers=OFFERS, current=None)
