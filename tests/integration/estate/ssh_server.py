"""A real sshd on a port of its own, with keys that exist only as long as it runs."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 10.0
PRIVILEGE_SEPARATION = Path("/run/sshd")
"""The folder that sshd insists on; Debian makes it when the service starts."""


@dataclass(frozen=True, kw_only=True)
class SshServer:
    """Where it listens, what a client needs, and what it has written down.

    Attributes:
        docker_host: Its Docker Engine, as the ``docker_host`` of a cell.
        options: Options of ``ssh`` that name the key, the host key and a place for shared connections.
        log: sshd's log.
    """

    docker_host: str
    options: tuple[str, ...]
    log: Path

    def logins(self) -> int:
        """How many connections were let in."""
        return self.log.read_text().count("Accepted publickey for root")


@contextmanager
def ssh_server(folder: Path, address: str = "127.0.0.1") -> Iterator[SshServer]:
    """Run sshd for root; nobody without the key in this folder gets in."""
    folder.mkdir()
    for name in ("host", "client"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(folder / name)], check=True
        )
    with socket.create_server((address, 0)) as probe:
        port = probe.getsockname()[1]
    (folder / "authorized_keys").write_text((folder / "client.pub").read_text())
    (folder / "known_hosts").write_text(f"[{address}]:{port} {(folder / 'host.pub').read_text()}")
    configuration = folder / "sshd_config"
    configuration.write_text(
        f"Port {port}\nListenAddress {address}\nHostKey {folder}/host\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nPermitRootLogin prohibit-password\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxStartups 100\nMaxSessions 100\n"
    )
    made = not PRIVILEGE_SEPARATION.exists()
    PRIVILEGE_SEPARATION.mkdir(exist_ok=True)
    log = folder / "sshd.log"
    process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", str(configuration), "-E", str(log)])
    try:
        _wait(process, (address, port), log)
        options = [
            "-F",
            "none",
            "-i",
            f"{folder}/client",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "StrictHostKeyChecking=yes",
        ]
        options += ["-o", f"UserKnownHostsFile={folder}/known_hosts", "-o", f"ControlPath={folder}/%C"]
        yield SshServer(docker_host=f"ssh://root@{address}:{port}", options=tuple(options), log=log)
    finally:
        _end_shared_connections(folder)
        process.terminate()
        process.wait(START_SECONDS)
        if made:
            PRIVILEGE_SEPARATION.rmdir()


def _wait(process: subprocess.Popen[bytes], place: tuple[str, int], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(place, timeout=1).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    process.terminate()
    msg = f"sshd does not listen: {log.read_text()}"
    raise RuntimeError(msg)


def _end_shared_connections(folder: Path) -> None:
    """End the masters that ``ControlPersist`` keeps for the next command."""
    for path in folder.iterdir():
        if path.is_socket():
            argv = ["ssh", "-F", "none", "-o", f"ControlPath={path}", "-O", "exit", "127.0.0.1"]
            subprocess.run(argv, check=False, capture_output=True, timeout=START_SECONDS)
