"""Which of Stripe's events are handed on to the workers, and in which version's shape they are expected."""

from __future__ import annotations

from webhook.subscriptions import ACTED_ON, ALERTED

API_VERSION = "2026-10-28.endive"
"""Of the pinned SDK, held to it by a test: the endpoint at Stripe is made with the same one."""

HANDLED = frozenset(ACTED_ON) | frozenset(ALERTED)
"""Types after which something is done; every other one is kept as ignored, with its reason."""
