"""Signs one customer up as customers do: the form, Stripe's page, and the page that waits until the wiki answers."""

from __future__ import annotations

import re
import time
from html import unescape
from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from demo.say import say
from registry.errors import RegistryError
from scripts.context import Context

ORDER = {"plan": "personal", "interval": "month", "subdomain": "glade", "email": "glade@example.org"}
SECONDS = 120.0
POLL_SECONDS = 0.25
"""Each visitor may ask 300 times a minute."""
PROBLEM = re.compile(r'<p class="problem" id="[^"]*">([^<]+)<')
HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')


class SignUpError(Exception):
    """The paid customer got no instance in time; the message says where to look."""


def sign_up_once(public_url: str, context: Context) -> None:
    """Sign a customer up unless that was done at an earlier run.

    Args:
        public_url: Where the sign-up pages are.
        context: The demo.

    Raises:
        SignUpError: there is no answering instance in time.
    """
    try:
        taken = {entry.subdomain for entry in context.store().read().customers.values()}
    except RegistryError as error:
        raise SignUpError(str(error)) from None
    if ORDER["subdomain"] in taken:
        return
    say(f"signing {ORDER['subdomain']} up at {public_url}/checkout: form, payment at Stripe, signed event")
    try:
        with httpx.Client(base_url=public_url, timeout=30) as browser:
            back = pay(order(browser))
            start = time.monotonic()
            url = follow(browser, back, seconds=SECONDS)
    except httpx.HTTPError as error:
        raise SignUpError(f"{public_url}: {error}. Look into .local/demo/logs/control-service.log") from None
    answer = context.probe().wait(url, seconds=30)
    if not answer.healthy:
        raise SignUpError(f"{url} is said to be live and does not answer: {answer.detail}")
    say(f"[green]{url} answers {time.monotonic() - start:.1f} s after the payment[/green]")


def order(browser: httpx.Client) -> str:
    """Fill the form in and send it; return where Stripe takes the money.

    Raises:
        SignUpError: the order is refused.
    """
    form = browser.get("/checkout")
    hidden = {name: unescape(value) for name, value in HIDDEN.findall(form.text)}
    sent = browser.post("/checkout", data=hidden | ORDER)
    if sent.status_code != HTTPStatus.SEE_OTHER:
        problems = [unescape(text) for text in PROBLEM.findall(sent.text)]
        raise SignUpError(f"/checkout answered {sent.status_code}: {' '.join(problems) or sent.text[:500]}")
    return sent.headers["Location"]


def pay(url: str) -> str:
    """Pay on the simulated Stripe's page; return where it sends the customer.

    Raises:
        SignUpError: it does not take the payment.
    """
    page = httpx.post(url, data={"action": "pay", "name": "Gil Glade"}, timeout=30)
    if page.status_code != HTTPStatus.SEE_OTHER:
        raise SignUpError(f"the simulated Stripe's page answered {page.status_code}:\n{page.text[:500]}")
    return page.headers["Location"]


def follow(browser: httpx.Client, success_url: str, *, seconds: float) -> str:
    """Open the success page and ask as it asks, until the wiki is live; return its address.

    Raises:
        SignUpError: it is not, in time.
    """
    browser.get(success_url).raise_for_status()
    polls = f"{urljoin(success_url, 'progress')}?{urlsplit(success_url).query}"
    told: dict[str, Any] = {"state": "unknown"}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        told = browser.get(polls).raise_for_status().json()
        if told["state"] == "live":
            return str(told["url"])
        time.sleep(POLL_SECONDS)
    raise SignUpError(
        f"{ORDER['subdomain']} paid and is not live after {seconds:.0f} s ({told['state']})."
        " Look into .local/demo/logs/worker.log"
    )
