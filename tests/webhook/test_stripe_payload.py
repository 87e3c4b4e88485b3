"""What is kept of an event: structure and ids, never people."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.stripe_payload import PERSONAL, without_personal_data


def test_what_workers_and_people_look_for_stays() -> None:
    """Ids, words, numbers, dates, our own metadata, and what was before."""
    event: dict[str, Any] = {
        "id": "evt_1",
        "api_version": "2026-10-28.endive",
        "type": "customer.subscription.updated",
        "request": {"id": None, "idempotency_key": "3b1d7e0c-0b1f-4a57-8a55-1d3a5a6f9e11"},
        "data": {
            "object": {
                "id": "sub_1",
                "status": "past_due",
                "cancel_at_period_end": True,
                "metadata": {"customer_id": "acme-wiki", "subdomain": "acme", "plan": "team"},
                "items": {"data": [{"current_period_end": 1795521598, "price": {"lookup_key": "team_month"}}]},
                "default_payment_method": "pm_1",
            },
            "previous_attributes": {"status": "active"},
        },
    }
    assert without_personal_data(event) == event


@pytest.mark.parametrize("key", sorted(PERSONAL))
def test_personal_keys_go_with_all_below_them(key: str) -> None:
    """At any depth, also where a value alone would pass for a word."""
    kept = without_personal_data({"data": [{"object": {key: {"line": ["London"]}, "id": "x_1"}}], key: "London"})
    assert kept == {"data": [{"object": {"id": "x_1"}}]}


@pytest.mark.parametrize(
    "value",
    ["ada@example.org", "Ada Lovelace", "+44 20 7946 0000", "https://pay.stripe.com/x", "Zoë", "", "a\x00b", "a\n"],
)
def test_other_text_goes_whatever_its_key(value: str) -> None:
    """A field that Stripe adds next year is no leak."""
    assert without_personal_data({"new_field": value, "list": [value], value: 1}) == {"new_field": None, "list": [None]}


@given(
    st.dictionaries(
        st.text(),
        st.recursive(st.text() | st.floats(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)),
    )
)
def test_what_is_kept_is_sound_json(payload: dict[str, Any]) -> None:
    """Of characters that any database takes; and a second time changes nothing."""
    kept = without_personal_data(payload)
    written = json.dumps(kept, allow_nan=False)
    assert written.isascii()
    assert not {"@", "\\"} & set(written)
    assert without_personal_data(kept) == kept


def test_what_is_too_deep_goes() -> None:
    """Nothing of Stripe's is that deep."""
    nested: dict[str, Any] = {"id": "x"}
    for _ in range(200):
        nested = {"a": nested}
    assert '"x"' not in json.dumps(without_personal_data(nested))
