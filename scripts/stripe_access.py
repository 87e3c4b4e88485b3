"""The operators' way to Stripe: a client with the environment's key, and what its refusals mean."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scripts.context import Context
from scripts.terminal import refuse

if TYPE_CHECKING:
    from stripe import StripeClient

API_KEY = "HOSTING_STRIPE_API_KEY"
API_URL = "HOSTING_STRIPE_API_URL"
SECONDS = 20.0
"""For one try of a request; a person waits."""


def has_key(context: Context) -> bool:
    """Whether commands can ask Stripe."""
    return bool(variable(context, API_KEY))


@contextmanager
def stripe_client(context: Context, *, unchanged: str) -> Generator[StripeClient]:
    """Give a client; what Stripe refuses within becomes the command's refusal.

    Args:
        context: The environment.
        unchanged: What is certain where a request fails, such as ``Nothing was changed.``

    Raises:
        typer.Exit: there is no key, or Stripe refused or can't be reached.
    """
    import stripe  # noqa: PLC0415 - more than a second that most commands need not wait

    key = variable(context, API_KEY)
    if not key:
        raise refuse(
            f"{API_KEY} is not set, so Stripe can't be asked. {unchanged}"
            f" Fix: export a restricted key (rk_...) of Stripe, under Developers, API keys."
        )
    url = variable(context, API_URL)
    http = stripe.RequestsClient(timeout=SECONDS)
    try:
        yield stripe.StripeClient(key, base_addresses={"api": url} if url else None, http_client=http)
    except stripe.APIConnectionError as error:
        raise refuse(f"Stripe can't be reached: {_words(error)} {unchanged} Fix: run the command again.") from None
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        raise refuse(
            f"Stripe refuses the key in {API_KEY}: {_words(error)} {unchanged}"
            " Fix: a key of this account that may write products, prices, coupons, promotion codes, portal"
            " configurations, webhook endpoints and subscriptions."
        ) from None
    except stripe.StripeError as error:
        raise refuse(f"Stripe refuses: {_words(error)} {unchanged}") from None
    finally:
        http.close()


def _words(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if text.endswith((".", "!", "?")) else f"{text}."


def variable(context: Context, name: str) -> str | None:
    """Return a variable as the environment's file has it, else this process's; None for an empty one."""
    return context.target.variables.get(name) or os.environ.get(name) or None
