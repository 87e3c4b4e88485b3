"""Customer ids: opaque, safe in every name, and never reused."""

from __future__ import annotations

import secrets

ALPHABET = "abcdefghjkmnpqrstvwxyz23456789"
"""No letters that are mistaken for each other."""


def new_customer_id() -> str:
    """Return a new id: ``c-`` and 8 characters (30^8, about 6.6e11 of them)."""
    return "c-" + "".join(secrets.choice(ALPHABET) for _ in range(8))
