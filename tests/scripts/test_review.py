"""`hosting review` and `hosting up --changed` on a real git repository, the registry's own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from git import Actor, Repo

from scripts import cli, context
from scripts.context import Context
from webhook.deploy import StackResult
from webhook.update_log import OPERATIONS

REGISTRY = """\
customers:
  c-acme0001:
    subdomain: acme
    plan: team
    status: active
    cell: eu-1
  c-birch002:
    subdomain: birch
    plan: personal
    status: suspended
    cell: eu-1
  c-cedar003:
    subdomain: cedar
    plan: pro
    status: active
    cell: us-1
"""
CEDAR = REGISTRY[REGISTRY.index("  c-cedar003") :]
CELL = {"location": "nbg1", "server_types": ["cx43"]}
SETTINGS = {
    "hosting:image": "example.org/markitup:1",
    "hosting:proxy_image": "example.org/caddy:1",
    "hosting:control_url": "http://10.0.0.2:8300",
    "hosting:zone_id": "0" * 32,
    "hosting:ssh_public_keys": ["ssh-ed25519 AAAA operator"],
    "hosting:registry": "registry/files/customers.yaml",
    "hosting:cells": {
        "eu-1": {**CELL, "region": "eu"},
        "us-1": {**CELL, "region": "us", "location": "ash", "subnet": "172.30.1.0/24"},
    },
}
AUTHOR = Actor("test", "test@localhost")

Hosting = Callable[..., tuple[int, str, str]]
Commit = Callable[[str | bytes | None], str]


class Engine:
    """Stands where the engine would be driven from, and remembers what was asked of it."""

    def __init__(self) -> None:
        self.updated: list[tuple[list[str], bool]] = []
        self.previewed: list[tuple[list[str], str]] = []
        self.error: str | None = None
        self.missing: Exception | None = None

    def refuse_lost_customers(self, registry: object, *, confirmed: int) -> None:
        """Refuse nothing."""

    def up(self, cells: list[str], *, platform: bool, confirmed_removals: int, commit: str | None) -> list[StackResult]:
        """Remember what was updated, as of the newest commit."""
        assert commit
        self.updated.append((cells, platform))
        return [self._result(name) for name in cells]

    def preview(self, cells: list[str], *, platform: bool, registry: Path) -> list[StackResult]:
        """Remember what was previewed, with which registry."""
        assert not platform
        self.previewed.append((cells, registry.read_text()))
        return [self._result(name) for name in cells]

    def _result(self, name: str) -> StackResult:
        changes = {**dict.fromkeys(OPERATIONS, 0), "create": 2, "same": 9}
        return StackResult(name=f"prod-{name}", changes=changes, seconds=1.0, error=self.error)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project whose registry is in a folder of a git repository of its own; return that repository."""
    (tmp_path / "Pulumi.prod.yaml").write_text(yaml.safe_dump({"config": SETTINGS}))
    monkeypatch.setattr(context, "PROJECT", tmp_path)
    for name in ("HOSTING_ENVIRONMENT", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "registry"
    (folder / "files").mkdir(parents=True)
    with Repo.init(folder):
        return folder


@pytest.fixture
def commit(repository: Path) -> Commit:
    """Return a way to commit the registry's content (None: without the file) and get the commit's id."""

    def run(content: str | bytes | None) -> str:
        path = repository / "files" / "customers.yaml"
        with Repo(repository) as repo:
            if content is None:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
            repo.git.add("--all")
            return str(repo.index.commit("A change", author=AUTHOR, committer=AUTHOR).hexsha)

    return run


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Stand in for the engine, which has tests of its own."""
    stub = Engine()

    def deployer(_context: Context, _say: object) -> Engine:
        if stub.missing is not None:
            raise stub.missing
        return stub

    monkeypatch.setattr(Context, "deployer", deployer)
    return stub


@pytest.fixture
def hosting(
    repository: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Hosting:
    """Return a way to run the command: exit code, standard output, standard error."""

    def run(*argv: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hosting", *argv])
        code: object = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        return (code if isinstance(code, int) else 0), out, err

    return run


def test_a_change_is_told_in_business_terms(hosting: Hosting, commit: Commit, engine: Engine, repository: Path) -> None:
    """Who, what, money, cells, the engine's counts and why a person decides; of HEAD, not of the working tree."""
    base = commit(REGISTRY)
    moved = REGISTRY.replace("plan: team", "plan: pro").replace("cell: us-1", "cell: eu-1")
    head = commit(moved)
    (repository / "files" / "customers.yaml").write_text("an edit that is not committed\n")
    code, out, _ = hosting("review", f"{base}..{head}")
    assert code == 0
    lines = out.splitlines()
    assert lines[:2] == ["<!-- hosting-review -->", "### Registry: a person decides"]
    assert f"`{base[:10]}` → `{head[:10]}`" in out
    assert "customers: 1 moved, 1 changed · MRR $99.98 → $159.98 (+$60.00) · cells: 2" in out
    assert "**Why a person decides:** move: " in out
    (row,) = [line for line in lines if line.startswith("| `acme`")]
    assert "`plan team → pro`" in row
    assert "+$60.00" in row
    assert row.endswith("| direct: upgrade |")
    (cell,) = [line for line in lines if line.startswith("| `eu-1`")]
    assert "2 → 3 of 50" in cell
    assert "1,536 → 4,608 of 44,544" in cell
    assert cell.endswith("| 2 create |")
    assert engine.previewed == [(["eu-1", "us-1"], moved)]
    assert engine.updated == []


def test_the_same_as_data(hosting: Hosting, commit: Commit) -> None:
    """Everything that people see, for programs."""
    base, head = commit(REGISTRY), commit(REGISTRY.replace("status: suspended", "status: active"))
    code, out, _ = hosting("review", base, "--json")
    data = json.loads(out)
    assert code == 0
    assert (data["base"], data["head"], data["file"]) == (base, head, "files/customers.yaml")
    assert (data["sound"], data["problems"], data["cautions"], data["no_preview"]) == (True, [], [], None)
    assert data["risk"]["level"] == "direct"
    assert {group: [each["id"] for each in found] for group, found in data["customers"].items() if found} == {
        "resumed": ["c-birch002"]
    }
    assert data["customers"]["resumed"][0]["interruption"] == "none"
    assert data["mrr"]["after"]["monthly_cents"] - data["mrr"]["before"]["monthly_cents"] == 799
    assert data["mrr"]["before"]["suspended_cents"] == 799
    (cell,) = data["cells"]
    assert (cell["name"], cell["before"], cell["preview"]["changes"]["create"]) == ("eu-1", cell["after"], 2)


def test_what_is_refused_is_shown_at_its_lines(hosting: Hosting, commit: Commit, engine: Engine) -> None:
    """Exit code 1, each problem with file and line, GitHub's annotations where wanted; the engine is not asked."""
    base = commit(REGISTRY)
    commit(REGISTRY.replace("plan: team", "plan: no").replace("subdomain: birch", "subdomain: www"))
    code, out, err = hosting("review", base)
    assert code == 1
    assert "### Registry: refused, 2 problems" in out
    assert "files/customers.yaml:4: customers/c-acme0001/plan: " in out
    assert "files/customers.yaml:8: customers/c-birch002/subdomain: `www` is reserved. Fix: " in out
    assert "::error" not in out + err
    code, out, err = hosting("review", base, "--annotate", "--json")
    assert (code, json.loads(out)["sound"]) == (1, False)
    assert [each["line"] for each in json.loads(out)["problems"]] == [4, 8]
    assert (
        "::error file=files/customers.yaml,line=8,title=customers/c-birch002/subdomain::`www` is reserved. Fix" in err
    )
    assert engine.previewed == []


def test_actions_gets_annotations_by_itself(hosting: Hosting, commit: Commit, monkeypatch: pytest.MonkeyPatch) -> None:
    """GitHub says so in the environment; cautions are warnings there."""
    base = commit(REGISTRY)
    commit(REGISTRY.replace("cell: us-1", "cell: eu-1"))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    code, _, err = hosting("review", base)
    assert code == 0
    assert "::warning file=files/customers.yaml,title=customers/c-cedar003/cell::" in err


def test_an_entry_that_disappears_is_refused(hosting: Hosting, commit: Commit) -> None:
    """Each line of the file is sound, and yet merging it would stop every update."""
    base = commit(REGISTRY)
    commit(REGISTRY.replace(CEDAR, ""))
    code, out, _ = hosting("review", base)
    assert code == 1
    assert "refused, 1 problem\n" in out
    assert "hosting customer remove c-cedar003" in out


EVIL = "`` ``` <script>alert(1)</script> | @everyone [x](http://evil.example) %0A::error::x \u202e"


def test_nothing_of_the_file_is_read_as_markup(hosting: Hosting, commit: Commit) -> None:
    """A value with Markdown, HTML, a mention or a workflow command in it stays within a block of code, in one line."""
    base = commit(REGISTRY)
    value = json.dumps(f"{EVIL}\n::error::y")
    commit(REGISTRY.replace("subdomain: acme", f"subdomain: {value}").replace("  c-birch002:", f"  {value}:"))
    code, out, err = hosting("review", base, "--annotate")
    assert code == 1
    before, fence, rest = out.partition("````text\n")
    assert fence, "the fence is longer than any in the values"
    shown, _, after = rest.partition("\n````\n")
    assert "<script>" in shown
    assert "script" not in before + after
    assert "\u202e" not in out
    assert not [line for line in (out + err).splitlines() if line.startswith("::error::")]
    annotations = [line for line in err.splitlines() if "script" in line]
    assert annotations
    for line in annotations:
        assert line.startswith("::error file=")
        assert "%0A" not in line.replace("%250A", "")
        assert line.count("::") == 2 + line.split("::", 2)[2].count("::")
        assert ":" not in line.split("title=")[1].split("::")[0]


def test_accepted_values_stand_in_code(hosting: Hosting, commit: Commit) -> None:
    """Also where a value passes the checks: nothing of a customer's is bare in the tables."""
    base = commit(REGISTRY)
    commit(
        REGISTRY.replace("  c-acme0001:", "  c__acme__x:").replace("c-cedar003:\n", "c-cedar003:\n    ring: canary\n")
    )
    code, out, _ = hosting("review", base)
    assert code == 1  # the old entry has disappeared
    rows = [line for line in out.splitlines() if line.startswith("| `")]
    assert any("`c__acme__x`" in row for row in rows)
    for row in rows:
        outside = "".join(row.split("`")[::2])
        assert not {"acme", "cedar", "canary", "eu-1"} & set(outside.replace("|", " ").split()), row


def test_a_preview_that_cannot_run_is_said(hosting: Hosting, commit: Commit, engine: Engine) -> None:
    """No state, no credentials, no engine: the review stands, and says so; so where the engine refuses one cell."""
    base = commit(REGISTRY)
    commit(REGISTRY.replace("status: suspended", "status: active"))
    engine.missing = RuntimeError("PULUMI_BACKEND_URL is not set")
    code, out, _ = hosting("review", base)
    assert code == 0
    assert "| not previewed |" in out
    assert "it can't run: PULUMI_BACKEND_URL is not set" in out
    engine.missing, engine.error = None, "no server for this cell yet\nFix: hosting up"
    code, out, _ = hosting("review", base)
    assert code == 0
    assert "| **fails** |" in out
    assert "eu-1: no server for this cell yet\neu-1: Fix: hosting up\n" in out
    code, out, _ = hosting("review", base, "--no-preview", "--json")
    assert (code, json.loads(out)["cells"][0]["preview"]) == (0, None)
    assert "--no-preview" in json.loads(out)["no_preview"]


def test_a_large_review_fits_into_a_comment(hosting: Hosting, commit: Commit) -> None:
    """GitHub takes 65,536 characters: how many lines are left out is said, and the data has them all."""
    base = commit(REGISTRY)
    commit(
        REGISTRY + "".join(CEDAR.replace("cedar", f"wiki{number}").replace("pro", "gold") for number in range(1_000))
    )
    code, out, _ = hosting("review", base)
    assert code == 1
    assert 10_000 < len(out) < 65_536 / 3
    assert out.count("Fix: mend the value") + int(out.split("... and ")[1].split(" more")[0]) == 1_000
    assert len(json.loads(hosting("review", base, "--json")[1])["problems"]) == 1_000


def test_other_ways_to_name_commits(hosting: Hosting, commit: Commit, repository: Path) -> None:
    """BASE alone goes to HEAD; three dots begin where two branches parted; zeros are before the first commit."""
    base = commit(REGISTRY)
    with Repo(repository) as repo:
        repo.git.branch("feature")
        ahead = commit(REGISTRY.replace("plan: team", "plan: pro"))
        repo.git.checkout("--quiet", "feature")
        head = commit(REGISTRY.replace("status: suspended", "status: active"))

    def changed(commits: str) -> tuple[str, str, set[str]]:
        code, out, err = hosting("review", commits, "--json", "--no-preview")
        assert code == 0, err
        data = json.loads(out)
        return data["base"], data["head"], {each["id"] for found in data["customers"].values() for each in found}

    assert changed(base) == (base, head, {"c-birch002"})
    assert changed(f"{base}..") == (base, head, {"c-birch002"})
    assert changed(f"{base[:12]}..feature") == (base, head, {"c-birch002"})
    assert changed(f"{ahead}..{head}") == (ahead, head, {"c-acme0001", "c-birch002"})
    assert changed(f"{ahead}...{head}") == (base, head, {"c-birch002"})
    assert len(changed(f"{'0' * 40}..{base}")[2]) == 3


@pytest.mark.parametrize(
    "commits", ["nowhere..HEAD", "HEAD..nowhere", "..HEAD", "", "--since=yesterday..HEAD", "HEAD:files"]
)
def test_a_range_that_is_none_is_wrong_usage(hosting: Hosting, commit: Commit, commits: str) -> None:
    """Exit code 2 with the fix; a name that looks like an option is never one of git's."""
    commit(REGISTRY)
    code, _, err = hosting("review", "--", commits)
    assert code == 2
    assert "Fix:" in " ".join(err.split())


def test_a_file_without_a_repository_has_no_versions(hosting: Hosting, repository: Path) -> None:
    """It says so, and how to begin."""
    (repository / ".git").rename(repository / "git-no-more")
    code, _, err = hosting("review", "HEAD~1..HEAD")
    assert code == 2
    assert "is in no git repository" in " ".join(err.replace("│", "").split())


def test_a_file_that_comes_or_goes(hosting: Hosting, commit: Commit) -> None:
    """Without a file before, all are new; without one after, or with one that is no text, it is refused."""
    first, second = commit(None), commit(REGISTRY)
    code, out, _ = hosting("review", f"{first}..{second}")
    assert (code, "customers: 3 added" in out) == (0, True)
    third = commit(None)
    code, out, _ = hosting("review", f"{second}..{third}")
    assert (code, "there is no such file in commit" in out) == (1, True)
    code, out, _ = hosting("review", f"{second}..{commit(REGISTRY.encode() + bytes([10, 0xFF]))}")
    assert code == 1
    assert f"files/customers.yaml:{REGISTRY.count(chr(10)) + 2}: " in out
    assert "is not UTF-8" in out


def test_a_broken_base_does_not_hide_what_mends_it(hosting: Hosting, commit: Commit) -> None:
    """The mended file is sound; that nothing could be compared is said."""
    broken = commit(REGISTRY.encode() + b"\n\xff")
    commit(REGISTRY)
    code, out, _ = hosting("review", broken)
    assert code == 0
    assert "### Registry: a person decides" in out
    assert "the old version: it is refused itself" in out
    assert "| `us-1` |" in out


def test_nothing_differs(hosting: Hosting, commit: Commit, engine: Engine) -> None:
    """A comment in the file touches nobody: no engine is looked for."""
    base = commit(REGISTRY)
    commit(f"# hello\n{REGISTRY}")
    code, out, _ = hosting("review", base)
    assert (code, "No customer differs" in out) == (0, True)
    assert engine.previewed == []


def test_up_changed_updates_just_those_cells(hosting: Hosting, commit: Commit, engine: Engine) -> None:
    """Neither the platform nor a cell in which nobody differs."""
    base = commit(REGISTRY)
    middle = commit(REGISTRY.replace("status: suspended", "status: active"))
    commit(REGISTRY.replace("status: suspended", "status: active").replace("plan: pro", "plan: team"))
    for commits in (f"{base}..{middle}", f"{middle}..HEAD", base):
        assert hosting("up", "--changed", commits)[0] == 0
    assert engine.updated == [(["eu-1"], False), (["us-1"], False), (["eu-1", "us-1"], False)]
    code, out, _ = hosting("up", "--changed", base, "--json")
    assert (code, [each["name"] for each in json.loads(out)["stacks"]]) == (0, ["prod-eu-1", "prod-us-1"])


def test_up_changed_with_nothing_to_do_says_so(hosting: Hosting, commit: Commit, engine: Engine) -> None:
    """Exit code 0, and no engine is looked for."""
    engine.missing = RuntimeError("nobody asked for it")
    base = commit(REGISTRY)
    commit(f"# hello\n{REGISTRY}")
    code, _, err = hosting("up", "--changed", base)
    assert (code, "nothing to do" in err) == (0, True)
    assert json.loads(hosting("up", "--changed", base, "--json")[1]) == {"stacks": []}


def test_up_changed_fails_as_the_engine_does(hosting: Hosting, commit: Commit, engine: Engine) -> None:
    """A cell that could not be updated is exit code 1; so is a version that is refused, before any engine."""
    base = commit(REGISTRY)
    commit(REGISTRY.replace("status: suspended", "status: active"))
    engine.error = "no route to host"
    code, out, _ = hosting("up", "--changed", base)
    assert (code, "no route to host" in out) == (1, True)
    commit(REGISTRY.replace(CEDAR, ""))
    code, _, err = hosting("up", "--changed", base)
    assert (code, "hosting customer remove c-cedar003" in " ".join(err.split())) == (1, True)
    assert hosting("up", "--changed", base, "--cell", "eu-1")[0] == 2
    assert hosting("up", "--changed", "nowhere")[0] == 2
    assert len(engine.updated) == 1


def test_up_changed_after_a_broken_version_visits_every_cell(hosting: Hosting, commit: Commit, engine: Engine) -> None:
    """Nothing tells what changed since, so nothing is left out."""
    broken = commit(REGISTRY.replace("plan: team", "plan: gold"))
    commit(REGISTRY)
    assert hosting("up", "--changed", broken)[0] == 0
    assert engine.updated == [(["eu-1", "us-1"], False)]
