"""What all pages for people share: cookies, tokens against forged forms, rate limits, and headers for browsers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network, ip_address

from flask import Blueprint, Flask, Response, make_response, render_template, request
from flask_limiter import Limiter
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

NETWORK_PREFIX = 64
"""Of an IPv6 address: who has one address has all of its network."""


@dataclass(frozen=True, kw_only=True)
class Pages:
    """How pages for people are reached.

    Attributes:
        secret_key: Signs cookies, forms and links.
        public_url: Where visitors find them, without a slash at the end; https but for a demo on one machine.
    """

    secret_key: str = field(repr=False)
    public_url: str

    @property
    def is_secure(self) -> bool:
        """Whether visitors come by HTTPS, through the proxy in front."""
        return self.public_url.startswith("https://")


@dataclass(frozen=True, kw_only=True)
class Protection:
    """What protects an application's pages."""

    csrf: CSRFProtect
    limiter: Limiter


def protect(app: Flask, pages: Pages) -> Protection:
    """Have every POST carry a token of its visitor's, and return what limits and exempts routes.

    Behind HTTPS the visitor's address and scheme are those that the proxy says: it sets both headers itself.
    """
    app.secret_key = pages.secret_key
    app.config.update(
        # __Host-: no sibling subdomain (they are customers') can set or see it.
        SESSION_COOKIE_NAME="__Host-hosting" if pages.is_secure else "hosting",
        SESSION_COOKIE_SECURE=pages.is_secure,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
    )
    if pages.is_secure:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1)
    limiter = Limiter(visitor, app=app, storage_uri="memory://", strategy="fixed-window")
    return Protection(csrf=CSRFProtect(app), limiter=limiter)


def visitor() -> str:
    """Return whom a rate limit counts: an IPv4 address, or an IPv6 network."""
    text = request.remote_addr or ""
    try:
        address = ip_address(text)
    except ValueError:
        return text
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, NETWORK_PREFIX), strict=False))
    return text


def harden(blueprint: Blueprint, *, form_targets: Iterable[str] = ()) -> None:
    """Put the headers on a blueprint's answers that leave a browser no way to run or load what is not ours.

    Args:
        blueprint: Its pages use files below ``/static`` only: no inline script or style.
        form_targets: Origins that a form's answer may redirect to; browsers hold redirects to the policy as well.
    """
    policy = "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            " ".join(("form-action 'self'", *form_targets)),
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )

    @blueprint.after_request
    def _headers(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["Cache-Control"] = "no-store"
        return response


def message_page(title: str, text: str, *, code: int) -> Response:
    """Return a page with one message."""
    return make_response(render_template("message.html", title=title, text=text), code)
