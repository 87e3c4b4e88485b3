"""After an update that did not come to its end: takes away what it made and the engine does not know of.

The engine notes each resource before it asks for it. A note that is left over means that the resource may be
there: a second container with a customer's name would answer beside the real one, a second DNS record is refused for
ever, and a server is paid for. What is there is removed, and the next update makes it anew. Volumes are never touched:
Docker gives the one that exists to whoever asks for its name.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any
from urllib.parse import urlsplit

import hcloud
import httpx
import requests

from webhook.hetzner_orphans import COLLECTIONS, remove_orphan

CLOUDFLARE = "https://api.cloudflare.com/client/v4"
NOTES = "pending_operations"
TIMEOUT_SECONDS = 60
ABSENT = ("No such container", "No such network", "not found")
"""What Docker says of something that is not there."""

FAILURES = (
    httpx.HTTPError,
    hcloud.HCloudException,
    requests.RequestException,
    subprocess.SubprocessError,
    OSError,
)
"""What clouds and cells raise where they can't be reached, or refuse."""

_ENGINE_KINDS = {"docker:index/container:Container": "container", "docker:index/network:Network": "network"}
_DNS_RECORD = "cloudflare:index/dnsRecord:DnsRecord"
_SAFE_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")

Resource = Mapping[str, Any]


class RecoveryError(Exception):
    """What an unfinished update left can't be removed; nothing is declared. The message says what it is."""


def recover(state: dict[str, Any], config: Callable[[], Mapping[str, str]], say: Callable[[str], None]) -> bool:
    """Remove what a stack's last update may have left, and the engine's notes of it from the state.

    Args:
        state: The stack's exported state; changed in place.
        config: Asked for the settings and secrets where a cloud has to be asked.
        say: Told of everything that is removed.

    Returns:
        Whether there were notes: then the state has to be imported.

    Raises:
        RecoveryError: a cell or a cloud can't be reached, or refuses.
    """
    notes: list[Resource] = state.get(NOTES) or []
    for resource in (note["resource"] for note in notes if note["type"] == "creating"):
        name = str(resource.get("inputs", {}).get("name", ""))
        try:
            removed = _remove(resource, name, state, config)
        except FAILURES as error:
            msg = (
                f"The last update was ended in its middle and may have left {name} ({resource['type']}), which can't"
                f" be looked after now: {error}. Nothing is declared. Fix: see to it that it can be reached, then try"
                " again."
            )
            raise RecoveryError(msg) from error
        if removed:
            say(f"removed {name}, which an update that was ended in its middle had left")
    state[NOTES] = []
    return bool(notes)


def _remove(resource: Resource, name: str, state: Resource, config: Callable[[], Mapping[str, str]]) -> bool:
    """Remove one thing unless the engine knows of it: a note may be older than what was made since."""
    kind = resource["type"]
    if kind in _ENGINE_KINDS and _SAFE_NAME.fullmatch(name):
        known = {each.get("inputs", {}).get("name") for each in state["resources"] if each["type"] == kind}
        return name not in known and _remove_from_engine(_ENGINE_KINDS[kind], name, _docker_provider(state))
    known = {str(each.get("id")) for each in state["resources"] if each["type"] == kind}
    if kind == _DNS_RECORD:
        return _remove_record(resource["inputs"], known, config())
    return kind in COLLECTIONS and remove_orphan(kind, name, known=known, config=config())


def _docker_provider(state: Resource) -> Resource:
    return next(each["inputs"] for each in state["resources"] if each["type"] == "pulumi:providers:docker")


def _remove_from_engine(kind: str, name: str, provider: Resource) -> bool:
    """Remove a container or network by its exact name; return whether there was one."""
    argv = [kind, "rm", *(["--force"] if kind == "container" else []), name]
    host = urlsplit(str(provider["host"]))
    if host.scheme == "ssh":
        options = json.loads(provider.get("sshOpts") or "[]")
        port = [] if host.port is None else ["-p", str(host.port)]
        login = ["-l", str(host.username), "--", str(host.hostname)]
        argv = ["ssh", *options, *port, *login, shlex.join(["docker", *argv])]
    else:
        argv = ["docker", "--host", str(provider["host"]), *argv]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS)
    if done.returncode != 0 and not any(words in done.stderr for words in ABSENT):
        raise OSError(done.stderr.strip())
    return name in done.stdout


def _remove_record(record: Resource, known: AbstractSet[str], config: Mapping[str, str]) -> bool:
    """Remove a DNS record that is just like the wanted one and not the engine's; return whether there was one."""
    endpoint = config.get("hosting:cloudflare_endpoint") or CLOUDFLARE
    url = f"{endpoint}/zones/{record['zoneId']}/dns_records"
    headers = {"Authorization": f"Bearer {config['hosting:cloudflare_token']}"}
    wanted = {name: str(record[name]) for name in ("name", "type", "content")}
    with httpx.Client(headers=headers, timeout=TIMEOUT_SECONDS) as client:
        found = client.get(url, params=wanted).raise_for_status().json()["result"]
        ours = [each["id"] for each in found if each["id"] not in known]
        for each in ours:
            client.delete(f"{url}/{each}").raise_for_status()
    return bool(ours)
