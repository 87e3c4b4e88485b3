"""The hosted pages: paying a checkout session, and the billing portal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from flask import Blueprint, Response, make_response, redirect, render_template, request
from werkzeug.wrappers import Response as Redirect

from localcloud.store import Thing
from localcloud.stripe_api import checkout
from localcloud.stripe_api.account import Account
from localcloud.stripe_api.cards import error_of
from localcloud.stripe_api.errors import ApiError
from localcloud.stripe_api.events import NOBODY, REQUEST
from localcloud.stripe_api.portal_actions import PortalActions

TOKENS = {
    "pay": "pm_card_visa",
    "pay_debit": "pm_card_visa",
    "pay_failing": "pm_card_visa_chargeDeclined",
    "pay_failing_later": "pm_card_failsLater",
}
"""Card by the button that was pressed."""


class Pages:
    """The pages of one account.

    Args:
        account: Whose sessions.
        base: Returns where a browser finds the pages.
    """

    def __init__(self, account: Account, base: Callable[[], str]) -> None:
        self._account = account
        self._base = base
        self._portal = PortalActions(account)

    def register(self, blueprint: Blueprint) -> None:
        """Add the pages to a blueprint."""
        blueprint.template_folder = "templates"
        blueprint.add_url_rule("/pay/<key>", "pay", self.pay, methods=["GET", "POST"])
        blueprint.add_url_rule("/portal/<key>", "portal", self.portal, methods=["GET", "POST"])

    def pay(self, key: str) -> Response | Redirect:
        """Show a session; a press of a button pays or leaves it."""
        session = self._account.need("checkout.session", key)
        action = request.form.get("action", "")
        if request.method == "GET":
            return self._pay_page(session)
        if action == "cancel":
            return redirect(session["cancel_url"] or f"{self._base()}/pay/{key}", 303)
        try:
            with self._account.store.transaction():
                self._pay(key, action)
        except ApiError as error:
            return self._pay_page(self._account.need("checkout.session", key), error)
        return redirect(session["success_url"].replace("{CHECKOUT_SESSION_ID}", key), 303)

    def _pay(self, key: str, action: str) -> None:
        REQUEST.set(NOBODY)
        form = request.form
        if action not in TOKENS:
            raise ApiError(400, "invalid_request_error", "There is no such button.")
        checkout.pay(
            self._account,
            self._account.need("checkout.session", key),
            email=form.get("email", "").strip() or "customer@example.com",
            name=form.get("name", "").strip() or "Test Customer",
            token=TOKENS[action],
            code=form.get("promotion_code", "").strip(),
            debit=action == "pay_debit",
        )

    def _pay_page(self, session: Thing, error: ApiError | None = None) -> Response:
        customer = self._account.find("customer", session["customer"]) or {}
        form = request.form
        body = render_template(
            "stripe_pay.html",
            title="Subscribe",
            now=_written(self._account.now()),
            problem=str(error) if error else "",
            session=session,
            lines=session["_line_items"]["data"],
            email=customer.get("email") or session["customer_email"] or form.get("email", ""),
            name=customer.get("name") or form.get("name", ""),
            code=form.get("promotion_code", ""),
        )
        return make_response(body, error.status if error else 200)

    def portal(self, key: str) -> Response | Redirect:
        """Show a customer's subscriptions; a press of a button changes something."""
        session = self._account.need("billing_portal.session", key)
        problem: ApiError | None = None
        if request.method == "POST":
            REQUEST.set(NOBODY)
            try:
                with self._account.store.transaction():
                    why = self._portal.act(session, request.form)
                if not why:
                    return redirect(f"{self._base()}/portal/{key}", 303)
                raise error_of(why)
            except ApiError as error:
                problem = error
        customer = self._account.need("customer", session["customer"])
        subscriptions = [each for each in self._portal.subscriptions(session) if each["status"] != "canceled"]
        times = {each["cancel_at"]: _written(each["cancel_at"]) for each in subscriptions if each["cancel_at"]}
        body = render_template(
            "stripe_portal.html",
            title="Your plan",
            now=_written(self._account.now()),
            problem=str(problem) if problem else "",
            session=session,
            customer=customer,
            subscriptions=subscriptions,
            times=times,
            features=self._portal.features(session),
            prices=self._portal.prices(session),
            invoices=[each for each in reversed(self._account.all("invoice")) if each["customer"] == customer["id"]],
        )
        return make_response(body, problem.status if problem else 200)


def _written(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
