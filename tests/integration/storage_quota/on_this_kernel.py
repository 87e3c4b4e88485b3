"""Storage limits of volumes: the servers' own scripts, a real ext4, a real Docker Engine, writes as the app's user.

Not collected by itself: test_storage_quota.py runs it on a kernel with project quotas.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

import pytest

FILES = Path(__file__).parents[3] / "host" / "files"
UID = 1001
HEADROOM_MIB = 64
INODES_PER_MIB = 64


def run(*argv: str | Path, env: Mapping[str, str] | None = None) -> str:
    """Run a command; fail with what it said; return both of its outputs."""
    environment = {**os.environ, **(env or {})}
    done = subprocess.run(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=environment
    )
    assert done.returncode == 0, f"{argv}: {done.stdout}"
    return done.stdout


def mount_options() -> str:
    """Return the options with which a server mounts the volumes' file system."""
    unit = ConfigParser(interpolation=None)
    unit.read(FILES / "var-lib-docker-volumes.mount")
    return unit["Mount"]["Options"]


@dataclass(kw_only=True)
class Server:
    """A Docker Engine whose volumes are on a file system that `volumes-image` made."""

    folder: Path
    engine: subprocess.Popen[bytes] | None = None

    @property
    def image(self) -> Path:
        return self.folder / "volumes.ext4"

    @property
    def volumes(self) -> Path:
        return self.folder / "docker" / "volumes"

    @property
    def environment(self) -> Mapping[str, str]:
        return {
            "DOCKER_HOST": f"unix://{self.folder / 'docker.sock'}",
            "STORAGE_QUOTA_STATE": str(self.folder / "state"),
        }

    def boot(self) -> None:
        """Do in order what the server's units do: image, mount, Docker."""
        free_mib = shutil.disk_usage(self.folder).free // 1024**2
        run(FILES / "volumes-image", self.image, str(max(1, 700 * 100 // free_mib)))
        self.volumes.mkdir(parents=True, exist_ok=True)
        run("mount", "-o", mount_options(), self.image, self.volumes)
        log = self.folder / "dockerd.log"
        with log.open("ab") as output:
            self.engine = subprocess.Popen(
                ["dockerd", "--data-root", self.folder / "docker", "--exec-root", self.folder / "exec",
                 "--pidfile", self.folder / "pid", "--host", self.environment["DOCKER_HOST"],
                 "--storage-driver=vfs", "--bridge=none", "--iptables=false"],
                stdout=output, stderr=output,
            )  # fmt: skip
        deadline = time.monotonic() + 120
        environment = {**os.environ, **self.environment}
        while subprocess.run(["docker", "version"], capture_output=True, check=False, env=environment).returncode:
            assert time.monotonic() < deadline, log.read_text()
            assert self.engine.poll() is None, log.read_text()
            time.sleep(0.5)

    def shut_down(self) -> None:
        """Stop Docker and take the file system away."""
        if self.engine is not None:
            self.engine.terminate()
            self.engine.wait()
        run("umount", self.volumes)

    def apply(self) -> str:
        """Run `storage-quota`; return what it said."""
        return run(FILES / "storage-quota", self.volumes, env=self.environment)

    def docker(self, *argv: str) -> str:
        return run("docker", *argv, env=self.environment).strip()

    def volume(self, name: str, *labels: str) -> Path:
        """Make a volume as the app finds it; return its folder."""
        self.docker("volume", "create", *(f"--label={label}" for label in labels), name)
        folder = self.volumes / name / "_data"
        os.chown(folder, UID, UID)
        return folder

    def container(self, volume: str, customer: str, limit_mib: int | str) -> str:
        """Create a container that uses a volume, in the shape that components/customer.py declares."""
        labels = (f"markitup.customer={customer}", f"markitup.storage-limit-mib={limit_mib}")
        return self.docker(
            "create", *(f"--label={label}" for label in labels), "-v", f"{volume}:/app/data", "empty:1", "app"
        )

    def customer(self, name: str, limit_mib: int) -> Path:
        """Make a customer's volume and container."""
        folder = self.volume(f"vol-{name}", f"markitup.customer={name}")
        self.container(f"vol-{name}", name, limit_mib)
        return folder


def write(folder: Path, mib: int, name: str = "file") -> str:
    """Write a file as the app's user, for root obeys no quota; return the system's complaint, or nothing."""
    done = subprocess.run(
        ["dd", "if=/dev/zero", f"of={name}", "bs=1M", f"count={mib}"],
        cwd=folder, user=UID, group=UID, extra_groups=[], capture_output=True, text=True, check=False,
    )  # fmt: skip
    return "" if done.returncode == 0 else done.stderr


def used_mib(folder: Path) -> int:
    return int(run("du", "-sm", folder).split()[0])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An Engine of the test's own, so that this machine's is left alone."""
    folder = tmp_path_factory.mktemp("server")
    result = Server(folder=folder)
    try:
        result.boot()
        run("tar", "-cf", folder / "empty.tar", "-T", "/dev/null")
        result.docker("import", str(folder / "empty.tar"), "empty:1")
        yield result
    finally:
        result.shut_down()


def test_docker_sees_no_volume_on_a_new_file_system(server: Server) -> None:
    """No lost+found: Docker would offer it as a volume, and a clean-up would try to delete it."""
    assert server.docker("volume", "ls", "--filter", "name=lost", "--quiet") == ""


def test_the_file_is_not_sparse(server: Server) -> None:
    """All its blocks are reserved: what customers were promised can't be used up by logs or images."""
    stat = server.image.stat()
    assert stat.st_blocks * 512 >= stat.st_size


def test_beyond_the_limit_writing_fails_and_a_neighbour_goes_on(server: Server) -> None:
    """The app's user gets as far as limit and headroom; another customer doesn't notice."""
    full, neighbour = server.customer("full", 8), server.customer("neighbour", 60)
    server.apply()
    assert "Disk quota exceeded" in write(full, 200)
    assert 8 < used_mib(full) <= 8 + HEADROOM_MIB
    assert write(neighbour, 100) == ""
    assert "Disk quota exceeded" in write(full, 1, "more")
    for folder in (full, neighbour):
        (folder / "file").unlink()
    assert write(full, 10) == ""


def test_what_was_there_before_counts(server: Server) -> None:
    """A volume that is filled before the first run (a restore) has its files counted, those in folders too."""
    folder = server.customer("restored", 10)
    (folder / "markdown").mkdir()
    os.chown(folder / "markdown", UID, UID)
    assert write(folder / "markdown", 100) == ""
    (folder / "link").symlink_to("/etc/hostname")
    server.apply()
    assert "Disk quota exceeded" in write(folder / "markdown", 1, "more")


def test_another_plan_is_another_limit(server: Server) -> None:
    """The newest container's label counts, while the old one is still there and afterwards."""
    folder = server.customer("grows", 5)
    server.apply()
    assert "Disk quota exceeded" in write(folder, 100)
    server.container("vol-grows", "grows", 50)
    server.apply()
    assert write(folder, 100) == ""
    server.container("vol-grows", "grows", 5)
    server.apply()
    assert "Disk quota exceeded" in write(folder, 1, "more")
    (folder / "file").unlink()


def test_a_limit_holds_without_a_container_and_over_a_reboot(server: Server) -> None:
    """A suspended customer has no container; and nothing is kept outside of the file system."""
    folder = server.volume("vol-suspended", "markitup.customer=suspended")
    container = server.container("vol-suspended", "suspended", 5)
    server.apply()
    server.docker("rm", container)
    server.apply()
    server.shut_down()
    server.boot()
    assert "Disk quota exceeded" in write(folder, 100)
    (folder / "file").unlink()


def test_only_customers_volumes_are_limited(server: Server) -> None:
    """A volume without a label, one of another customer and a limit that is no number: nothing is touched."""
    unlabelled, foreign = server.volume("caddy"), server.volume("vol-b", "markitup.customer=b")
    odd = server.volume("vol-odd", "markitup.customer=odd")
    server.container("caddy", "a", 1)
    server.container("vol-b", "a", 1)
    server.container("vol-odd", "odd", "5; reboot")
    assert 'limit "5;" is not' not in server.apply()
    for folder in (unlabelled, foreign, odd):
        assert run("lsattr", "-p", "-d", folder).split()[0] == "0"
        assert write(folder, 70) == ""
        (folder / "file").unlink()


def test_each_customer_has_a_project_and_a_second_run_says_nothing(server: Server) -> None:
    """Numbers are given once: never two customers under one, never another one for the same."""
    folders = [server.customer(f"p{number}", 5) for number in range(3)]
    said = server.apply()
    assert all(f"vol-p{number} (p{number}): project " in said for number in range(3))
    projects = [run("lsattr", "-p", "-d", folder).split()[0] for folder in folders]
    assert len({*projects, "0"}) == 4
    assert server.apply() == ""
    assert [run("lsattr", "-p", "-d", folder).split()[0] for folder in folders] == projects


def test_files_are_limited_in_number_too(server: Server) -> None:
    """Nobody takes all inodes of the file system with empty files."""
    folder = server.customer("many", 1)
    server.apply()
    done = subprocess.run(
        ["sh", "-c", "i=0; while [ $i -lt 100 ]; do : >$i || exit 1; i=$((i + 1)); done"],
        cwd=folder, user=UID, group=UID, extra_groups=[], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Disk quota exceeded" in done.stderr
    # The folder itself is one.
    assert len(list(folder.iterdir())) == INODES_PER_MIB - 1


def test_holes_are_filled_at_the_next_boot(tmp_path: Path) -> None:
    """What became sparse has its blocks again, and the data in it stays."""
    image = tmp_path / "volumes.ext4"
    image.write_bytes(b"x" * 8 * 1024 * 1024)
    run("fallocate", "--punch-hole", "--offset", "0", "--length", "4MiB", image)
    assert image.stat().st_blocks * 512 < image.stat().st_size
    run(FILES / "volumes-image", image, "1")
    assert image.stat().st_blocks * 512 >= image.stat().st_size == 8 * 1024 * 1024
    assert image.read_bytes() == bytes(4 * 1024 * 1024) + b"x" * 4 * 1024 * 1024


def test_without_support_it_says_so_once_and_ends_well(tmp_path: Path) -> None:
    """On a file system without project quotas: one message, not one a minute; and no error."""
    folder = tmp_path / "volumes"
    folder.mkdir()
    environment = {"STORAGE_QUOTA_STATE": str(tmp_path / "state")}
    first = run(FILES / "storage-quota", folder, env=environment)
    assert "NOT enforced" in first
    assert first.count("\n") == 1
    assert run(FILES / "storage-quota", folder, env=environment) == ""
