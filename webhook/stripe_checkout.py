"""Stripe's Checkout by plain HTTP: the SDK would cost the web process 33 MiB for four requests.

Every request names the pinned API version and is form-encoded, as https://docs.stripe.com/api has it. What fails on
the way, or at Stripe, is tried once more with the same Idempotency-Key.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import quote
from uuid import uuid4

import httpx

from webhook.event_types import API_VERSION

API_URL = "https://api.stripe.com"
CHECKOUT_ORIGIN = "https://checkout.stripe.com"
"""Where Stripe's payment page is."""
TIMEOUT_SECONDS = 10.0
"""For each try to answer; a visitor waits for two at most."""
CONNECT_SECONDS = 3.0
CONNECTIONS = 4
"""Requests at once: when Stripe hangs, half of the service's eight threads are still there for everybody else."""
WAIT_SECONDS = 0.5
"""Before the second try, and for one of the connections."""
AGAIN = frozenset({409, 429})
"""Refusals that pass: the same request is under way, too many requests. Stripe's own failures are 500 and more."""
SERVER_ERROR = 500
SESSIONS = "/v1/checkout/sessions"
SESSION = f"{SESSIONS}/:id"
"""Ids of sessions stay out of messages, for these are logged, and who has an id may look at its sign-up."""
OK = 200
NOT_FOUND = 404

Params = Mapping[str, Any]


class StripeError(Exception):
    """Stripe was not reached, or did not do as it was asked; what it was asked has not happened, or is not known."""


class StripeAwayError(StripeError):
    """Stripe can't be reached, or fails: to be tried later."""


class StripeRefusedError(StripeError):
    """Stripe refuses the request; trying again does not help.

    Attributes:
        code: HTTP status.
        param: Of which parameter; None where it is not one's.
    """

    def __init__(self, text: str, *, code: int, param: str | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.param = param


@dataclass(frozen=True, kw_only=True)
class CheckoutSession:
    """A session of Stripe's payment page.

    Attributes:
        id: Stripe's id; whoever knows it may see how its sign-up goes on.
        status: open, complete or expired.
        payment_status: paid, unpaid or no_payment_required.
        url: Where it is paid, while it is open.
        metadata: What we gave along.
    """

    id: str
    status: str
    payment_status: str
    url: str | None = field(repr=False)
    metadata: Mapping[str, str]

    @property
    def is_paid(self) -> bool:
        """Whether nothing has to be paid any more."""
        return self.status == "complete" and self.payment_status != "unpaid"


class StripeCheckout:
    """The requests that a sign-up makes.

    Args:
        api_key: A secret or restricted key.
        api_url: Other API than Stripe's (tests, demo, stripe-mock).
        connections: Most requests at once.
        sleep: Waits between two tries.
    """

    def __init__(
        self,
        api_key: str,
        *,
        api_url: str | None = None,
        connections: int = CONNECTIONS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sleep = sleep
        self.origin = CHECKOUT_ORIGIN if api_url is None else _origin(api_url)
        self._client = httpx.Client(
            base_url=(api_url or API_URL).rstrip("/"),
            headers={"Authorization": f"Bearer {api_key}", "Stripe-Version": API_VERSION},
            timeout=httpx.Timeout(TIMEOUT_SECONDS, connect=CONNECT_SECONDS, pool=WAIT_SECONDS),
            limits=httpx.Limits(max_connections=connections),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def price(self, lookup_key: str) -> str:
        """Return the id of the price that has a lookup key.

        Raises:
            StripeError: there is none, or Stripe does not say.
        """
        found = self._ask("GET", "/v1/prices", {"lookup_keys": [lookup_key], "active": True, "limit": 1})
        prices: Sequence[Mapping[str, Any]] = found.get("data") or []
        if not prices:
            message = f"There is no price with the lookup key {lookup_key}. Fix: hosting stripe sync"
            raise StripeRefusedError(message, code=NOT_FOUND)
        return str(prices[0]["id"])

    def create(self, params: Params, *, idempotency_key: str) -> CheckoutSession:
        """Open a session; the same key and parameters give the same one for a day.

        Raises:
            StripeError: none was opened, or Stripe does not say.
        """
        return _session(self._ask("POST", SESSIONS, params, key=idempotency_key))

    def retrieve(self, session_id: str) -> CheckoutSession | None:
        """Return a session as it is now; None for an id that is nobody's.

        Raises:
            StripeError: Stripe does not say.
        """
        try:
            return _session(self._ask("GET", SESSION, {}, session_id=session_id))
        except StripeRefusedError as refusal:
            if refusal.code == NOT_FOUND:
                return None
            raise

    def expire(self, session_id: str) -> CheckoutSession | None:
        """Make sure that an open session can't be paid any more; return what it is now: paid ones stay complete.

        Raises:
            StripeError: it may still be open.
        """
        try:
            return _session(self._ask("POST", f"{SESSION}/expire", {}, key=str(uuid4()), session_id=session_id))
        except StripeRefusedError:  # it is open no more, or never was
            found = self.retrieve(session_id)
            if found is not None and found.status == "open":
                raise
            return found

    def _ask(
        self, method: str, path: str, params: Params, *, key: str | None = None, session_id: str = ""
    ) -> Mapping[str, Any]:
        try:
            return self._try(method, path, params, key, session_id)
        except StripeAwayError:
            self._sleep(WAIT_SECONDS)
            return self._try(method, path, params, key, session_id)

    def _try(self, method: str, path: str, params: Params, key: str | None, session_id: str) -> Mapping[str, Any]:
        fields = dict(form_fields(params))
        try:
            answer = self._client.request(
                method,
                path.replace(":id", quote(session_id, safe="")),
                params=fields if method == "GET" else None,
                data=fields if method == "POST" else None,
                headers={} if key is None else {"Idempotency-Key": key},
            )
            body = cast("Mapping[str, Any]", answer.json())
        except (httpx.HTTPError, ValueError) as error:
            # Without the exception's text, which may hold an address of ours.
            raise StripeAwayError(f"Stripe did not answer {method} {path}: {type(error).__name__}") from None
        if answer.status_code == OK:
            return body
        problem: Mapping[str, Any] = body.get("error") or {}
        text = f"Stripe answered {answer.status_code} to {method} {path}: {problem.get('code') or problem.get('type')}"
        if answer.status_code in AGAIN or answer.status_code >= SERVER_ERROR:
            raise StripeAwayError(text)
        param = problem.get("param")
        raise StripeRefusedError(f"{text} {param or ''}".rstrip(), code=answer.status_code, param=param)


def form_fields(params: object, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield parameters as Stripe's forms name them: ``line_items[0][price]``; None is left away."""
    if isinstance(params, Mapping):
        for name, value in cast("Mapping[str, object]", params).items():
            yield from form_fields(value, f"{prefix}[{name}]" if prefix else name)
    elif isinstance(params, Sequence) and not isinstance(params, str):
        for number, value in enumerate(cast("Sequence[object]", params)):
            yield from form_fields(value, f"{prefix}[{number}]")
    elif isinstance(params, bool):
        yield prefix, "true" if params else "false"
    elif params is not None:
        yield prefix, str(params)


def _session(raw: Mapping[str, Any]) -> CheckoutSession:
    return CheckoutSession(
        id=str(raw["id"]),
        status=str(raw["status"]),
        payment_status=str(raw["payment_status"]),
        url=raw.get("url"),
        metadata=raw.get("metadata") or {},
    )


def _origin(url: str) -> str:
    parsed = httpx.URL(url)
    return f"{parsed.scheme}://{parsed.netloc.decode()}"
