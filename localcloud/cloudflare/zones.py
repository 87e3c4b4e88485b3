"""What Cloudflare holds and refuses; the provider and the HTTP API both stand on it."""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from uuid import uuid4

from localcloud.provider import CloudError, Properties
from localcloud.store import Store, Thing

RECORDS_ON_FREE_PLAN = 200
"""Records that a free zone holds (Cloudflare's documentation, November 2026)."""
CALLS = 1200
WINDOW_SECONDS = 300.0
"""1,200 requests in 5 minutes, then 5 minutes of refusals (Cloudflare's API limits)."""

ZONE, RECORD, SETTING = "cloudflare/zone", "cloudflare/record", "cloudflare/setting"
TYPES = ("A", "AAAA", "CNAME", "TXT", "MX", "CAA", "SRV", "NS")
ADDRESSES = ("A", "AAAA", "CNAME")
NAME = re.compile(r"(?:\*\.|_)?[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9])?")


class Zones:
    """Cloudflare's zones with their records and settings."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float] = time.time,
        records_per_zone: int = RECORDS_ON_FREE_PLAN,
        calls: int = CALLS,
    ) -> None:
        self._store = store
        self._clock = clock
        self._records_per_zone = records_per_zone
        self._limit = calls
        self._calls: deque[float] = deque()
        self._blocked_until = 0.0

    def limit(self) -> None:
        """Count one API call.

        Raises:
            CloudError: there were too many.
        """
        now = self._clock()
        while self._calls and self._calls[0] < now - WINDOW_SECONDS:
            self._calls.popleft()
        self._calls.append(now)
        if len(self._calls) > self._limit:
            self._blocked_until = now + WINDOW_SECONDS
            self._calls.clear()
        if now < self._blocked_until:
            raise refused(429, 10013, "Rate limited. Please wait and consider throttling your request speed")

    def add_zone(self, name: str, zone_id: str | None = None) -> Thing:
        """Register a domain, as a person does on Cloudflare's site; does nothing if it is there."""
        with self._store.transaction():
            for zone in self._store.all(ZONE):
                if zone["name"] == name:
                    return zone
            zone = {"id": zone_id or uuid4().hex, "name": name, "status": "active"}
            self._store.put(ZONE, zone["id"], zone)
        return zone

    def zones(self) -> list[Thing]:
        """Return all zones."""
        return self._store.all(ZONE)

    def records(self, zone_id: str) -> list[Thing]:
        """Return a zone's records. Raises CloudError."""
        self._zone(zone_id)
        return [record for record in self._store.all(RECORD) if record["zone_id"] == zone_id]

    def record(self, record_id: str) -> Thing | None:
        """Return a record, or None."""
        return self._store.get(RECORD, record_id)

    def save_record(self, body: Properties, record_id: str | None = None) -> Thing:
        """Create a record, or change one. Raises CloudError."""
        with self._store.transaction():
            zone = self._zone(str(body.get("zone_id")))
            before = self._store.get(RECORD, record_id) if record_id is not None else None
            if record_id is not None and before is None:
                raise refused(404, 81044, "Record does not exist.")
            self._check(zone, body, record_id)
            now = datetime.fromtimestamp(self._clock(), tz=UTC).isoformat().replace("+00:00", "Z")
            record = {
                **body,
                "id": record_id or uuid4().hex,
                "proxiable": body["type"] in ADDRESSES,
                "created_on": now if before is None else before["created_on"],
                "modified_on": now,
            }
            self._store.put(RECORD, record["id"], record)
        return record

    def delete_record(self, record_id: str) -> bool:
        """Delete a record; return whether there was one."""
        return self._store.delete(RECORD, record_id)

    def setting(self, zone_id: str, name: str) -> Thing | None:
        """Return a zone's setting, if it was ever changed."""
        return self._store.get(SETTING, f"{zone_id}/{name}")

    def settings(self, zone_id: str) -> list[Thing]:
        """Return the settings of a zone that were ever changed."""
        return [setting for setting in self._store.all(SETTING) if setting["zone_id"] == zone_id]

    def save_setting(self, zone_id: str, name: str, value: object) -> Thing:
        """Change a zone's setting. Raises CloudError."""
        self._zone(zone_id)
        setting = {"id": name, "zone_id": zone_id, "value": value, "editable": True}
        self._store.put(SETTING, f"{zone_id}/{name}", setting)
        return setting

    def _zone(self, zone_id: str) -> Thing:
        zone = self._store.get(ZONE, zone_id)
        if zone is None:
            raise refused(404, 7003, f"Could not route to /zones/{zone_id}, perhaps your object identifier is invalid?")
        return zone

    def _check(self, zone: Thing, body: Properties, record_id: str | None) -> None:
        name, kind = str(body.get("name", "")), body.get("type")
        if kind not in TYPES:
            raise refused(400, 1004, f"DNS Validation Error: type {kind} is invalid")
        if NAME.fullmatch(name) is None or not (name == zone["name"] or name.endswith(f".{zone['name']}")):
            raise refused(400, 9000, f"DNS name is invalid: {name} in zone {zone['name']}")
        if (problem := _content_problem(body)) is not None:
            raise refused(400, 9005, problem)
        if body.get("proxied") and (kind not in ADDRESSES or body.get("ttl") != 1):
            raise refused(400, 9004, "This record type or TTL cannot be proxied.")
        others = [record for record in self.records(zone["id"]) if record["id"] != record_id]
        if record_id is None and len(others) >= self._records_per_zone:
            raise refused(400, 81045, f"Record quota exceeded: a free zone holds {self._records_per_zone} records.")
        for other in others:
            if other["name"] != name:
                continue
            same = (other["type"], other.get("content"), other.get("data")) == (
                kind,
                body.get("content"),
                body.get("data"),
            )
            if same:
                raise refused(400, 81058, "An identical record already exists.")
            if "CNAME" in {kind, other["type"]} and {kind, other["type"]} <= set(ADDRESSES):
                raise refused(400, 81053, "An A, AAAA, or CNAME record with that host already exists.")


def refused(status: int, code: int, message: str) -> CloudError:
    """Return the error as Cloudflare words it."""
    body = {"success": False, "errors": [{"code": code, "message": message}], "messages": [], "result": None}
    return CloudError(f"{status}: {json.dumps(body)}", status=status, body=body)


def _content_problem(body: Properties) -> str | None:
    kind, content = body["type"], body.get("content")
    if kind == "CAA":
        data = body.get("data") or {}
        return None if {"flags", "tag", "value"} <= data.keys() else "CAA needs data with flags, tag and value."
    if not content:
        return f"Content for {kind} record is required."
    try:
        if kind == "A":
            IPv4Address(content)
        elif kind == "AAAA":
            IPv6Address(content)
    except AddressValueError:
        return f"Content for {kind} record must be a valid IP address."
    return None
