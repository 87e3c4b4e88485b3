"""Real containers for the tests of the images, with names of their own and all gone at the end."""

from __future__ import annotations

import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from localcloud.build_context import build
from localcloud.images import ensure_tenant

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    import docker
    from docker.models.containers import Container
    from docker.models.networks import Network

SECRETS = {"JWT_SECRET": "j" * 40, "ENCRYPTION_KEY": "e" * 32}
HARDENED: dict[str, Any] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "tmpfs": {"/tmp": "", "/app/analytics": ""},
}
PASSWORD = "Abcdefg1"


@dataclass(frozen=True, kw_only=True)
class Instance:
    """A running container and how to talk to its app."""

    container: Container
    http: httpx.Client

    def post(self, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
        """Post a JSON object."""
        return self.http.post(path, json=body, headers=headers)

    def sign_up(self, name: str) -> httpx.Response:
        """Sign a user up; the session's cookie stays with this instance's client."""
        return self.post("/api/auth/signup", {"email": f"{name}@example.org", "password": PASSWORD, "name": name})

    def execute(self, *argv: str) -> str:
        """Run a command in the container; return its output, fail with it."""
        code, output = self.container.exec_run(list(argv))
        text = output.decode()
        assert code == 0, text
        return text

    def query(self, sql: str) -> str:
        """Ask the app's database through the command line in the image."""
        return self.execute("sqlite3", "-cmd", ".timeout 5000", "/app/markitup.db", sql).strip()

    def logged(self, text: str) -> bool:
        """Whether the container's log holds this text."""
        return text in self.container.logs().decode()

    def stop(self) -> float:
        """Stop the container; return the seconds that it took."""
        started = time.monotonic()
        self.container.stop(timeout=10)
        return time.monotonic() - started


def wait_for(what: str, condition: Callable[[], bool], *, seconds: float = 10) -> None:
    """Poll until the condition holds; fail with its name after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


class Yard:
    """Containers, volumes and images with names of their own, all gone when the stack closes."""

    def __init__(self, *, client: docker.DockerClient, network: Network, stack: ExitStack) -> None:
        """Work on this Engine and network; `stack` takes everything away."""
        self.client = client
        self.network = network
        self.stack = stack

    def volume(self) -> str:
        """Create a volume; return its name."""
        volume = self.client.volumes.create(f"test-{uuid.uuid4().hex[:12]}")
        self.stack.callback(volume.remove, force=True)
        return volume.name

    def image(self, dockerfile: str, base: str) -> str:
        """Build an image from one Dockerfile that takes BASE_IMAGE."""
        reference = f"hosting-test/{uuid.uuid4().hex[:12]}:1"
        folder = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="hosting-test-"))
        path = Path(folder) / "Dockerfile"
        path.write_text(dockerfile)
        build(self.client, reference, {"Dockerfile": path}, arguments={"BASE_IMAGE": base})
        self.stack.callback(self.client.images.remove, reference, force=True)
        return reference

    def tenant_of(self, base: str) -> str:
        """Derive the tenant image of an image of this test."""
        reference = ensure_tenant(self.client, base, lambda _: None)
        self.stack.callback(self.client.images.remove, reference, force=True)
        return reference

    def start(
        self,
        image: str,
        *,
        volume: str = "",
        environment: dict[str, str] | None = None,
        wait: bool = True,
        **options: Any,
    ) -> Instance:
        """Run a container on the test's network; wait until its app answers unless told not to."""
        container = self.create(
            image,
            environment=SECRETS if environment is None else environment,
            volumes=[f"{volume}:/app/data"] if volume else [],
            **options,
        )
        container.start()
        address = self.address(container)
        http = self.stack.enter_context(httpx.Client(base_url=f"http://{address}:3000", timeout=10))
        instance = Instance(container=container, http=http)
        if wait:
            wait_for("the app answers", lambda: answers(http))
        return instance

    def create(self, image: str, **options: Any) -> Container:
        """Create a container on the test's network without starting it."""
        name = f"test-{uuid.uuid4().hex[:12]}"
        container = self.client.containers.create(image, name=name, network=self.network.name, **options)
        self.stack.callback(container.remove, force=True, v=True)
        return container

    def address(self, container: Container) -> str:
        """Address of a started container on the test's network."""
        container.reload()
        return container.attrs["NetworkSettings"]["Networks"][self.network.name]["IPAddress"]

    def tenant(self, image: str, volume: str, *, users: str = "5", storage: str = "5120") -> Instance:
        """Start a hardened tenant and wait until its limits are in force."""
        environment = SECRETS | {"USER_LIMIT": users, "STORAGE_LIMIT": storage}
        instance = self.start(image, volume=volume, environment=environment, **HARDENED)
        wait_for("limits in force", lambda: instance.logged("limits in force"))
        return instance


def answers(http: httpx.Client) -> bool:
    """Whether the app answers at all."""
    try:
        return http.get("/api/health").status_code > 0
    except httpx.TransportError:
        return False
