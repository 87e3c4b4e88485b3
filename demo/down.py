"""Takes the demo away: whatever carries its label, its processes, its files."""

from __future__ import annotations

import shutil
import subprocess

import docker
from docker.errors import DockerException
from platformdirs import user_cache_path

from demo import processes
from demo.database import give_back_database
from demo.places import DEMO, DEMO_JSON, ENVIRONMENT, LOCAL, SETTINGS
from demo.say import say
from host import firewall
from localcloud.images import remove_images
from scripts.context import read_variables
from stacks.names import CellNetwork, StackName
from stacks.settings import SettingsError, read_settings

STACK_LABEL = "markitup.stack"
TENANT_IMAGE = "markitup-tenant"


def take_down() -> None:
    """Remove all of it; may be run at any time and again."""
    for name in ("worker", "control-service", "local-cloud"):
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
    give_back_database(read_variables(ENVIRONMENT))
    if DEMO.exists():
        shutil.rmtree(DEMO)
        say(f"removed {DEMO}")
    DEMO_JSON.unlink(missing_ok=True)
    if LOCAL.exists() and not any(LOCAL.iterdir()):
        LOCAL.rmdir()
    say(
        "the demo is gone; kept as a cache: images, the built engine, the Docker Engine itself (`make clean` says more)"
    )


def remove_caches() -> None:
    """Remove images that were built here, and the cached engine."""
    try:
        client = docker.from_env(timeout=120)
        client.ping()
    except DockerException:
        say("no Docker Engine answers: its images stay")
    else:
        for image in client.images.list(name=TENANT_IMAGE):
            client.images.remove(image.id or "", force=True)
        say(f"removed {len(remove_images(client))} images")
    cache = user_cache_path("markitup-hosting")
    shutil.rmtree(cache, ignore_errors=True)
    say(f"removed {cache}")


def _remove_from_engine(client: docker.DockerClient) -> None:
    ours: dict[str, str | list[str] | bool] = {"label": STACK_LABEL}
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
        subprocess.run(argv, check=False, capture_output=True)
