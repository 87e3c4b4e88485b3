"""After an update that did not come to its end: takes away what it made and the engine does not know of.

The engine notes each resource before it asks for it. A note that is left over means that the resource may be
there: a second container with a customer's name would answer beside the real one, and a second DNS record is
refused for ever. What is there is removed, and the next update makes it anew. Volumes are never touched: Docker
gives the one that exists to whoever asks for its name.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import docker
import httpx
from docker.errors import DockerException, NotFound
from pulumi import automation

CLOUDFLARE = "https://api.cloudflare.com/client/v4"
NOTES = "pending_operations"
TIMEOUT_SECONDS = 60
_ENGINE_KINDS = {"docker:index/container:Container": "container", "docker:index/network:Network": "network"}
_DNS_RECORD = "cloudflare:index/dnsRecord:DnsRecord"
_SAFE_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")

Resource = Mapping[str, Any]


class RecoveryError(Exception):
    """What an unfinished update left can't be removed; nothing is declared. The message says what it is."""


def recover(stack: automation.Stack, say: Callable[[str], None]) -> None:
    """Remove what a stack's last update may have left, and the engine's notes of it; does nothing without notes.

    Raises:
        RecoveryError: a cell or a cloud can't be reached, or refuses.
    """
    exported = stack.export_stack()
    state: dict[str, Any] = exported.deployment or {}
    notes: list[Resource] = state.get(NOTES) or []
    if not notes:
        return
    for resource in (note["resource"] for note in notes if note["type"] == "creating"):
        kind, name = resource["type"], str(resource.get("inputs", {}).get("name", ""))
        try:
            if kind in _ENGINE_KINDS and _SAFE_NAME.fullmatch(name):
                removed = _remove_from_engine(_ENGINE_KINDS[kind], name, _docker_provider(state))
            elif kind == _DNS_RECORD:
                removed = _remove_record(resource["inputs"], stack.get_all_config())
            else:
                continue
        except (DockerException, httpx.HTTPError, subprocess.SubprocessError, OSError) as error:
            msg = (
                f"The last update was ended in its middle and may have left {name} ({kind}), which can't be looked"
                f" after now: {error}. Nothing is declared. Fix: see to it that it can be reached, then try again."
            )
            raise RecoveryError(msg) from error
        if removed:
            say(f"{stack.name}: removed {name}, which an update that was ended in its middle had left")
    state[NOTES] = []
    stack.import_stack(exported)


def _docker_provider(state: Mapping[str, Any]) -> Resource:
    return next(each["inputs"] for each in state["resources"] if each["type"] == "pulumi:providers:docker")


def _remove_from_engine(kind: str, name: str, provider: Resource) -> bool:
    """Remove a container or network by its exact name; return whether there was one."""
    host = urlsplit(str(provider["host"]))
    if host.scheme != "ssh":
        client = docker.DockerClient(base_url=provider["host"], timeout=TIMEOUT_SECONDS)
        try:
            if kind == "container":
                client.containers.get(name).remove(force=True)
            else:
                client.networks.get(name).remove()
        except NotFound:
            return False
        finally:
            client.close()
        return True
    options = json.loads(provider.get("sshOpts") or "[]")
    port = [] if host.port is None else ["-p", str(host.port)]
    remote = shlex.join(["docker", kind, "rm", *(["--force"] if kind == "container" else []), name])
    argv = ["ssh", *options, *port, "-l", str(host.username), "--", str(host.hostname), remote]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS)
    if done.returncode != 0 and "No such" not in done.stderr and "not found" not in done.stderr:
        raise OSError(done.stderr.strip())
    return name in done.stdout


def _remove_record(record: Resource, config: Mapping[str, automation.ConfigValue]) -> bool:
    """Remove a DNS record that is just like the wanted one; return whether there was one."""
    endpoint = config.get("hosting:cloudflare_endpoint")
    url = f"{CLOUDFLARE if endpoint is None else endpoint.value}/zones/{record['zoneId']}/dns_records"
    headers = {"Authorization": f"Bearer {config['hosting:cloudflare_token'].value}"}
    wanted = {name: str(record[name]) for name in ("name", "type", "content")}
    with httpx.Client(headers=headers, timeout=TIMEOUT_SECONDS) as client:
        found = client.get(url, params=wanted).raise_for_status().json()["result"]
        for each in found:
            client.delete(f"{url}/{each['id']}").raise_for_status()
    return bool(found)
