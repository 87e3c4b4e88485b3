"""A Docker Engine for the demo: the one that runs, else installed and started."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from pathlib import Path

import docker
from docker.errors import DockerException

from demo.say import say

PACKAGES = ("docker.io", "iptables")
START_SECONDS = 30.0
LOG = Path("/var/log/dockerd-hosting.log")


class NoDockerError(Exception):
    """There is no Docker Engine and none could be installed; the message says what to do."""


def ensure_docker() -> docker.DockerClient:
    """Return a client of a running Engine.

    Raises:
        NoDockerError: there is none, and none can be installed or started here.
    """
    client = _connect()
    if client is not None:
        return client
    if os.geteuid() != 0:
        msg = "No Docker Engine answers, and only root can start one. Fix: start Docker (or run this as root)."
        raise NoDockerError(msg)
    if shutil.which("dockerd") is None or shutil.which("iptables") is None:
        _install()
    return _start()


def _connect() -> docker.DockerClient | None:
    try:
        client = docker.from_env(timeout=120)
        client.ping()
    except DockerException:
        return None
    return client


def _install() -> None:
    if platform.freedesktop_os_release().get("ID") not in {"debian", "ubuntu"}:
        msg = "There is no Docker Engine, and it is installed by itself on Debian and Ubuntu only. Fix: install Docker."
        raise NoDockerError(msg)
    say(f"no Docker Engine here: installing {', '.join(PACKAGES)} by apt (1-2 min)")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for argv in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES],
    ):
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            msg = f"{' '.join(argv)} failed, so there is no Docker Engine:\n{done.stderr[-2000:]}\nFix: install Docker."
            raise NoDockerError(msg)


def _start() -> docker.DockerClient:
    say("starting the Docker Engine")
    if Path("/run/systemd/system").is_dir():
        subprocess.run(["systemctl", "start", "docker"], check=False, capture_output=True)
        client = _wait(START_SECONDS)
        if client is not None:
            return client
    with LOG.open("ab") as log:  # a machine without systemd, such as a container
        subprocess.Popen(["dockerd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    client = _wait(START_SECONDS)
    if client is None:
        msg = f"dockerd did not start; {LOG} ends with:\n{LOG.read_text(errors='replace')[-2000:]}\nFix: start Docker."
        raise NoDockerError(msg)
    return client


def _wait(seconds: float) -> docker.DockerClient | None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        client = _connect()
        if client is not None:
            return client
        time.sleep(0.3)
    return None


if __name__ == "__main__":
    try:
        ensure_docker()
    except NoDockerError as error:
        raise SystemExit(str(error)) from None
