"""Pull requests: one for each proposal's branch, however often it is asked for, by GitHub's real client."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import pytest
from pydantic import SecretStr

from registry.store import Proposal
from tests.webhook.github_api import NAME, TOKEN, GitHub, github
from webhook.pull_requests import GitHubPullRequests, PlainBranches, PullRequest, PullRequestError

BRANCH = "hosting/c-one-delete"
PROPOSAL = Proposal(branch=BRANCH, commit="1" * 40, is_new=True)


@pytest.fixture
def api() -> Generator[GitHub]:
    """GitHub, where the proposal's branch is pushed."""
    with github() as state:
        state.branches[BRANCH] = PROPOSAL.commit
        yield state


@pytest.fixture
def pulls(api: GitHub) -> GitHubPullRequests:
    """Its client."""
    return GitHubPullRequests(NAME, token=SecretStr(TOKEN), base="main", url=api.url)


def ask(pulls: GitHubPullRequests, proposal: Proposal = PROPOSAL, *, body: str = "**Data** goes.") -> PullRequest:
    """Open the proposal's pull request."""
    return pulls.open(proposal, title="Delete c-one", body=body)


def test_a_pull_request_is_opened(api: GitHub, pulls: GitHubPullRequests) -> None:
    """Of the branch, into the branch of the service, with title and body."""
    assert ask(pulls) == PullRequest(branch=BRANCH, where=f"https://github.com/{NAME}/pull/7", number=7)
    (made,) = api.pulls.values()
    assert (made["head"]["ref"], made["base"]["ref"]) == (BRANCH, "main")
    assert (made["title"], made["body"]) == ("Delete c-one", "**Data** goes.")


def test_it_is_one_however_often_it_is_asked_for(api: GitHub, pulls: GitHubPullRequests) -> None:
    """The second time nothing is written; a new text is put in its place."""
    assert ask(pulls) == ask(pulls)
    assert [each for each in api.requests if not each.startswith("GET")] == [f"POST /repos/{NAME}/pulls"]
    ask(pulls, body="Put right.")
    (made,) = api.pulls.values()
    assert made["body"] == "Put right."


def test_another_branch_has_its_own(api: GitHub, pulls: GitHubPullRequests) -> None:
    """The first one's is not taken for it."""
    ask(pulls)
    api.branches["hosting/c-two-plan"] = "2" * 40
    second = ask(pulls, replace(PROPOSAL, branch="hosting/c-two-plan", commit="2" * 40))
    assert second.number == 8


def test_what_a_person_refused_is_not_opened_again(api: GitHub, pulls: GitHubPullRequests) -> None:
    """Closed unmerged, it stays closed until something else is proposed."""
    ask(pulls)
    api.refuse(7)
    assert ask(pulls).is_refused
    assert len(api.pulls) == 1
    api.branches[BRANCH] = "3" * 40
    other = ask(pulls, replace(PROPOSAL, commit="3" * 40))
    assert (other.number, other.is_refused) == (8, False)


def test_after_a_merge_the_next_proposal_has_a_new_one(api: GitHub, pulls: GitHubPullRequests) -> None:
    """Merged is not refused."""
    ask(pulls)
    api.merge(7)
    assert ask(pulls).number == 8


def test_a_withdrawn_one_is_closed_with_the_reason(api: GitHub, pulls: GitHubPullRequests) -> None:
    """Once; where none is open, nothing is done."""
    pulls.close(BRANCH, reason="The customer paid.")
    ask(pulls)
    pulls.close(BRANCH, reason="The customer paid.")
    pulls.close(BRANCH, reason="The customer paid.")
    assert api.pulls[7]["state"] == "closed"
    assert api.comments == [(7, "The customer paid.")]


@pytest.mark.parametrize(
    ("status", "words"),
    [(502, f"GitHub answers 502 for {NAME}: Server Error"), (404, "Not Found. Fix: look at HOSTING_GITHUB_REPOSITORY")],
)
def test_an_error_is_for_the_caller_to_try_again(
    api: GitHub, pulls: GitHubPullRequests, status: int, words: str
) -> None:
    """At once and in words; the next try opens it."""
    api.answers.append(status)
    with pytest.raises(PullRequestError, match=words):
        ask(pulls)
    assert len(api.requests) == 1
    assert ask(pulls).number == 7


def test_a_branch_that_is_not_pushed_has_no_pull_request(api: GitHub, pulls: GitHubPullRequests) -> None:
    """GitHub's own reason is passed on."""
    api.branches[BRANCH] = api.branches["main"]
    with pytest.raises(
        PullRequestError, match=f"422 for {NAME}: Validation Failed; No commits between main and {BRANCH}"
    ):
        ask(pulls)


def test_a_wrong_token_is_not_repeated(api: GitHub) -> None:
    """Neither in the message nor in its cause."""
    pulls = GitHubPullRequests(NAME, token=SecretStr("ghp_mistaken"), base="main", url=api.url)
    with pytest.raises(PullRequestError, match=f"401 for {NAME}: Bad credentials. Fix: ") as caught:
        ask(pulls)
    assert "ghp_mistaken" not in f"{caught.value!r} {caught.value.__cause__!r} {vars(pulls)!r}"


def test_nobody_answers(api: GitHub) -> None:
    """A port where nothing listens is an error to be tried again as well."""
    pulls = GitHubPullRequests(NAME, token=SecretStr(TOKEN), base="main", url="http://127.0.0.1:9/api/v3")
    with pytest.raises(PullRequestError, match="GitHub does not answer: ConnectionError"):
        pulls.close(BRANCH, reason="")
    assert api.requests == []


def test_without_github_a_branch_is_all() -> None:
    """It says what merges it; to close it is nothing."""
    plain = PlainBranches()
    assert plain.open(PROPOSAL, title="", body="") == PullRequest(branch=BRANCH, where=f"git merge {BRANCH}")
    plain.close(BRANCH, reason="")
