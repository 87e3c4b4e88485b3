"""The ways back from Stripe's payment page: paid, to watch the wiki come, or cancelled, to give the name back."""

from __future__ import annotations

import re
from urllib.parse import urlencode

import structlog
from flask import Response, jsonify, make_response, redirect, render_template, request, session, url_for
from itsdangerous import BadSignature, URLSafeSerializer
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as Redirect

from webhook.checkout_booking import Booking, PaidError
from webhook.checkout_order import Order
from webhook.checkout_progress import STEPS, Signup, Tracker
from webhook.database.reservations import Reservation
from webhook.pages import message_page
from webhook.stripe_checkout import CheckoutSession, StripeError

SESSION_ID = re.compile(r"cs_(test|live)_[A-Za-z0-9]{10,200}")
PREFILLED = ("plan", "interval", "subdomain", "region")
"""What the way back from Stripe prefills; no e-mail address, for links are in other people's logs."""
AWAY = (
    "Our payment provider does not answer. If you have paid, your payment is safe and your wiki is on its way;"
    " load this page again in a few minutes."
)
BROKEN_LINK = "Open it again from the payment page. The name that you chose is free again after half an hour or so."

log = structlog.get_logger("webhook")


class CancelLinks:
    """Signs the ways back from Stripe, so that a name can be given back by whom it is kept for only."""

    def __init__(self, secret_key: str) -> None:
        self._signer = URLSafeSerializer(secret_key, salt="checkout-cancel")

    def sign(self, holder: str, order: Order) -> str:
        """Return the token of a form's link."""
        return str(self._signer.dumps([holder, *(getattr(order, name) for name in PREFILLED)]))

    def read(self, token: str) -> tuple[str, dict[str, str]]:
        """Return whose link it is, and what it prefills.

        Raises:
            BadSignature: it is none of ours.
        """
        signed: list[str] = self._signer.loads(token)
        holder, *values = signed
        return holder, dict(zip(PREFILLED, values, strict=True))


class Returns:
    """Answers who comes back.

    Args:
        booking: Knows sessions, and gives names back.
        tracker: Knows how sign-ups go on.
        links: Reads the links that it signed.
        domain: Below which names are.
    """

    def __init__(self, *, booking: Booking, tracker: Tracker, links: CancelLinks, domain: str) -> None:
        self._booking = booking
        self._tracker = tracker
        self._links = links
        self._domain = domain

    def success(self) -> Response:
        """Show how the sign-up goes on; without JavaScript the page looks again by itself."""
        session_id = _session_id()
        try:
            kept, found = self._booking.look(session_id)
        except StripeError as error:
            log.warning("a session could not be looked at", reason=str(error))
            return message_page("We can't look that up right now", AWAY, code=503)
        signup = _signup(kept, found)
        if signup is None:
            raise NotFound
        session.pop("form", None)  # another order is another form
        progress = self._tracker.progress(signup)
        polls = None if kept is None else url_for("checkout.progress", session_id=session_id)
        return make_response(render_template("checkout/success.html", progress=progress, steps=STEPS, polls=polls))

    def progress(self) -> Response:
        """Tell how the sign-up goes on, from what is known here; Stripe is not asked."""
        signup = _signup(self._booking.reservation(_session_id()), None)
        if signup is None:
            raise NotFound
        told = self._tracker.progress(signup)
        return jsonify(state=told.state, text=told.text, done=told.done, url=told.url, retry_seconds=told.retry_seconds)

    def cancel(self) -> Response | Redirect:
        """Give the name back and make sure that its session can't be paid; only who has the signed link can."""
        try:
            holder, again = self._links.read(request.args.get("token", ""))
        except BadSignature:
            return message_page("This link is not complete", BROKEN_LINK, code=400)
        freed = True
        try:
            self._booking.give_back(holder)
        except PaidError as paid:
            return redirect(url_for("checkout.success", session_id=paid.session_id), 303)
        except StripeError as error:
            log.warning("a session could not be ended", reason=str(error))
            freed = False
        query = urlencode({name: value for name, value in again.items() if value})
        again_url = f"{url_for('checkout.form')}?{query}"
        page = render_template(
            "checkout/cancelled.html",
            subdomain=again["subdomain"],
            domain=self._domain,
            freed=freed,
            again=again_url,
        )
        return make_response(page)


def _signup(kept: Reservation | None, found: CheckoutSession | None) -> Signup | None:
    """Return what a session is about, from the reservation, else from what Stripe says; None for nobody's."""
    if kept is not None:
        status = kept.payment_status
        return Signup(
            customer_id=kept.customer_id,
            is_complete=status is not None,
            is_paid=status is not None and status != "unpaid",
            completed_at=kept.completed_at,
        )
    if found is None or "customer_id" not in found.metadata:
        return None
    complete = found.status == "complete"
    return Signup(
        customer_id=found.metadata["customer_id"], is_complete=complete, is_paid=found.is_paid, completed_at=None
    )


def _session_id() -> str:
    session_id = request.args.get("session_id", "")
    if SESSION_ID.fullmatch(session_id) is None:
        raise NotFound
    return session_id
