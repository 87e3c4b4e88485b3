"""What Caddy asks: may this name have a certificate, and what to show for a name that does not answer."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Response, make_response, render_template, request

from registry.customers import LEAVING, Customer, Status
from webhook.registry_view import RegistryView


@dataclass(frozen=True, kw_only=True)
class Placard:
    """The page for a name that does not answer.

    Attributes:
        code: HTTP status.
        title: Heading.
        text: What it means and what to do.
        retry_seconds: When the page tries again by itself; None for never.
    """

    code: int
    title: str
    text: str
    retry_seconds: int | None = None


UNKNOWN = Placard(
    code=404,
    title="There is no wiki here",
    text="No wiki has this address. Check the spelling, or ask whoever gave it to you.",
)
SUSPENDED = Placard(
    code=503,
    title="This wiki is paused",
    text="Its notes are kept safe. If it is yours, the portal says why and how to bring it back.",
    retry_seconds=60,
)
STARTING = Placard(
    code=503,
    title="This wiki is starting",
    text="It will be here in a moment; the page tries again by itself.",
    retry_seconds=3,
)
AWAY = Placard(
    code=503,
    title="Back in a moment",
    text="This site does not answer right now. The page tries again by itself; nothing is lost.",
    retry_seconds=30,
)
CLOSED = Placard(
    code=410,
    title="This wiki has been closed",
    text="Its owner has ended it. If that is you: until the end of the grace period the portal brings it back.",
)


def placard_for(entry: Customer | None) -> Placard:
    """Return the page for a customer whose instance does not answer, or for nobody's name."""
    if entry is None:
        return UNKNOWN
    if entry.status is Status.SUSPENDED:
        return SUSPENDED
    return CLOSED if entry.status in LEAVING else STARTING


def may_have_certificate(entry: Customer | None, cell: str | None) -> bool:
    """Whether a custom domain is a present customer's, on the cell that asks.

    Another cell's question is refused: its certificate authority would be sent to the wrong server, and
    failed attempts count against the customer's domain.
    """
    return entry is not None and entry.status not in LEAVING and cell in {None, entry.cell}


def internal_blueprint(view: RegistryView) -> Blueprint:
    """Return the routes below ``/internal``; only the cells' Caddies reach them."""
    blueprint = Blueprint("internal", __name__, url_prefix="/internal")

    @blueprint.get("/ask")
    def ask() -> Response:
        domain = request.args.get("domain", "")
        entry = view.snapshot().by_domain.get(domain)
        allowed = may_have_certificate(entry, request.args.get("cell"))
        return make_response("yes\n" if allowed else "no\n", 200 if allowed else 404)

    @blueprint.get("/placard")
    def placard() -> Response:
        page = AWAY if view.is_blind() else placard_for(view.find(request.args.get("host", "")))
        response = make_response(render_template("placard.html", page=page), page.code)
        response.headers["Cache-Control"] = "no-store"
        if page.retry_seconds is not None:
            response.headers["Retry-After"] = str(page.retry_seconds)
        return response

    return blueprint
