"""The part of Cloudflare's HTTP API (v4) that programs beside the engine use: zones, records, settings."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, g, jsonify, request

from localcloud.cloudflare.zones import Zones, refused
from localcloud.faults import Faults, Mode
from localcloud.provider import CloudError
from localcloud.store import Thing


def cloudflare_blueprint(zones: Zones, faults: Faults) -> Blueprint:
    """Return the routes below ``/client/v4``."""
    blueprint = Blueprint("cloudflare", __name__)
    blueprint.after_request(_crash)

    @blueprint.before_request
    def _guard() -> None:
        if not request.headers.get("Authorization", "").startswith("Bearer "):
            raise refused(403, 9109, "Invalid access token")
        zones.limit()
        mode = faults.suffer("cloudflare", f"{request.method} {request.endpoint}")
        if mode is Mode.RATE_LIMITED:
            raise refused(429, 10013, "Rate limited")
        g.crash = mode is Mode.CRASH_AFTER_CREATE
        if mode is not None and not g.crash:
            raise refused(503, 10000, "Service unavailable")

    @blueprint.errorhandler(CloudError)
    def _refused(error: CloudError) -> tuple[Response, int]:
        return jsonify(error.body), error.status

    @blueprint.get("/zones")
    def list_zones() -> Response:
        name = request.args.get("name")
        return _page([zone for zone in zones.zones() if name in {None, zone["name"]}])

    @blueprint.post("/zones")
    def add_zone() -> Response:
        return _result(zones.add_zone(str((request.get_json() or {}).get("name"))))

    @blueprint.get("/zones/<zone_id>/dns_records")
    def list_records(zone_id: str) -> Response:
        wanted = {key: value for key, value in request.args.items() if key in {"name", "type", "content"}}
        return _page([r for r in zones.records(zone_id) if all(r.get(key) == value for key, value in wanted.items())])

    @blueprint.post("/zones/<zone_id>/dns_records")
    def add_record(zone_id: str) -> Response:
        return _result(zones.save_record({**request.get_json(), "zone_id": zone_id}))

    @blueprint.patch("/zones/<zone_id>/dns_records/<record_id>")
    def change_record(zone_id: str, record_id: str) -> Response:
        before = _record(zones, zone_id, record_id)
        return _result(zones.save_record({**before, **request.get_json(), "zone_id": zone_id}, record_id))

    @blueprint.delete("/zones/<zone_id>/dns_records/<record_id>")
    def delete_record(zone_id: str, record_id: str) -> Response:
        zones.delete_record(_record(zones, zone_id, record_id)["id"])
        return _result({"id": record_id})

    @blueprint.get("/zones/<zone_id>/settings")
    def list_settings(zone_id: str) -> Response:
        return _result(zones.settings(zone_id))

    return blueprint


def _crash(response: Response) -> Response:
    """Drop the answer to a call that was served, where that was ordered."""
    return Response(status=503) if g.get("crash") else response


def _record(zones: Zones, zone_id: str, record_id: str) -> Thing:
    record = zones.record(record_id)
    if record is None or record["zone_id"] != zone_id:
        raise refused(404, 81044, "Record does not exist.")
    return record


def _result(result: object) -> Response:
    return jsonify({"success": True, "errors": [], "messages": [], "result": result})


def _page(things: list[dict[str, Any]]) -> Response:
    """Answer one page, as Cloudflare does: 100 things unless told, at most 5,000."""
    page = max(request.args.get("page", 1, type=int), 1)
    size = min(max(request.args.get("per_page", 100, type=int), 1), 5000)
    start = (page - 1) * size
    info = {
        "page": page,
        "per_page": size,
        "count": len(things[start : start + size]),
        "total_count": len(things),
        "total_pages": -(-len(things) // size),
    }
    body = {"success": True, "errors": [], "messages": [], "result": things[start : start + size], "result_info": info}
    return jsonify(body)
