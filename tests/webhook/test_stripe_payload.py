"""What is kept of an event: what somebody reads, never people."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.stripe_payload import NAMED, READ, Shape, kept_fields
from webhook.subscriptions import alert_of, subject_of

EVENT: dict[str, Any] = {
    "id": "evt_1",
    "object": "event",
    "api_version": "2026-10-28.endive",
    "type": "customer.subscription.updated",
    "created": 1795521598,
    "request": {"id": None, "idempotency_key": "3b1d7e0c-0b1f-4a57-8a55-1d3a5a6f9e11"},
    "data": {
        "object": {
            "id": "sub_1",
            "object": "subscription",
            "status": "past_due",
            "customer": "cus_1",
            "metadata": {"customer_id": "acme-wiki", "subdomain": "acme", "plan": "team"},
        },
        "previous_attributes": {"status": "active"},
    },
}


def test_what_workers_and_people_look_for_stays() -> None:
    """Ids, words, numbers, dates, our own metadata, and the status before."""
    assert kept_fields(EVENT, READ) == EVENT


@pytest.mark.parametrize(
    "thing",
    [
        {"object": "subscription", "id": "sub_1"},
        {"object": "checkout.session", "id": "cs_1", "subscription": "sub_1"},
        {"object": "checkout.session", "id": "cs_1", "subscription": {"id": "sub_1", "plan": {"name": "x y"}}},
        {"object": "invoice", "id": "in_1", "subscription": "sub_1"},
        {"object": "invoice", "id": "in_1", "parent": {"subscription_details": {"subscription": "sub_1"}}},
        {"object": "charge", "id": "ch_1", "amount_refunded": 799},
        {"object": "refund", "id": "re_1", "charge": "ch_1", "status": "failed"},
        {"object": "dispute", "id": "dp_1", "charge": "ch_1", "status": "needs_response"},
    ],
    ids=lambda thing: f"{thing['object']}-{len(thing)}",
)
def test_an_event_means_the_same_as_before(thing: dict[str, Any]) -> None:
    """Nothing is read from a whole event that is not in what is kept of it."""
    types = {
        "subscription": "customer.subscription.updated",
        "checkout.session": "checkout.session.completed",
        "invoice": "invoice.paid",
        "charge": "charge.refunded",
        "refund": "refund.failed",
        "dispute": "charge.dispute.closed",
    }
    event = {**EVENT, "type": types[thing["object"]], "data": {"object": thing}}
    kept = kept_fields(event, READ)
    assert (subject_of(kept), alert_of(kept)) == (subject_of(event), alert_of(event))
    assert (subject_of(kept), alert_of(kept)) != (None, None)


@pytest.mark.parametrize("key", ["email", "name", "address", "description", "a_field_of_next_year"])
def test_what_is_not_named_goes(key: str) -> None:
    """At any depth, also where the value would pass for one of Stripe's words."""
    event = {
        **EVENT,
        key: "London",
        "data": {
            key: "London",
            "object": {**EVENT["data"]["object"], key: "London", "metadata": {key: "London"}},
            "previous_attributes": {key: "London"},
        },
    }
    assert "London" not in json.dumps(kept_fields(event, READ))


@pytest.mark.parametrize(
    "value",
    [
        *("ada@example.org", "Ada Lovelace", "+44 20 7946 0000", "https://pay.stripe.com/x", "Zoë", "", "a\x00b"),
        *("a\n", 1.5, ["ada"], {"name": "ada"}, {"id": "ada@example.org"}),
    ],
)
def test_a_field_that_holds_something_else_is_empty(value: object) -> None:
    """What one metadata field or id should hold is known; text is none of it."""
    event = {**EVENT, "data": {"object": {"id": value, "metadata": {"subdomain": value}}}}
    assert kept_fields(event, READ)["data"] == {"object": {"id": None, "metadata": {"subdomain": None}}}


@pytest.mark.parametrize("value", [None, "text", 1, ["list"], {}])
def test_fields_may_be_missing_or_none(value: object) -> None:
    """Whatever somebody signed is kept, and means nothing."""
    assert kept_fields({"id": "evt_1", "data": value}, READ) == {"id": "evt_1", "data": {}}
    assert kept_fields({"data": {"object": value}}, READ) == {"data": {"object": {}}}


def test_of_other_events_the_object_s_name_is_kept() -> None:
    """Nobody looks into them."""
    assert kept_fields(EVENT, NAMED)["data"] == {"object": {"id": "sub_1", "object": "subscription"}}


@pytest.mark.parametrize("shape", [READ, NAMED], ids=["read", "named"])
@given(data=st.data())
def test_what_is_kept_is_sound_json(shape: Shape, data: st.DataObject) -> None:
    """Of characters that any database takes; and a second time changes nothing."""
    names = st.sampled_from(["id", "type", "data", "object", "metadata", "subdomain", "parent", "status"]) | st.text()
    value = st.recursive(
        st.text() | st.floats() | st.integers() | st.none(),
        lambda inner: st.lists(inner) | st.dictionaries(names, inner),
    )
    kept = kept_fields(data.draw(st.dictionaries(names, value)), shape)
    written = json.dumps(kept, allow_nan=False)
    assert written.isascii()
    assert not {"@", "\\"} & set(written)
    assert kept_fields(kept, shape) == kept
