"""Serves the API: authentication, faults, rate limit, and the way from a request to what answers it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any, cast

from flask import Blueprint, Response, g, jsonify, request
from flask.blueprints import BlueprintSetupState

from localcloud.faults import Faults, Mode
from localcloud.hetzner.catalogue import Catalogue
from localcloud.hetzner.cloud import Cloud
from localcloud.hetzner.connection import drop
from localcloud.hetzner.errors import (
    ApiError,
    no_such_endpoint,
    out_of_service,
    rate_limited,
    unauthorized,
    unreadable,
)
from localcloud.hetzner.firewalls import Firewalls
from localcloud.hetzner.networks import Networks
from localcloud.hetzner.offers import offer_routes
from localcloud.hetzner.placement_groups import PlacementGroups
from localcloud.hetzner.primary_ips import PrimaryIps
from localcloud.hetzner.rate_limit import RateLimit
from localcloud.hetzner.resource import Call, Handler, Route
from localcloud.hetzner.servers import Servers
from localcloud.hetzner.ssh_keys import SshKeys
from localcloud.store import Store

TOKEN = re.compile(r"Bearer [A-Za-z0-9]{64}")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def hetzner_blueprint(
    store: Store,
    faults: Faults,
    clock: Callable[[], float],
    *,
    rate_limit_per_hour: int = 3600,
    action_seconds: float = 0.1,
) -> Blueprint:
    """Return the API, to be mounted where its version 1 shall be.

    Args:
        store: Holds what exists.
        faults: What calls shall suffer; operations are called ``POST /servers/:id/actions/poweron``.
        clock: Seconds since 1970.
        rate_limit_per_hour: Calls an hour before 429.
        action_seconds: How long one action takes.
    """
    cloud = Cloud(store=store, clock=clock, catalogue=Catalogue.load(store, clock), action_seconds=action_seconds)
    gate = _Gate(faults, RateLimit(rate_limit_per_hour, clock))
    blueprint = Blueprint("hetzner", __name__)
    blueprint.record(gate.mounted)
    blueprint.before_request(gate.enter)
    blueprint.after_request(gate.leave)
    blueprint.register_error_handler(ApiError, _refused)
    for number, (method, rule, handler) in enumerate(_routes(cloud)):
        blueprint.add_url_rule(rule, f"{number}", _view(store, handler), methods=[method])
    blueprint.add_url_rule("/<path:rest>", "nothing", _nothing, methods=METHODS)
    return blueprint


class _Gate:
    """What every call passes, coming and going."""

    def __init__(self, faults: Faults, limit: RateLimit) -> None:
        self._faults = faults
        self._limit = limit
        self._prefix = ""

    def mounted(self, state: BlueprintSetupState) -> None:
        self._prefix = state.url_prefix or ""

    def enter(self) -> Response | None:
        """Refuse a call, drop it, or let it pass."""
        mode = self._faults.suffer("hetzner", self._operation())
        g.drop_answer = mode is Mode.CRASH_AFTER_CREATE
        if mode is Mode.TIMEOUT:
            drop(request)
            return Response(status=504)
        if not TOKEN.fullmatch(request.headers.get("Authorization", "")):
            raise unauthorized()
        if not self._limit.take() or mode is Mode.RATE_LIMITED:
            raise rate_limited(self._limit.per_hour)
        if mode is Mode.ERROR:
            raise out_of_service()
        return None

    def leave(self, response: Response) -> Response:
        """Put what every answer says on it, or drop it."""
        if g.get("drop_answer"):
            drop(request)
        response.headers.update(self._limit.headers())
        response.headers["X-Correlation-Id"] = secrets.token_hex(8)
        return response

    def _operation(self) -> str:
        path = request.path.removeprefix(self._prefix)
        return f"{request.method} {re.sub(r'/[0-9]+(?=/|$)', '/:id', path)}"


def _routes(cloud: Cloud) -> list[Route]:
    resources = (SshKeys, PlacementGroups, Firewalls, Networks, PrimaryIps, Servers)
    routes = [*offer_routes(cloud)]
    for resource in resources:
        routes.extend(resource(cloud).routes())
    return routes


def _view(store: Store, handler: Handler) -> Callable[..., Response]:
    def view(**ids: int) -> Response:
        query = dict(request.args.lists())
        with store.transaction():
            status, answer = handler(Call(body=_body(), query=query), **ids)
        response = Response() if answer is None else jsonify(answer)
        response.status_code = status
        return response

    return view


def _body() -> Mapping[str, Any]:
    if not request.get_data():
        return {}
    body: Any = request.get_json(force=True, silent=True)
    if not isinstance(body, dict):
        raise unreadable()
    return cast("dict[str, Any]", body)


def _nothing(rest: str) -> Response:  # noqa: ARG001 - Flask passes it
    raise no_such_endpoint()


def _refused(error: ApiError) -> Response:
    response = jsonify(error.answer)
    response.status_code = error.status
    return response
