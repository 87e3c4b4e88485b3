"""Prices as strings of net and gross EUR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from localcloud.store import Thing

HOURS_A_MONTH = 624
"""After so many hours the price of a month is reached."""
INCLUDED_TRAFFIC = {"eu-central": 20 * 1024**4, "us-east": 1024**4, "us-west": 1024**4, "ap-southeast": 1024**4}
"""Bytes a month by network zone."""
TERABYTE = {"eu-central": "1.00", "us-east": "1.00", "us-west": "1.00", "ap-southeast": "7.40"}
"""Net EUR for a TB more."""


def price(net: Decimal, vat_rate: str) -> Thing:
    """Return a net price with its gross price."""
    gross = net * (1 + Decimal(vat_rate) / 100)
    return {"net": f"{net:.10f}", "gross": f"{gross:.16f}"}


def server_price(raw: Mapping[str, Any], location: str, month: float) -> Thing:
    """Return what a server type costs at a location."""
    zone = next(each["network_zone"] for each in raw["locations"] if each["name"] == location)
    return {
        "location": location,
        **_rental(raw, month),
        "included_traffic": INCLUDED_TRAFFIC[zone],
        "price_per_tb_traffic": price(Decimal(TERABYTE[zone]), raw["vat_rate"]),
    }


def pricing(raw: Mapping[str, Any], server_types: Sequence[Thing]) -> Thing:
    """Return the answer of ``/pricing``."""
    vat = raw["vat_rate"]
    nothing = price(Decimal(0), vat)
    return {
        "currency": "EUR",
        "vat_rate": vat,
        "image": {"price_per_gb_month": price(Decimal("0.0119"), vat)},
        "floating_ip": {"price_monthly": price(Decimal("3.00"), vat)},
        "floating_ips": [],
        "primary_ips": [
            {
                "type": kind,
                "prices": [{"location": each["name"], **_rental(raw, month)} for each in raw["locations"]],
            }
            for kind, month in raw["primary_ip_month"].items()
        ],
        "server_backup": {"percentage": "20.0000000000"},
        "server_types": [{key: each[key] for key in ("id", "name", "prices")} for each in server_types],
        "load_balancer_types": [],
        "traffic": {"price_per_tb": nothing},
        "volume": {"price_per_gb_month": price(Decimal("0.0440"), vat)},
    }


def _rental(raw: Mapping[str, Any], month: float) -> Thing:
    net = Decimal(str(month))
    hour = (net / HOURS_A_MONTH).quantize(Decimal("0.0001"))
    return {"price_hourly": price(hour, raw["vat_rate"]), "price_monthly": price(net, raw["vat_rate"])}
