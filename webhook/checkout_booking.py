"""Books a name for a visitor and opens the session that pays for it; gives both back together.

A name is kept a little longer than its session can be paid. The same form, sent again, leads to the same session.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from registry.ids import new_customer_id
from webhook.checkout_order import Order
from webhook.database.engine import reading
from webhook.database.reservations import (
    Claim,
    Reservation,
    attach,
    complete,
    holder_of,
    release,
    remove_expired,
    reservation_of,
    reservation_paid_by,
    reserve,
)
from webhook.stripe_checkout import CheckoutSession, StripeCheckout, StripeError
from webhook.subscriptions import lookup_key

SESSION_TIME = timedelta(minutes=31)
"""For which a session can be paid. Stripe's least is 30 minutes from when it has the request; the rest is its way."""
SPARE_TIME = timedelta(minutes=9)
"""For which a name is kept after that: a payment of the last second reaches the registry within it."""
SETTLING_TIME = timedelta(days=7)
"""For which the name of a completed session is kept: a bank debit takes days, and so may a person's help."""


def _now() -> datetime:
    return datetime.now(tz=UTC)


class NameGoneError(Exception):
    """Somebody else has the name meanwhile."""


class PaidError(Exception):
    """The visitor has paid already.

    Attributes:
        session_id: For what.
    """

    def __init__(self, session_id: str) -> None:
        super().__init__("the session is paid already")
        self.session_id = session_id


