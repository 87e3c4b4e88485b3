"""The workflow that reviews and applies: its permissions, and each of its scripts run for real with GitHub stood in."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from git import Actor, Repo

from scripts.review_markdown import MARKER

WORKFLOW = Path(__file__).parents[2] / ".github" / "workflows" / "registry.yaml"
AUTHOR = Actor("test", "test@localhost")

# Notes what it is called with, and answers what a file beside it says.
RECORDER = """\
#!/bin/sh
printf '%s\\n' "$*" >>"$0.calls"
if [ -e "$0.answer" ]; then cat "$0.answer"; fi
if [ -e "$0.code" ]; then exit "$(cat "$0.code")"; fi
"""


def workflow() -> dict[str, Any]:
    """Return the workflow."""
    return yaml.safe_load(WORKFLOW.read_text())


def script(job: str, step: str) -> str:
    """Return a step's script."""
    (found,) = [each["run"] for each in workflow()["jobs"][job]["steps"] if each.get("name") == step]
    return found


class Runner:
    """Runs a step's script in a folder, with stand-ins for what it calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / ".venv" / "bin").mkdir(parents=True)
        (folder / "scripts").mkdir()
        for name in ("gh", ".venv/bin/hosting", "scripts/ssh-key.sh"):
            path = folder / name
            path.write_text(RECORDER)
            path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def answer(self, name: str, text: str, *, code: int = 0) -> None:
        """Choose what a stand-in says."""
        (self.folder / f"{name}.answer").write_text(text)
        (self.folder / f"{name}.code").write_text(str(code))

    def calls(self, name: str) -> list[str]:
        """Return what a stand-in was called with."""
        path = self.folder / f"{name}.calls"
        return path.read_text().splitlines() if path.exists() else []

    def run(self, job: str, step: str, variables: Mapping[str, str] | None = None) -> int:
        """Run a step as GitHub does: `bash -e` and the step's variables."""
        environment = {
            "PATH": f"{self.folder}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "RUNNER_TEMP": str(self.folder),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
            "GITHUB_ENV": str(self.folder / "variables"),
            "REPOSITORY": "company/hosting",
            **(variables or {}),
        }
        argv = ["bash", "-e", "-c", script(job, step)]
        return subprocess.run(argv, cwd=self.folder, env=environment, check=False).returncode

    def text(self, name: str) -> str:
        """Return what a script wrote into a file."""
        return (self.folder / name).read_text()


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """A machine that workflows run on."""
    return Runner(tmp_path)


def test_permissions_are_the_least() -> None:
    """None for the whole; each job has what its steps need, and only the review writes, comments alone."""
    found = workflow()
    assert found["permissions"] == {}
    assert {name: job["permissions"] for name, job in found["jobs"].items()} == {
        "review": {"contents": "read", "pull-requests": "write"},
        "apply": {"actions": "read", "contents": "read"},
    }
    for job in found["jobs"].values():
        (checkout,) = [each for each in job["steps"] if each.get("uses", "").startswith("actions/checkout")]
        assert checkout["with"]["persist-credentials"] is False


def test_no_value_is_pasted_into_a_script() -> None:
    """Whatever a title, branch or name holds: scripts get values through their environment."""
    for job in workflow()["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")


def test_updates_wait_for_each_other() -> None:
    """One applying run at a time, never ended in the middle; of a pull request only the newest review matters."""
    jobs = workflow()["jobs"]
    assert jobs["apply"]["concurrency"] == {"group": "registry-apply", "cancel-in-progress": False}
    assert jobs["review"]["concurrency"]["cancel-in-progress"] is True


@pytest.mark.parametrize("code", [0, 1, 2])
def test_the_review_decides_the_check(runner: Runner, code: int) -> None:
    """The command's exit code is the check's, and what it prints is shown either way; without secrets no preview."""
    runner.answer(".venv/bin/hosting", "the review\n", code=code)
    assert runner.run("review", "Review", {"PULUMI_BACKEND_URL": ""}) == code
    assert runner.calls(".venv/bin/hosting") == ["review HEAD^1..HEAD --no-preview"]
    assert runner.text("review.md") == runner.text("summary") == "the review\n"
    assert runner.calls("scripts/ssh-key.sh") == []


def test_secrets_bring_a_preview(runner: Runner) -> None:
    """Where the state can be reached."""
    assert runner.run("review", "Review", {"PULUMI_BACKEND_URL": "s3://state"}) == 0
    assert runner.calls(".venv/bin/hosting") == ["review HEAD^1..HEAD --preview"]
    assert len(runner.calls("scripts/ssh-key.sh")) == 1


def test_one_comment_is_kept_up_to_date(runner: Runner) -> None:
    """Made the first time, then changed; only the bot's own, found by the marker that each review begins with."""
    (runner.folder / "review.md").write_text("the review\n")
    assert runner.run("review", "Comment", {"NUMBER": "7"}) == 0
    looked, made = runner.calls("gh")
    assert f'startswith("{MARKER}")' in looked
    assert '.user.login == "github-actions[bot]"' in looked
    body = f"-F body=@{runner.folder}/review.md"
    assert made == f"api --silent --method POST repos/company/hosting/issues/7/comments {body}"
    runner.answer("gh", "41\n42\n")
    assert runner.run("review", "Comment", {"NUMBER": "7"}) == 0
    assert runner.calls("gh")[3] == f"api --silent --method PATCH repos/company/hosting/issues/comments/41 {body}"


def test_no_review_no_comment(runner: Runner) -> None:
    """A review that could not even begin leaves the earlier comment alone."""
    (runner.folder / "review.md").write_text("")
    assert runner.run("review", "Comment", {"NUMBER": "7"}) == 0
    assert runner.calls("gh") == []


def test_apply_begins_where_the_last_success_ended(runner: Runner) -> None:
    """So that a failed or superseded run is made good; where history was rewritten the push itself is the range."""
    with Repo.init(runner.folder) as repo:
        first, second = (str(repo.index.commit(name, author=AUTHOR, committer=AUTHOR)) for name in ("one", "two"))
    for answer, expected in ((first, first), ("", second), ("0" * 39 + "1", second)):
        runner.answer("gh", f"{answer}\n")
        (runner.folder / "variables").unlink(missing_ok=True)
        assert runner.run("apply", "Find what was applied last", {"BEFORE": second}) == 0
        assert runner.text("variables") == f"BASE={expected}\n"


def test_apply_updates_what_changed(runner: Runner) -> None:
    """Without the state's address it fails and says so: nobody shall take a merged change for an applied one."""
    assert runner.run("apply", "Apply", {"PULUMI_BACKEND_URL": "", "BASE": "abc"}) == 1
    assert runner.calls(".venv/bin/hosting") == []
    assert runner.run("apply", "Apply", {"PULUMI_BACKEND_URL": "s3://state", "BASE": "abc"}) == 0
    assert runner.calls(".venv/bin/hosting") == ["up --changed abc..HEAD"]


def test_the_key_is_for_ssh_alone(tmp_path: Path) -> None:
    """Nobody else on the machine can read it; without one nothing is written."""
    argv = ["sh", str(WORKFLOW.parents[2] / "scripts" / "ssh-key.sh")]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    subprocess.run(argv, env=environment, check=True)
    assert list(tmp_path.iterdir()) == []
    subprocess.run(argv, env={**environment, "SSH_KEY": "a key", "SSH_KNOWN_HOSTS": "a host"}, check=True)
    key, hosts = tmp_path / ".ssh" / "id_ed25519", tmp_path / ".ssh" / "known_hosts"
    assert (key.read_text(), hosts.read_text()) == ("a key\n", "a host\n")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
