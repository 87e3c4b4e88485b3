"""``POST /webhooks/stripe``: an event that Stripe signed is in the database before Stripe is told so.

That is all that happens here. Applying it is the workers' part; they are told of it, and look themselves from time
to time for what they were not told of (``pending_events``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import structlog
from flask import Response, request
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from webhook.database.event_intake import record_event
from webhook.database.events import EventState, NewEvent, pending_events
from webhook.event_types import API_VERSION, HANDLED
from webhook.failures import log_failure
from webhook.metrics import Metrics
from webhook.stripe_payload import NAMED, READ, TOKEN, kept_fields
from webhook.stripe_signature import SignatureError, check_signature
from webhook.subscriptions import ignored_because

__all__ = ["MOST_BYTES", "Intake", "leave_to_sweeper", "pending_events", "stripe_events_view"]

MOST_BYTES = 256 * 1024
RETRY_SECONDS = 30


def leave_to_sweeper(event_id: str) -> None:
    """Tell nobody of an event: the worker that sweeps finds it."""


def _now() -> datetime:
    return datetime.now(tz=UTC)


@dataclass(frozen=True, kw_only=True)
class Intake:
    """What taking events in needs.

    Attributes:
        engine: The management database.
        secrets: The endpoint's signing secrets; at least one.
        enqueue: Told of each new event that is to be applied, after it is durable; its failure loses nothing.
        clock: The time.
        handled: Types that mean something; others are kept as ignored.
        api_version: In whose shape events are expected.
    """

    engine: Engine
    secrets: tuple[str, ...] = field(repr=False)
    enqueue: Callable[[str], None] = leave_to_sweeper
    clock: Callable[[], datetime] = _now
    handled: Collection[str] = HANDLED
    api_version: str = API_VERSION

    def __post_init__(self) -> None:
        """Refuse to take in events that anybody could have signed.

        Raises:
            ValueError: there is no secret, or an empty one.
        """
        if not self.secrets or not all(self.secrets):
            message = "an endpoint without a signing secret would accept anybody's events"
            raise ValueError(message)


class Refusal(Exception):  # noqa: N818 - what is refused is the request; nothing is wrong here
    """A post that is not taken in.

    Attributes:
        code: HTTP status.
        outcome: One word for counting.
        text: For the sender; no text of another exception.
    """

    def __init__(self, *, code: int, outcome: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.outcome = outcome
        self.text = text


def stripe_events_view(intake: Intake, metrics: Metrics) -> Callable[[], Response]:
    """Return what answers posts to ``/webhooks/stripe``.

    It is no blueprint: for one of those the rate limiter has more to look up at each request.
    """
    log = structlog.get_logger("webhook")

    def receive_stripe_event() -> Response:
        kind = "none"
        try:
            body = _body()
            _check(body, intake)
            event = parse_event(body, intake)
            kind = event.type if event.type in intake.handled else "other"
            structlog.contextvars.bind_contextvars(event_id=event.id, event_type=event.type)
            if event.api_version != intake.api_version:
                log.warning("event of another API version", found=event.api_version, expected=intake.api_version)
            outcome = _keep(event, intake)
        except Refusal as refusal:
            metrics.posts.labels(kind, refusal.outcome).inc()
            log.warning("event refused", outcome=refusal.outcome, status=refusal.code)
            return _answer(refusal.code, refusal.text)
        metrics.posts.labels(kind, outcome).inc()
        structlog.contextvars.bind_contextvars(outcome=outcome)  # for the request's own line
        return _answer(200, outcome)

    return receive_stripe_event


def parse_event(body: bytes, intake: Intake) -> NewEvent:
    """Return the event that a signed body holds, ready to be kept.

    Raises:
        Refusal: it holds none.
    """
    try:
        payload = _JSON.decode(body.decode())
    except (ValueError, RecursionError):
        raise Refusal(code=400, outcome="malformed", text="The body is no JSON.") from None
    fields = cast("dict[str, Any]", payload) if isinstance(payload, dict) else {}
    event_id, kind, created = fields.get("id"), fields.get("type"), fields.get("created")
    if not _is_token(event_id) or not _is_token(kind) or not str(event_id).startswith("evt_"):
        raise Refusal(code=400, outcome="malformed", text="The body is no event: it has no id evt_... or no type.")
    version = fields.get("api_version")
    now = intake.clock()
    reason = None if kind in intake.handled else ignored_because({"type": kind}) or "nothing is done for this type"
    return NewEvent(
        id=str(event_id),
        type=str(kind),
        api_version=str(version) if _is_token(version) else None,
        created=_moment(created) or now,
        received_at=now,
        payload=kept_fields(fields, READ if reason is None else NAMED),
        state=EventState.RECEIVED if reason is None else EventState.IGNORED,
        reason=reason,
    )


def _body() -> bytes:
    # One more than is allowed: Werkzeug cuts a body that comes in chunks off at its limit, and says nothing.
    request.max_content_length = MOST_BYTES + 1
    try:
        body = request.get_data(cache=False)
    except ClientDisconnected:
        raise Refusal(code=400, outcome="malformed", text="The body is shorter than announced.") from None
    except RequestEntityTooLarge:
        body = None
    if body is None or len(body) > MOST_BYTES:
        raise Refusal(code=413, outcome="too_large", text=f"The body is larger than {MOST_BYTES} bytes.")
    return body


def _check(body: bytes, intake: Intake) -> None:
    header = request.headers.get("Stripe-Signature")
    try:
        check_signature(body, header, secrets=intake.secrets, now=intake.clock().timestamp())
    except SignatureError as error:
        raise Refusal(code=400, outcome=f"signature_{error.reason}", text=error.text) from None


def _keep(event: NewEvent, intake: Intake) -> str:
    """Make an event durable, then tell of it; return what became of it."""
    try:
        is_new = record_event(intake.engine, event)
    except SQLAlchemyError as error:
        log_failure("the database did not take an event", error)
        text = "The event could not be stored. Send it again later."
        raise Refusal(code=503, outcome="unavailable", text=text) from None
    if not is_new:
        return "duplicate"
    if event.state is EventState.RECEIVED:
        try:
            intake.enqueue(event.id)
        except Exception as error:  # noqa: BLE001 - whatever it is, the event is safe and the sweeper finds it
            log_failure("an event could not be enqueued; the sweeper will find it", error)
    return str(event.state)


def _answer(code: int, text: str) -> Response:
    response = Response(f"{text}\n", code, content_type="text/plain; charset=utf-8")
    if code == 503:  # noqa: PLR2004 - as RFC 9110 has it
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


def _is_token(value: object) -> bool:
    return isinstance(value, str) and TOKEN.fullmatch(value) is not None


def _moment(seconds: object) -> datetime | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        return None
    try:
        return datetime.fromtimestamp(seconds, tz=UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _no_constant(name: str) -> None:
    message = f"{name} is no JSON"
    raise ValueError(message)


_JSON = json.JSONDecoder(parse_constant=_no_constant)
