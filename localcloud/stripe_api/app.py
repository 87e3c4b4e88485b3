"""Serves the API, the hosted pages and the knobs: the way from a request to what answers it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from flask import Blueprint, Response, g, jsonify, request

from localcloud.faults import Faults
from localcloud.store import Store, Thing
from localcloud.stripe_api import idempotency
from localcloud.stripe_api.account import Account
from localcloud.stripe_api.catalogue import Prices, Products
from localcloud.stripe_api.courier import Courier
from localcloud.stripe_api.customers import Customers, PaymentMethods
from localcloud.stripe_api.discounts import Coupons, PromotionCodes
from localcloud.stripe_api.endpoints import Events, WebhookEndpoints
from localcloud.stripe_api.errors import (
    ApiError,
    invalid,
    no_such_route,
)
from localcloud.stripe_api.events import REQUEST
from localcloud.stripe_api.expand import expanded
from localcloud.stripe_api.form import decode
from localcloud.stripe_api.gate import Gate
from localcloud.stripe_api.invoices import Charges, InvoicePayments, Invoices, PaymentIntents, Refunds
from localcloud.stripe_api.knobs import Knobs
from localcloud.stripe_api.pages import Pages
from localcloud.stripe_api.parameters import typed
from localcloud.stripe_api.portal import Configurations, PortalSessions
from localcloud.stripe_api.resource import Call, Handler, Route
from localcloud.stripe_api.sessions import Sessions
from localcloud.stripe_api.subscriptions import Subscriptions
from localcloud.stripe_api.timeline import Timeline

METHODS = ("GET", "POST", "DELETE")
RESOURCES = (
    Customers,
    PaymentMethods,
    Products,
    Prices,
    Coupons,
    PromotionCodes,
    Sessions,
    Subscriptions,
    Invoices,
    InvoicePayments,
    Charges,
    PaymentIntents,
    Refunds,
    Configurations,
    PortalSessions,
    WebhookEndpoints,
    Events,
)


class StripeBlueprint(Blueprint):
    """The API; the thread that delivers its events starts when it is registered and ends with ``close``."""

    def __init__(self, store: Store, faults: Faults, clock: Callable[[], float]) -> None:
        super().__init__("stripe", __name__)
        self.account = Account(store, clock)
        self.timeline = Timeline(self.account)
        self.courier = Courier(self.account, self.timeline.tick)
        gate = Gate(self.account, faults)
        self.record_once(gate.mounted)
        self.record_once(lambda _: self.courier.start())
        self.before_request(gate.enter)
        self.after_request(gate.leave)
        self.after_request(self._woken)
        self.register_error_handler(ApiError, _refused)
        for number, (method, rule, params, handler) in enumerate(self._routes()):
            view = _view(self.account, params, handler, gate)
            self.add_url_rule(rule, f"{number}", view, methods=[method])
        Pages(self.account, gate.base).register(self)
        Knobs(self.account, self.timeline, self.courier).register(self)
        self.add_url_rule("/v1/<path:rest>", "nothing", _nothing, methods=METHODS)

    def close(self) -> None:
        """End the thread; what isn't delivered is delivered by the next run."""
        self.courier.stop()

    def _routes(self) -> Iterator[Route]:
        for resource in RESOURCES:
            yield from resource(self.account).routes()

    def _woken(self, response: Response) -> Response:
        self.courier.wake()
        return response


def stripe_blueprint(store: Store, faults: Faults, clock: Callable[[], float] = time.time) -> StripeBlueprint:
    """Return the API, to be mounted where a client's base address shall be.

    Args:
        store: Holds what exists, below ``stripe/``.
        faults: What calls shall suffer; operations are called ``POST /v1/subscriptions/:id``.
        clock: Seconds since 1970, outside; the simulated clock runs ahead of it.
    """
    return StripeBlueprint(store, faults, clock)


def _view(account: Account, kind: str, handler: Handler, gate: Gate) -> Callable[..., Response]:
    def view(**ids: str) -> Response:
        pairs = [*request.args.items(multi=True), *request.form.items(multi=True)]
        key = request.headers.get("Idempotency-Key") if request.method == "POST" else None
        REQUEST.set({"id": g.request_id, "idempotency_key": key})
        if key and len(key) > idempotency.LONGEST_KEY:
            raise invalid("Idempotency keys can be up to 255 characters long.")
        asked = {"path": request.path, "params": pairs}
        with account.store.transaction():
            kept = idempotency.recall(account, key, asked) if key else None
            if kept:
                return _answer(*kept, {"Idempotency-Key": key or "", "Idempotent-Replayed": "true"})
            params = typed(decode(pairs), kind)
            call = Call(params=params, base=gate.base())
            status, answer = _answered(account, handler, call, ids)
            if key:
                idempotency.remember(account, key, asked, status, answer)
        return _answer(status, answer, {"Idempotency-Key": key} if key else {})

    return view


def _answered(account: Account, handler: Handler, call: Call, ids: Thing) -> tuple[int, Thing]:
    """Return the status and the answer; a declined card is an answer, as what it left behind stays."""
    try:
        return 200, expanded(account, handler(call, **ids), call.params.get("expand") or [])
    except ApiError as error:
        if not error.keeps:
            raise
        return error.status, error.body


def _answer(status: int, body: Thing, headers: Thing) -> Response:
    response = jsonify(body)
    response.status_code = status
    response.headers.update(headers)
    return response


def _nothing(rest: str) -> Response:
    raise no_such_route(request.method, f"/v1/{rest}")


def _refused(error: ApiError) -> Response:
    response = jsonify(error.body)
    response.status_code = error.status
    return response
