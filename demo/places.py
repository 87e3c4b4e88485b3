"""Where the demo keeps what it makes: everything below ``.local/`` in the project's folder."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
LOCAL = PROJECT / ".local"
DEMO = LOCAL / "demo"
DEMO_JSON = LOCAL / "demo.json"
"""The contract: how other programs find the running demo."""

CLOUD = DEMO / "cloud"
STATE = DEMO / "state"
DATABASE = DEMO / "management.sqlite3"
REGISTRY = DEMO / "registry" / "customers.yaml"
SETTINGS = DEMO / "Pulumi.demo.yaml"
ENVIRONMENT = DEMO / "environment"
CA = DEMO / "ca.pem"
LOGS = DEMO / "logs"
PROCESSES = DEMO / "processes"
PORTS = DEMO / "ports.json"
ENGINE_HOME = DEMO / "pulumi-home"
