"""Reads our account at Stripe and applies what ``stripe_differences.py`` finds: the effects, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

from webhook.stripe_catalogue import CODES, COUPONS, ENDPOINTS, PORTALS, PRICES, PRODUCTS, RESOURCES
from webhook.stripe_differences import Change, Raw, State, resolved

if TYPE_CHECKING:
    from stripe import StripeClient

PAGE = 100
_EXPANDED: Mapping[str, list[str]] = {PORTALS: ["data.features.subscription_update.products"]}
"""What a list has only when asked."""


class _Service(Protocol):
    """What the SDK's services of all our resources have in common."""

    def list(self, params: Any) -> Any: ...  # noqa: ANN401 - the SDK's own types differ by resource
    def create(self, params: Any) -> Any: ...  # noqa: ANN401
    def update(self, key: str, params: Any) -> Any: ...  # noqa: ANN401


def read_account(client: StripeClient) -> State:
    """Return all of the account's objects of the kinds that we keep.

    Raises:
        stripe.StripeError: Stripe can't be reached or refuses.
    """
    state: dict[str, list[Raw]] = {}
    for resource in RESOURCES:
        expand = {"expand": _EXPANDED[resource]} if resource in _EXPANDED else {}
        listed = _service(client, resource).list({"limit": PAGE, **expand})
        state[resource] = [each.to_dict() for each in listed.auto_paging_iter()]
    return state


def apply(client: StripeClient, changes: Iterable[Change], done: Callable[[Change], None]) -> str | None:
    """Make the changes, in their order.

    The SDK gives each request an idempotency key for its own retries; none is kept: a run that was cut off is
    continued by the next one, which finds by its metadata what is there.

    Args:
        client: Stripe's.
        changes: To be made.
        done: Is told of each one that is made.

    Returns:
        The signing secret of the endpoint, where one was made.

    Raises:
        stripe.StripeError: Stripe can't be reached or refuses; the changes before stay made.
    """
    ids: dict[str, str] = {}
    secret = None
    for change in changes:
        service, params = _service(client, change.resource), resolved(change.params, ids)
        if change.key is None:
            made = service.create(params)
            ids[change.part] = made.id
            secret = str(made.secret) if change.makes_endpoint else secret
        else:
            service.update(change.key, params)
        done(change)
    return secret


def _service(client: StripeClient, resource: str) -> _Service:
    v1 = client.v1
    services: Mapping[str, Callable[[], object]] = {
        PRODUCTS: lambda: v1.products,
        PRICES: lambda: v1.prices,
        COUPONS: lambda: v1.coupons,
        CODES: lambda: v1.promotion_codes,
        PORTALS: lambda: v1.billing_portal.configurations,
        ENDPOINTS: lambda: v1.webhook_endpoints,
    }
    return cast("_Service", services[resource]())