@dataclass(frozen=True, kw_only=True)
class Booking:
    """The effects that booking needs.

    Attributes:
        engine: The management database.
        stripe: Stripe's Checkout.
        secret_key: So that an idempotency key tells nobody of what it is made.
        clock: The time, UTC.
    """

    engine: Engine
    stripe: StripeCheckout
    secret_key: str = field(repr=False)
    clock: Callable[[], datetime] = _now

    def refuse_paid(self, holder: str) -> None:
        """Do nothing unless a form was sent before and paid.

        Raises:
            PaidError: it was.
            StripeError: Stripe does not say.
        """
        self._open_session(holder)

    def held_by_other(self, subdomain: str, holder: str) -> bool:
        """Whether a name is kept for another form than this one."""
        with Session(reading(self.engine)) as session:
            return holder_of(session, subdomain, now=self.clock()) not in {None, holder}

    def book(self, order: Order, holder: str, *, success_url: str, cancel_url: str) -> str:
        """Keep the name, open a session and return where it is paid.

        Args:
            order: Without problems.
            holder: The form's token.
            success_url: Where Stripe sends a visitor who has paid, with ``{CHECKOUT_SESSION_ID}`` in it.
            cancel_url: Where it sends one who goes back.

        Raises:
            NameGoneError: the name is another one's.
            PaidError: the form was sent before and paid; nothing is sold twice.
            StripeError: no session could be opened; the name is given back.
        """
        kept = self._kept(holder)
        if kept is not None:
            found = self._open_session(holder)
            same = hmac.compare_digest(kept.idempotency_key, self._key(kept.customer_id, order))
            if found is not None and same and found.url is not None:
                return found.url
            if found is not None or not same or kept.session_id is not None:
                self.give_back(holder)
        kept = self._reserve(order, holder)
        try:
            session = self.stripe.create(
                self._params(order, kept, success_url, cancel_url), idempotency_key=kept.idempotency_key
            )
        except StripeError:
            with Session(self.engine) as database, database.begin():
                release(database, kept.customer_id, only_without_session=True)
            raise
        with Session(self.engine) as database, database.begin():
            is_ours = attach(database, customer_id=kept.customer_id, session_id=session.id)
        if not is_ours or session.url is None:  # given up while Stripe was asked
            self.stripe.expire(session.id)
            raise NameGoneError(order.subdomain)
        return session.url

    def give_back(self, holder: str) -> None:
        """Make sure that a form's session can't be paid any more, then give its name back.

        Raises:
            PaidError: it has been paid; the name stays.
            StripeError: the session may still be paid; the name stays, and both end by themselves.
        """
        while (kept := self._kept(holder)) is not None:
            if kept.session_id is not None:
                found = self.stripe.expire(kept.session_id)
                if found is not None and found.status == "complete":
                    self._note(found)
                    raise PaidError(found.id)
            with Session(self.engine) as database, database.begin():
                # Not where another thread opened a session meanwhile: that one would stay open.
                if release(database, kept.customer_id, only_without_session=kept.session_id is None):
                    return

    def look(self, session_id: str) -> tuple[Reservation | None, CheckoutSession | None]:
        """Return what is kept for a session, and the session where it had to be looked at.

        Stripe is asked until the session is complete and paid; what it says is kept.

        Raises:
            StripeError: nothing is known here, and Stripe does not say.
        """
        kept = self.reservation(session_id)
        if kept is not None and kept.payment_status in {"paid", "no_payment_required"}:
            return kept, None
        try:
            found = self.stripe.retrieve(session_id)
        except StripeError:
            if kept is None:
                raise
            return kept, None
        if kept is not None and found is not None and found.status == "complete":
            self._note(found)
            kept = self.reservation(session_id)
        return kept, found

    def reservation(self, session_id: str) -> Reservation | None:
        """Return what is kept for a session, from the database alone."""
        with Session(reading(self.engine)) as session:
            return reservation_paid_by(session, session_id)

    def _kept(self, holder: str) -> Reservation | None:
        with Session(reading(self.engine)) as session:
            return reservation_of(session, holder, now=self.clock())

    def _open_session(self, holder: str) -> CheckoutSession | None:
        """Return the session that a form opened before, if it can still be paid."""
        kept = self._kept(holder)
        found = None if kept is None or kept.session_id is None else self.stripe.retrieve(kept.session_id)
        if found is not None and found.status == "complete":
            self._note(found)
            raise PaidError(found.id)
        return found if found is not None and found.status == "open" else None

    def _reserve(self, order: Order, holder: str) -> Reservation:
        """Keep the name; where the same form is being sent by another thread, return what that one keeps."""
        now, customer_id = self.clock(), new_customer_id()
        key = self._key(customer_id, order)
        claim = Claim(subdomain=order.subdomain, holder=holder, customer_id=customer_id, idempotency_key=key)
        try:
            with Session(self.engine, expire_on_commit=False) as session, session.begin():
                remove_expired(session, now=now)
                reserve(session, claim, now=now, until=now + SESSION_TIME + SPARE_TIME)
                kept = reservation_of(session, holder, now=now)
        except IntegrityError:  # the form is sent twice at once, with whichever names
            kept = self._kept(holder)
        if kept is None or not hmac.compare_digest(kept.idempotency_key, self._key(kept.customer_id, order)):
            raise NameGoneError(order.subdomain)
        return kept

    def _note(self, found: CheckoutSession) -> None:
        now = self.clock()
        with Session(self.engine) as session, session.begin():
            complete(session, found.id, payment_status=found.payment_status, now=now, until=now + SETTLING_TIME)

    def _key(self, customer_id: str, order: Order) -> str:
        """Return the idempotency key: the same only for the same order of the same customer to be."""
        parts = (customer_id, order.plan, order.interval, order.subdomain, order.email, order.region)
        digest = hmac.new(self.secret_key.encode(), "\n".join(parts).encode(), hashlib.sha256)
        return f"checkout-{digest.hexdigest()}"

    def _params(self, order: Order, kept: Reservation, success_url: str, cancel_url: str) -> dict[str, object]:
        """Return the session's parameters, made of nothing but the order and what is kept: twice the same."""
        metadata = {"customer_id": kept.customer_id, "subdomain": order.subdomain, "region": order.region or None}
        return {
            "mode": "subscription",
            "line_items": [{"price": self.stripe.price(lookup_key(order.plan, order.interval)), "quantity": 1}],
            "customer_email": order.email,
            "client_reference_id": kept.customer_id,
            "allow_promotion_codes": True,
            "metadata": metadata,
            "subscription_data": {"metadata": metadata},
            "expires_at": int((kept.expires_at - SPARE_TIME).timestamp()),
            "success_url": success_url,
            "cancel_url": cancel_url,
        }
