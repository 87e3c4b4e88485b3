"""Whether a webhook's body is Stripe's, and of now.

Stripe's own check is not used: it takes one secret, accepts any time to come, and its package alone needs 8 MB.
The scheme is in https://docs.stripe.com/webhooks#verify-manually.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

WINDOW_SECONDS = 300
SCHEME = "v1"


class SignatureError(Exception):
    """A body is refused; the text says why, names nothing secret, and may be sent back.

    Attributes:
        reason: One word for counting: missing, malformed, bad, old, future.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


def check_signature(body: bytes, header: str | None, *, secrets: Sequence[str], now: float) -> None:
    """Accept a body that one of the secrets signed within the window.

    Args:
        body: As it came over the wire.
        header: ``Stripe-Signature``: ``t=<seconds>,v1=<hex>[,v1=<hex>...]``.
        secrets: Of the endpoint; several while one is exchanged for another.
        now: Seconds since 1970.

    Raises:
        SignatureError: it is not Stripe's, or not of now.
    """
    if not header:
        raise SignatureError("missing", "The header Stripe-Signature is missing.")
    moment, signatures = _parse(header)
    signed = moment.encode() + b"." + body
    expected = [hmac.digest(secret.encode(), signed, "sha256").hex().encode() for secret in secrets]
    given = [signature.encode() for signature in signatures]
    # Each is compared with each, so that the time taken says nothing.
    if not sum(hmac.compare_digest(one, other) for one in expected for other in given):
        raise SignatureError("bad", "No signature in Stripe-Signature is by a secret of this endpoint.")
    age = now - int(moment)
    if age > WINDOW_SECONDS:
        raise SignatureError("old", f"The signature is older than {WINDOW_SECONDS} seconds.")
    if age < -WINDOW_SECONDS:
        raise SignatureError("future", f"The signature is more than {WINDOW_SECONDS} seconds ahead of this clock.")


def _parse(header: str) -> tuple[str, list[str]]:
    """Return the time stamp as it was signed, and the signatures of the scheme that we know."""
    parts = [part.strip().partition("=") for part in header.split(",")]
    moments = [value for name, _, value in parts if name == "t"]
    signatures = [value for name, _, value in parts if name == SCHEME]
    sound = len(moments) == 1 and moments[0].isascii() and moments[0].isdigit() and len(moments[0]) <= len("1" * 12)
    if not sound or not signatures:
        raise SignatureError("malformed", "The header Stripe-Signature is not of the form t=<seconds>,v1=<signature>.")
    return moments[0], signatures
