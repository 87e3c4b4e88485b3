"""The Docker Engine of a cell, asked with the `docker` command: here, or on the cell's server through ssh.

The command and not Docker's SDK: over ssh the SDK takes none of ssh's options, and with them goes the host's key.
Everything is an argv list; for ssh, which hands one line to a shell, it is quoted.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from stacks.settings import Settings

ANSWER_SECONDS = 60
MOST_WORDS = 500
"""Characters of Docker's own words that a message repeats."""
PATIENCE = (
    *("-o", "BatchMode=yes"),
    *("-o", "ConnectTimeout=10"),
    *("-o", "ServerAliveInterval=15"),
    *("-o", "ServerAliveCountMax=4"),
)
"""Options of ssh: no question to anybody, and a server that falls silent is given up after a minute."""


class EngineError(Exception):
    """A cell's Engine can't be reached, or refuses; the message says what to do. To be tried again."""


@dataclass(frozen=True, kw_only=True)
class CellEngine:
    """A cell's Engine.

    Attributes:
        host: As Docker writes it: ``unix:///var/run/docker.sock``, ``ssh://markitup@192.0.2.1``.
        ssh_options: Options of ssh; they win over our own.
    """

    host: str
    ssh_options: Sequence[str] = ()

    @classmethod
    def of(cls, settings: Settings, cell: str, server_ipv4: str) -> CellEngine:
        """Return the Engine that the cell's stack is declared on.

        Args:
            settings: The environment's.
            cell: Its name.
            server_ipv4: Its server's address, from the platform; needed unless the settings name an Engine.
        """
        host = settings.cells[cell].docker_host or f"ssh://markitup@{server_ipv4}"
        return cls(host=host, ssh_options=tuple(settings.ssh_options))

    def argv(self, *arguments: str) -> list[str]:
        """Return the command that runs `docker` with these arguments."""
        url = urlsplit(self.host)
        if url.scheme != "ssh":
            return ["docker", "--host", self.host, *arguments]
        port = [] if url.port is None else ["-p", str(url.port)]
        user = [] if url.username is None else ["-l", url.username]
        command = shlex.join(["docker", *arguments])
        return ["ssh", *self.ssh_options, *PATIENCE, *port, *user, "--", str(url.hostname), command]

    def run(self, *arguments: str, seconds: float = ANSWER_SECONDS) -> str:
        """Run `docker` and return what it prints.

        Raises:
            EngineError: it fails, or does not end in time.
        """
        try:
            done = subprocess.run(
                self.argv(*arguments),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            raise EngineError(self.refusal(arguments[0], f"no answer within {seconds:g} s")) from None
        except OSError as error:
            raise EngineError(self.refusal(arguments[0], str(error))) from error
        if done.returncode != 0:
            raise EngineError(self.refusal(arguments[0], done.stderr))
        return done.stdout

    def refusal(self, command: str, words: str) -> str:
        """Return the message for a command that failed, with Docker's or ssh's own words."""
        return (
            f"the Docker Engine {self.host} did not do `docker {command}`: {words.strip().rstrip('.?')[-MOST_WORDS:]}."
            " Fix: see to it that the Engine runs and can be reached from here, then try again."
        )
