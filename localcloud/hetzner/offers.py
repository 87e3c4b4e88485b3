"""What can be looked up but not changed: server types, locations, datacenters, images, prices, actions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from localcloud.hetzner.cloud import Cloud
from localcloud.hetzner.errors import ApiError, not_found
from localcloud.hetzner.listing import choose, page
from localcloud.hetzner.resource import Answer, Call, Handler, Route
from localcloud.store import Thing


def offer_routes(cloud: Cloud) -> Iterator[Route]:
    """Yield the endpoints of the catalogue and of actions."""
    catalogue = cloud.catalogue
    yield from _lookups("server_type", lambda: catalogue.server_types)
    yield from _lookups("location", lambda: catalogue.locations)
    yield from _lookups("datacenter", lambda: catalogue.datacenters)
    yield from _lookups("image", lambda: catalogue.images, "architecture", "type", "status")
    yield from _lookups("iso", _nothing)
    yield from _prices(cloud)
    yield from _actions(cloud)


def _nothing() -> list[Thing]:
    return []


def _lookups(kind: str, things: Callable[[], Sequence[Thing]], *filters: str) -> Iterator[Route]:
    def several(call: Call) -> Answer:
        found = choose(things(), call.query, "name", *filters)
        if kind == "image" and "true" not in call.query.get("include_deprecated", ()):
            found = [image for image in found if image["deprecated"] is None]
        return 200, page(f"{kind}s", found, call.query)

    def one(call: Call, key: int) -> Answer:  # noqa: ARG001 - all handlers are called alike
        for thing in things():
            if thing["id"] == key:
                return 200, {kind: thing}
        raise not_found(kind.replace("_", " "), key)

    handlers: dict[str, Handler] = {f"/{kind}s": several, f"/{kind}s/<int:key>": one}
    for rule, handler in handlers.items():
        yield "GET", rule, handler


def _prices(cloud: Cloud) -> Iterator[Route]:
    def show(call: Call) -> Answer:  # noqa: ARG001 - all handlers are called alike
        return 200, {"pricing": cloud.catalogue.pricing}

    yield "GET", "/pricing", show


def _actions(cloud: Cloud) -> Iterator[Route]:
    def several(call: Call) -> Answer:
        keys = call.query.get("id", ())
        if not keys:
            raise ApiError("deprecated_api_endpoint", "listing all actions is gone: name them by id", status=410)
        found = [cloud.find("action", int(key)) for key in keys if key.isdecimal()]
        views = [cloud.action_view(action) for action in found if action is not None]
        return 200, page("actions", choose(views, call.query, "status"), call.query)

    def one(call: Call, key: int) -> Answer:  # noqa: ARG001 - all handlers are called alike
        return 200, {"action": cloud.action_view(cloud.need("action", key))}

    yield "GET", "/actions", several
    yield "GET", "/actions/<int:key>", one
