"""The sign-up pages: choose a plan and a name, and be sent to Stripe to pay; ``checkout_return`` has the ways back."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from flask import Blueprint, Response, jsonify, make_response, redirect, render_template, request, session, url_for
from flask_wtf.csrf import CSRFError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException, NotFound, TooManyRequests
from werkzeug.wrappers import Response as Redirect

from registry.plans import PLANS
from stacks.settings import Settings
from webhook.checkout_booking import Booking, NameGoneError, PaidError
from webhook.checkout_order import BEING_BOUGHT, Order, Shop
from webhook.checkout_progress import Tracker
from webhook.checkout_return import CancelLinks, Returns
from webhook.failures import log_failure
from webhook.pages import Pages, Protection, harden, message_page
from webhook.registry_view import RegistryView
from webhook.stripe_checkout import StripeCheckout, StripeError, StripeRefusedError

ORDERS_LIMIT = "10 per minute; 60 per hour"
"""Each visitor's: an order keeps a name for half an hour, and asks Stripe."""
LOOKS_LIMIT = "90 per minute"
"""Of names while typing, and of pages that may ask Stripe."""
PROGRESS_LIMIT = "300 per minute"
"""Of a look into the database, every 2 s for each page that is open."""
TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")
REGIONS = {"eu": "Europe", "us": "North America", "asia": "Asia"}
AWAY = (
    "Our payment provider does not answer right now, so we could not send you there. All that you typed is kept;"
    " please try again in a few minutes."
)
REFUSED_ADDRESS = "Our payment provider does not take this address. Check it for typing errors."
STALE = "This form was open for too long, or your browser keeps no cookies. Please send it again."
TOO_FAST = "Please wait a minute, then try again."
UNKNOWN = "Nothing is known under this address. If you have paid, the letter that we sent you has a link to your wiki."
BLIND = "We can't take orders right now. Please try again in a few minutes."
log = structlog.get_logger("webhook")


def _now() -> datetime:
    return datetime.now(tz=UTC)


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """What the sign-up pages need.

    Attributes:
        engine: The management database.
        stripe: Stripe's Checkout.
        settings: The environment's: cells, domain, addresses of instances.
        pages: How pages are reached and signed.
        clock: The time, UTC.
    """

    engine: Engine
    stripe: StripeCheckout
    settings: Settings
    pages: Pages
    clock: Callable[[], datetime] = _now


def checkout_blueprint(checkout: Checkout, view: RegistryView, protection: Protection) -> Blueprint:
    """Return the routes below ``/checkout``."""
    secret_key, clock = checkout.pages.secret_key, checkout.clock
    booking = Booking(engine=checkout.engine, stripe=checkout.stripe, secret_key=secret_key, clock=clock)
    tracker = Tracker(engine=checkout.engine, view=view, url_of=checkout.settings.url_of, clock=clock)
    links = CancelLinks(secret_key)
    desk = Desk(checkout, view, booking, links)
    returns = Returns(booking=booking, tracker=tracker, links=links, domain=checkout.settings.domain)
    limit = protection.limiter.limit
    blueprint = Blueprint("checkout", __name__, url_prefix="/checkout")
    harden(blueprint, form_targets=[checkout.stripe.origin])
    blueprint.add_url_rule("", "form", desk.form, methods=["GET"])
    blueprint.add_url_rule("", "order", limit(ORDERS_LIMIT)(desk.order), methods=["POST"])
    blueprint.add_url_rule("/availability", "availability", limit(LOOKS_LIMIT)(desk.availability), methods=["GET"])
    blueprint.add_url_rule("/success", "success", limit(LOOKS_LIMIT)(returns.success), methods=["GET"])
    blueprint.add_url_rule("/progress", "progress", limit(PROGRESS_LIMIT)(returns.progress), methods=["GET"])
    blueprint.add_url_rule("/cancel", "cancel", limit(LOOKS_LIMIT)(returns.cancel), methods=["GET"])
    blueprint.register_error_handler(CSRFError, desk.stale)
    blueprint.register_error_handler(TooManyRequests, _too_many)
    blueprint.register_error_handler(NotFound, _unknown)
    return blueprint


