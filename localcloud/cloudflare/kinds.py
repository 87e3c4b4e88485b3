"""Cloudflare's resource types as pulumi_cloudflare 6 names them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version

from localcloud.cloudflare.zones import TYPES, Zones
from localcloud.faults import Faults
from localcloud.provider import Cloud, Field, Properties

VERSION = version("pulumi-cloudflare")


class DnsRecordKind:
    """``cloudflare.DnsRecord``."""

    fields: Mapping[str, Field] = {
        "zoneId": Field(type=str, required=True, replaces=True),
        "name": Field(type=str, required=True),
        "type": Field(type=str, required=True, one_of=TYPES),
        "ttl": Field(type=float, required=True),
        "content": Field(type=str),
        "data": Field(type=dict),
        "priority": Field(type=float),
        "proxied": Field(type=bool),
        "comment": Field(type=str),
        "tags": Field(type=list),
        "settings": Field(type=dict),
    }

    def __init__(self, zones: Zones) -> None:
        self._zones = zones

    def create(self, inputs: Properties, name: str) -> tuple[str, Properties]:
        self._zones.limit()
        record = self._zones.save_record(_to_api(inputs))
        return record["id"], _from_api(record)

    def read(self, key: str, state: Properties) -> Properties | None:
        self._zones.limit()
        record = self._zones.record(key)
        return None if record is None else _from_api(record)

    def update(self, key: str, state: Properties, inputs: Properties) -> Properties:
        self._zones.limit()
        return _from_api(self._zones.save_record(_to_api(inputs), key))

    def delete(self, key: str, state: Properties) -> None:
        self._zones.limit()
        self._zones.delete_record(key)


class ZoneSettingKind:
    """``cloudflare.ZoneSetting``; deleting one leaves the zone as it is, as at Cloudflare."""

    fields: Mapping[str, Field] = {
        "zoneId": Field(type=str, required=True, replaces=True),
        "settingId": Field(type=str, required=True, replaces=True),
        "value": Field(type=(str, int, float, dict, list), required=True),
        "enabled": Field(type=bool),
    }

    def __init__(self, zones: Zones) -> None:
        self._zones = zones

    def create(self, inputs: Properties, name: str) -> tuple[str, Properties]:
        return inputs["settingId"], self._save(inputs)

    def read(self, key: str, state: Properties) -> Properties | None:
        self._zones.limit()
        setting = self._zones.setting(state["zoneId"], key)
        return None if setting is None else {**state, "value": setting["value"]}

    def update(self, key: str, state: Properties, inputs: Properties) -> Properties:
        return self._save(inputs)

    def delete(self, key: str, state: Properties) -> None:
        pass

    def _save(self, inputs: Properties) -> Properties:
        self._zones.limit()
        setting = self._zones.save_setting(inputs["zoneId"], inputs["settingId"], inputs["value"])
        return {"editable": setting["editable"]}


def cloudflare(zones: Zones, faults: Faults) -> Cloud:
    """Return Cloudflare as the engine sees it."""
    return Cloud(
        name="cloudflare",
        version=VERSION,
        kinds={
            "cloudflare:index/dnsRecord:DnsRecord": DnsRecordKind(zones),
            "cloudflare:index/zoneSetting:ZoneSetting": ZoneSettingKind(zones),
        },
        faults=faults,
        required_settings=("apiToken",),
    )


_NAMES = {"zoneId": "zone_id", "createdOn": "created_on", "modifiedOn": "modified_on"}


def _to_api(inputs: Properties) -> Properties:
    return {_NAMES.get(name, name): value for name, value in inputs.items() if name in DnsRecordKind.fields}


def _from_api(record: Properties) -> Properties:
    back = {api: name for name, api in _NAMES.items()}
    return {back.get(name, name): value for name, value in record.items() if name != "id"}
