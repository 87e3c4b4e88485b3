"""What every call passes, coming and going: keys, faults, outages."""

from __future__ import annotations

import re
import secrets

from flask import Response, g, request
from flask.blueprints import BlueprintSetupState

from localcloud.faults import Faults, Mode
from localcloud.hetzner.connection import drop
from localcloud.stripe_api.account import Account
from localcloud.stripe_api.errors import API_VERSION, out_of_order, rate_limited, unauthorized

KEY = re.compile(r"(sk|rk)_test_\w+")
"""Live keys are refused: nothing here may ever be taken for the real Stripe."""
_ID = re.compile(r"/(?:[a-z]{2,6}_[A-Za-z0-9_]+)(?=/|$)")


class Gate:
    """The gate of one account."""

    def __init__(self, account: Account, faults: Faults) -> None:
        self._account = account
        self._faults = faults
        self._prefix = ""

    def mounted(self, state: BlueprintSetupState) -> None:
        """Learn where the API is mounted."""
        self._prefix = state.url_prefix or ""

    def base(self) -> str:
        """Return where a browser finds the pages."""
        return request.host_url.rstrip("/") + self._prefix

    def enter(self) -> Response | None:
        """Refuse a call of the API, drop it, or let it pass; pages and knobs always pass."""
        path = request.path.removeprefix(self._prefix)
        g.request_id = "req_" + secrets.token_hex(7)
        if not path.startswith("/v1/"):
            return None
        mode = self._faults.suffer("stripe", f"{request.method} {_ID.sub('/:id', path)}")
        g.drop_answer = mode is Mode.CRASH_AFTER_CREATE
        if mode is Mode.TIMEOUT:
            drop(request)
            return Response(status=504)
        authorization = request.authorization
        key = (authorization.token or authorization.get("username") or "") if authorization else ""
        if not KEY.fullmatch(key):
            raise unauthorized(key)
        if mode is Mode.RATE_LIMITED:
            raise rate_limited()
        if mode is Mode.ERROR:
            raise out_of_order()
        outage = self._account.setting("outage")
        if outage.get("until", 0) > self._account.wall() or self._account.count_down("outage", "calls"):
            raise rate_limited() if outage["status"] == rate_limited().status else out_of_order(outage["status"])
        return None

    def leave(self, response: Response) -> Response:
        """Put what every answer says on it, or drop it."""
        if g.get("drop_answer"):
            drop(request)
        response.headers["Request-Id"] = g.get("request_id", "")
        response.headers["Stripe-Version"] = request.headers.get("Stripe-Version", API_VERSION)
        return response