class Desk:
    """Answers the sign-up pages."""

    def __init__(self, checkout: Checkout, view: RegistryView, booking: Booking, links: CancelLinks) -> None:
        self._view = view
        self._domain = checkout.settings.domain
        self._clock = checkout.clock
        self._pages = checkout.pages
        self._shop = Shop(view=view, cells=checkout.settings.cells)
        self._booking = booking
        self._links = links

    def form(self) -> Response:
        """Show the form, with what the query prefills."""
        order = Order.read(request.args, domain=self._domain, email=str(session.get("email", "")))
        # The browser's own token: who comes back from Stripe's page has the name that is kept already.
        session["form"] = _token(session)
        return self._form(order, token=session["form"])

    def order(self) -> Response | Redirect:
        """Keep the name and send the visitor to Stripe, or say what is wrong beside its field."""
        order = Order.read(request.form, domain=self._domain)
        token = _token(request.form)
        session["email"] = order.email  # in the visitor's own browser, for a second try
        if self._view.is_blind():
            return self._form(order, token=token, notice=BLIND, code=503)
        try:
            return self._sell(order, token)
        except PaidError as paid:
            return redirect(url_for("checkout.success", session_id=paid.session_id), 303)
        except StripeError as error:
            log.warning("no checkout session", reason=str(error))
            return self._form(order, token=token, notice=AWAY, code=503)
        except SQLAlchemyError as error:
            log_failure("the database did not take an order", error)
            return self._form(order, token=token, notice=BLIND, code=503)

    def availability(self) -> Response:
        """Tell whether a name can be had, for the form while it is typed."""
        name = Order.read(request.args, domain=self._domain).subdomain
        problem = self._name_problem(name, _token(request.args))
        return jsonify(subdomain=name, available=problem is None, problem=problem)

    def stale(self, _error: CSRFError) -> Response:
        """Show the form again, with all that was typed."""
        order = Order.read(request.form, domain=self._domain)
        return self._form(order, token=_token(request.form), notice=STALE, code=400)

    def _sell(self, order: Order, token: str) -> Response | Redirect:
        self._booking.refuse_paid(token)
        problems = self._problems(order, token)
        if not problems:
            try:
                return redirect(self._book(order, token), 303)
            except NameGoneError:
                problems = {"subdomain": f"“{order.subdomain}” {BEING_BOUGHT}"}
            except StripeRefusedError as refusal:
                if refusal.param != "customer_email":
                    raise
                problems = {"email": REFUSED_ADDRESS}
        return self._form(order, token=token, problems=problems, code=422)

    def _problems(self, order: Order, token: str) -> dict[str, str]:
        problems = self._shop.problems(order, today=self._clock().date())
        if "subdomain" not in problems and self._booking.held_by_other(order.subdomain, token):
            problems["subdomain"] = f"“{order.subdomain}” {BEING_BOUGHT}"
        return problems

    def _name_problem(self, name: str, token: str) -> str | None:
        problem = self._shop.name_problem(name, today=self._clock().date())
        if problem is None and self._booking.held_by_other(name, token):
            return f"“{name}” {BEING_BOUGHT}"
        return problem

    def _book(self, order: Order, token: str) -> str:
        base = self._pages.public_url
        return self._booking.book(
            order,
            token,
            success_url=f"{base}{url_for('checkout.success')}?session_id={{CHECKOUT_SESSION_ID}}",
            cancel_url=f"{base}{url_for('checkout.cancel', token=self._links.sign(token, order))}",
        )

    def _form(
        self,
        order: Order,
        *,
        token: str,
        problems: Mapping[str, str] | None = None,
        notice: str | None = None,
        code: int = 200,
    ) -> Response:
        page = render_template(
            "checkout/form.html",
            order=order,
            token=token,
            problems=problems or {},
            notice=notice,
            plans=PLANS.values(),
            regions={name: REGIONS[name] for name in self._shop.regions},
            domain=self._domain,
        )
        return make_response(page, code)


def _too_many(_error: HTTPException) -> Response:
    response = message_page("That was a little too fast", TOO_FAST, code=429)
    response.headers["Retry-After"] = "60"
    return response


def _unknown(_error: HTTPException) -> Response:
    return message_page("We don't know this sign-up", UNKNOWN, code=404)


def _token(fields: Mapping[str, str]) -> str:
    """Return the form's token: whose the reservation is; a new one where there is none."""
    token = fields.get("form", "")
    return token if TOKEN.fullmatch(token) else secrets.token_urlsafe(24)
