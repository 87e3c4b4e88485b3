"""JSON Schema of ``customers.yaml``, for editors: ``python -m registry.schema > docs/customers.schema.json``."""

from __future__ import annotations

import json

from registry.customers import CUSTOMER_ID, Customer
from registry.names import SUBDOMAIN


def customers_schema() -> dict[str, object]:
    """Return the schema of the whole file."""
    entry = Customer.model_json_schema()
    definitions = entry.pop("$defs", {})
    entry["properties"]["subdomain"]["pattern"] = f"^{SUBDOMAIN.pattern}$"
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Customers of managed MarkItUp hosting",
        "type": "object",
        "additionalProperties": False,
        "required": ["customers"],
        "properties": {
            "customers": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": CUSTOMER_ID},
                "additionalProperties": entry,
            },
            "quarantine": {
                "description": "Names of deleted customers and the last day on which nobody else gets them.",
                "type": ["object", "null"],
                "additionalProperties": {"type": "string", "format": "date"},
            },
        },
        "$defs": definitions,
    }


if __name__ == "__main__":
    print(json.dumps(customers_schema(), indent=2))  # noqa: T201 - a program that prints
