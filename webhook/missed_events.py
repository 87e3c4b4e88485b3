"""Takes in what Stripe did not deliver: an endpoint that was disabled, or away for longer than Stripe tries.

A subscription that is active is looked at after an event only, so an event that never came would never be made good.
Stripe lists the events of the last 30 days.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from webhook.database.event_intake import record_event
from webhook.database.events import NewEvent
from webhook.database.marks import MISSED, mark_of, set_mark
from webhook.event_types import HANDLED
from webhook.stripe_payload import READ, kept_fields

if TYPE_CHECKING:
    from stripe import StripeClient

DELIVERY = timedelta(minutes=5)
"""An event is left to its delivery for so long."""
OVERLAP = timedelta(hours=1)
"""Looked at twice: an event may be listed later than it was made."""
FIRST_LOOK = timedelta(days=3)
"""What is looked at where nobody has looked yet; so long Stripe tries."""
MOST_TYPES = 20
"""Types that Stripe's list takes at once (https://docs.stripe.com/api/events/list)."""


def take_in_missed(client: StripeClient, engine: Engine, *, now: datetime) -> int:
    """Keep the events that are at Stripe and not here, as if they came now; return how many.

    Raises:
        stripe.StripeError: Stripe can't be reached, or the key may not read events; to be tried again.
    """
    until = now - DELIVERY
    with Session(engine) as session:
        mark = mark_of(session, MISSED)
    since = until - FIRST_LOOK if mark is None else datetime.fromisoformat(mark) - OVERLAP
    bounds: Any = {"gte": int(since.timestamp()), "lte": int(until.timestamp())}
    types, found = sorted(HANDLED), 0
    for start in range(0, len(types), MOST_TYPES):
        chosen = types[start : start + MOST_TYPES]
        listed = client.v1.events.list({"created": bounds, "types": chosen, "limit": 100})
        for each in listed.auto_paging_iter():
            raw = each.to_dict()
            event = NewEvent(
                id=raw["id"],
                type=raw["type"],
                api_version=raw.get("api_version"),
                created=datetime.fromtimestamp(raw["created"], tz=UTC),
                received_at=now,
                payload=kept_fields(raw, READ),
            )
            found += record_event(engine, event)
    with Session(engine) as session, session.begin():
        set_mark(session, MISSED, until.isoformat())
    return found
