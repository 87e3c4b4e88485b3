"""Takes the demo away: whatever carries its label, its processes, its files."""

from __future__ import annotations

import shutil
import subprocess

import docker
from docker.errors import DockerException

from demo import processes
from demo.places import DEMO, DEMO_JSON, LOCAL, SETTINGS
from demo.say import say
from host import firewall
from stacks.names import CellNetwork, StackName
from stacks.settings import SettingsError, read_settings

STACK_LABEL = "markitup.stack"


def take_down() -> None:
    """Remove all of it; may be run at any time and again."""
    for name in ("control-service", "local-cloud"):
        if processes.stop(name):
            say(f"stopped {name}")
    try:
        client = docker.from_env(timeout=120)
        client.ping()
    except DockerException:
        say("no Docker Engine answers: nothing to remove there")
    else:
        _remove_from_engine(client)
        _remove_firewall()
    if DEMO.exists():
        shutil.rmtree(DEMO)
        say(f"removed {DEMO}")
    DEMO_JSON.unlink(missing_ok=True)
    if LOCAL.exists() and not any(LOCAL.iterdir()):
        LOCAL.rmdir()
    say("the demo is gone; kept as a cache: images, the built engine, the Docker Engine itself (`make clean` says more)")


def _remove_from_engine(client: docker.DockerClient) -> None:
    ours = {"label": STACK_LABEL}
    containers = [each for each in client.containers.list(all=True, filters=ours) if _of_demo(each.labels)]
    for container in containers:
        container.remove(force=True, v=True)
    networks = [each for each in client.networks.list(filters=ours) if _of_demo(each.attrs["Labels"])]
    for network in networks:
        network.remove()
    volumes = [each for each in client.volumes.list(filters=ours) if _of_demo(each.attrs["Labels"] or {})]
    for volume in volumes:
        volume.remove()
    say(f"removed {len(containers)} containers, {len(networks)} networks, {len(volumes)} volumes")


def _of_demo(labels: dict[str, str]) -> bool:
    return StackName.parse(labels.get(STACK_LABEL, "")).environment == "demo"


def _remove_firewall() -> None:
    try:
        cells = read_settings(SETTINGS).cells
    except SettingsError:
        return
    for name, cell in cells.items():
        network = CellNetwork.of(name, cell.subnet)
        argv = firewall.remove(bridge=network.bridge, subnet=network.subnet, caddy_address=network.caddy_address)
        subprocess.run(argv, check=False, capture_output=True)  # noqa: S603 - our own argv
