"""The wire to a git remote: fetch and push one branch, with a time-out and a hidden token, never by force."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

REMOTE_SECONDS = 10.0
PAUSE_SECONDS = 30.0
"""How long edits do not try a remote again that was away, so that they do not all wait for it."""
ABSENT = 2
"""What ``git ls-remote --exit-code`` says where the remote answers and has no such branch."""
INCOMING = "refs/hosting/incoming/"
"""Where a clone keeps what the remote had."""
PROPOSALS = "hosting/"
"""Beginning of the branches that people are asked to merge."""
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class RemoteError(Exception):
    """The remote is away, or declined something; the message is git's. To be tried again."""


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A git remote.

    Attributes:
        address: Its name in the clone, or its URL (without a password).
        token: For an https address; given to git in its environment, so that it is in no URL, file or argument.
        seconds: How long a fetch or a push may take.
    """

    address: str
    token: SecretStr | None = field(default=None, repr=False)
    seconds: float = REMOTE_SECONDS


class Wire:
    """Talks to a remote from one clone. What the remote had is kept under ``INCOMING``."""

    def __init__(self, remote: Remote) -> None:
        self.address = remote.address
        self._remote = remote
        self._away_until = 0.0

    @property
    def rests(self) -> bool:
        """Whether the remote was away a moment ago."""
        return time.monotonic() < self._away_until

    def fetch(self, clone: Path, branch: str) -> str | None:
        """Return the commit that the remote's branch is at, its objects fetched; None where there is no such branch.

        The proposals' branches come along, so that what another machine proposed is known here.

        Raises:
            RemoteError: the remote is away.
        """
        ref = f"{INCOMING}{branch}"
        options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--prune")
        refspecs = (f"+refs/heads/{branch}:{ref}", f"+refs/heads/{PROPOSALS}*:{INCOMING}{PROPOSALS}*")
        status, said = self._git(clone, "fetch", *options, "--", self.address, *refspecs)
        if status > 0 and self._is_absent(clone, branch):
            _run(clone, {}, self._remote.seconds, "update-ref", "-d", ref)
            return None
        self._away_until = 0.0 if status == 0 else time.monotonic() + PAUSE_SECONDS
        if status != 0:
            raise RemoteError(f"{self.address} can't be reached: {said}")
        return _run(clone, {}, self._remote.seconds, "rev-parse", ref)[1]

    def push(self, clone: Path, commit: str, branch: str) -> None:
        """Move the remote's branch forward to a commit; git refuses where that would drop anybody's.

        Raises:
            RemoteError: the remote is away, has moved, or declines.
        """
        refspec = f"{commit}:refs/heads/{branch}"
        status, said = self._git(clone, "push", "--quiet", "--no-verify", "--", self.address, refspec)
        if status != 0:
            raise RemoteError(f"{self.address} did not take {branch}: {said}")

    def drop(self, clone: Path, commit: str, branch: str) -> None:
        """Delete the remote's branch if it is still at a commit.

        Raises:
            RemoteError: the remote is away, has moved, or declines.
        """
        lease = f"--force-with-lease=refs/heads/{branch}:{commit}"  # for a deletion a condition; it forces nothing
        options = ("--quiet", "--no-verify", lease)
        status, said = self._git(clone, "push", *options, "--", self.address, f":refs/heads/{branch}")
        if status != 0:
            raise RemoteError(f"{self.address} did not delete {branch}: {said}")

    def _is_absent(self, clone: Path, branch: str) -> bool:
        options = ("--exit-code", "--quiet", "--heads")
        return self._git(clone, "ls-remote", *options, "--", self.address, f"refs/heads/{branch}")[0] == ABSENT

    def _git(self, clone: Path, *argv: str) -> tuple[int, str]:
        return _run(clone, self._variables(clone), self._remote.seconds, *argv)

    def _variables(self, clone: Path) -> dict[str, str]:
        """Return what keeps git from asking a person, and the token's header for the remote's own host."""
        variables = {"GIT_TERMINAL_PROMPT": "0"}
        if "GIT_SSH_COMMAND" not in os.environ:
            variables["GIT_SSH_COMMAND"] = "ssh -o BatchMode=yes -o ConnectTimeout=5"
        if self._remote.token is None:
            return variables
        status, url = _run(clone, {}, self._remote.seconds, "remote", "get-url", "--", self.address)
        parts = urlsplit(url if status == 0 else self.address)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
            return variables
        basic = base64.b64encode(f"x-access-token:{self._remote.token.get_secret_value()}".encode()).decode()
        return variables | {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{parts.scheme}://{parts.netloc.rpartition('@')[2]}/.extraheader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
        }


def _run(clone: Path, variables: dict[str, str], seconds: float, *argv: str) -> tuple[int, str]:
    """Return git's status and what it said, on one line.

    Not by GitPython: its time-out kills git alone, and then waits for the helper of git's that holds the connection.
    """
    environment = os.environ | variables | {"LC_ALL": "C", "LANGUAGE": "C"}
    with subprocess.Popen(
        ["git", *argv],
        cwd=clone,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            said = process.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)  # git takes its lock files away with it
            said = f"no answer in {seconds:g} s"
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            raise
    return process.returncode, " ".join(said.split()) or f"git ended with {process.returncode}"
