"""Where people agree to proposals: a pull request at GitHub for each branch, or the branch alone.

For the worker only: the web process does not need GitHub's client.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from github import Auth, Github, GithubException
from github.Consts import DEFAULT_BASE_URL
from github.PullRequest import PullRequest as GitHubsPullRequest
from pydantic import SecretStr
from requests import RequestException

from registry.store import Proposal

SECONDS = 15
_RIGHTS = frozenset({401, 403, 404})
"""What GitHub answers to a token that may not: of a private repository, that it is not there."""


class PullRequestError(Exception):
    """The service that keeps pull requests is away or declines; to be tried again."""


@dataclass(frozen=True, kw_only=True)
class PullRequest:
    """Where a proposal waits for a person.

    Attributes:
        branch: Its branch.
        where: Its address for people, or the command that merges it.
        number: GitHub's; None for a plain branch.
        is_refused: Whether a person closed it unmerged, at the very commit that is proposed: it is not opened again.
    """

    branch: str
    where: str
    number: int | None = None
    is_refused: bool = False


class PullRequests(Protocol):
    """Opens and closes pull requests; each may be asked for again and again."""

    def open(self, proposal: Proposal, *, title: str, body: str) -> PullRequest:
        """Return the proposal's pull request, opened where there is none, brought up to date where there is.

        Args:
            proposal: Its branch is on the remote already (``is_pushed``).
            title: One line.
            body: Markdown.

        Raises:
            PullRequestError: to be tried again.
        """
        ...

    def close(self, branch: str, *, reason: str) -> None:
        """Close the branch's pull request, if one is open, with a comment. Before the branch is withdrawn.

        Raises:
            PullRequestError: to be tried again.
        """
        ...


class PlainBranches:
    """No pull requests: a reviewer merges the branch with git."""

    def open(self, proposal: Proposal, *, title: str, body: str) -> PullRequest:
        """Return where the branch is."""
        del title, body  # the commit says it
        return PullRequest(branch=proposal.branch, where=f"git merge {proposal.branch}")

    def close(self, branch: str, *, reason: str) -> None:
        """Do nothing: the branch is withdrawn by the store."""


class GitHubPullRequests:
    """Pull requests of one repository at GitHub.

    Args:
        repository: ``owner/name``.
        token: With the rights to read contents and write pull requests.
        base: Branch that proposals are merged into.
        url: API of a GitHub Enterprise Server; None for GitHub's own.
    """

    def __init__(self, repository: str, *, token: SecretStr, base: str, url: str | None = None) -> None:
        client = Github(
            auth=Auth.Token(token.get_secret_value()),
            base_url=(url or DEFAULT_BASE_URL).rstrip("/"),
            timeout=SECONDS,
            lazy=True,  # a repository that is only named is not asked for
            retry=None,  # the caller's work is durable: it tries again, and later than a client would
        )
        self._name = repository
        self._owner = repository.partition("/")[0]
        self._repository = client.get_repo(repository)
        self._base = base

    def open(self, proposal: Proposal, *, title: str, body: str) -> PullRequest:
        """Return the proposal's pull request, opened where there is none, brought up to date where there is."""
        with self._explained(f"the pull request of {proposal.branch} could not be opened"):
            for each in self._of(proposal.branch, "all"):
                if each.state == "open":
                    if (each.title, each.body) != (title, body):
                        each.edit(title=title, body=body)
                    return _seen(proposal.branch, each)
                if each.merged_at is None and each.head.sha == proposal.commit:
                    return _seen(proposal.branch, each, is_refused=True)
            made = self._repository.create_pull(self._base, proposal.branch, title=title, body=body)
            return _seen(proposal.branch, made)

    def close(self, branch: str, *, reason: str) -> None:
        """Close the branch's pull request, if one is open, with a comment."""
        with self._explained(f"the pull request of {branch} could not be closed"):
            for each in self._of(branch, "open"):
                each.edit(state="closed")  # first: what is closed is not found, and commented on, again
                each.create_issue_comment(reason)

    def _of(self, branch: str, state: str) -> list[GitHubsPullRequest]:
        """Return a branch's pull requests, newest first."""
        found = self._repository.get_pulls(
            state=state, head=f"{self._owner}:{branch}", base=self._base, sort="created", direction="desc"
        )
        return [*found]

    @contextmanager
    def _explained(self, what: str) -> Generator[None]:
        try:
            yield
        except GithubException as error:
            text = f"{what}: GitHub answers {error.status} for {self._name}: {_words(error)}"
            if error.status in _RIGHTS:
                text += ". Fix: look at HOSTING_GITHUB_REPOSITORY, and whether HOSTING_GITHUB_TOKEN may write there"
            raise PullRequestError(text) from error
        except RequestException as error:
            raise PullRequestError(f"{what}: GitHub does not answer: {type(error).__name__}") from error


def _seen(branch: str, found: GitHubsPullRequest, *, is_refused: bool = False) -> PullRequest:
    return PullRequest(branch=branch, where=found.html_url, number=found.number, is_refused=is_refused)


def _words(error: GithubException) -> str:
    data = error.data if isinstance(error.data, dict) else {}
    parts = [data, *(each for each in data.get("errors") or [] if isinstance(each, dict))]
    return "; ".join(str(each["message"]) for each in parts if each.get("message"))
