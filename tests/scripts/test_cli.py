"""The command line: what it prints, refuses and changes, without an engine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from getpass import getuser
from pathlib import Path

import pytest
import yaml
from git import Actor, Repo
from sqlalchemy.orm import Session

from scripts import cli, context
from webhook.database.engine import open_database
from webhook.database.event_intake import record_event
from webhook.database.events import EventState, NewEvent, settle_event
from webhook.database.ledger import LedgerKind, append
from webhook.database.migrate import migrate

REGISTRY = """\
customers:
  # the first
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
"""
SETTINGS = {
    "hosting:image": "example.org/markitup:1",
    "hosting:proxy_image": "example.org/caddy:1",
    "hosting:control_url": "http://10.0.0.2:8300",
    "hosting:zone_id": "0" * 32,
    "hosting:ssh_public_keys": ["ssh-ed25519 AAAA operator"],
    "hosting:cells": {"eu-1": {"region": "eu", "location": "nbg1", "server_types": ["cx43"]}},
}

Hosting = Callable[..., tuple[int, str, str]]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project with one environment, its registry in git."""
    (tmp_path / "Pulumi.prod.yaml").write_text(yaml.safe_dump({"config": SETTINGS}))
    (tmp_path / "customers.yaml").write_text(REGISTRY)
    actor = Actor("test", "test@localhost")
    with Repo.init(tmp_path) as repo:
        repo.index.add(["customers.yaml"])
        repo.index.commit("Start", author=actor, committer=actor)
    monkeypatch.setattr(context, "PROJECT", tmp_path)
    monkeypatch.delenv("HOSTING_ENVIRONMENT", raising=False)
    return tmp_path


@pytest.fixture
def hosting(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Hosting:
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

    assert project.exists()
    return run


def text(project: Path) -> str:
    """Return the registry as it is now."""
    return (project / "customers.yaml").read_text()


def test_list_as_data_is_the_contract(hosting: Hosting) -> None:
    """Exactly the fields that other programs rely on, in one list."""
    code, out, _ = hosting("customer", "list", "--json")
    assert code == 0
    assert json.loads(out)[0] == {
        "id": "c-acme0001",
        "subdomain": "acme",
        "plan": "team",
        "status": "active",
        "cell": "eu-1",
        "url": "https://acme.markitup.io",
    }


def test_add_places_commits_and_leaves_the_rest(hosting: Hosting, project: Path) -> None:
    """A new entry at the end in one commit; every other byte is what it was."""
    code, _, err = hosting("customer", "add", "cedar", "--plan", "pro", "--domain", "wiki.example.org", "--no-up")
    assert code == 0, err
    after = text(project)
    assert after.startswith(REGISTRY)
    added = yaml.safe_load(after.removeprefix(REGISTRY))
    (entry,) = added.values()
    assert entry == {
        "subdomain": "cedar",
        "plan": "pro",
        "status": "active",
        "cell": "eu-1",
        "domain": "wiki.example.org",
    }
    with Repo(project) as repo:
        message = str(repo.head.commit.message)
        assert "Customer: " in message
        assert "Actor: " in message
        assert not repo.is_dirty()


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("customer", "add", "www", "--no-up"), "`www` is reserved"),
        (("customer", "add", "acme", "--no-up"), "belongs to customers/c-acme0001 already"),
        (("customer", "add", "cedar", "--domain", "wiki.example.org", "--no-up"), "not part of plan personal"),
        (("customer", "add", "cedar", "--region", "asia", "--no-up"), "There is no cell in region `asia`"),
        (("customer", "suspend", "nobody", "--no-up"), "There is no customer nobody"),
        (("customer", "remove", "acme", "--no-up"), "say --yes"),
        (("customer", "purge", "acme"), "hosting customer remove acme"),
        (("up", "--cell", "mars"), "There is no cell mars. Cells: eu-1."),
        (("--environment", "moon", "customer", "list"), "Pulumi.moon.yaml: there is no such settings file"),
    ],
)
def test_what_is_refused_changes_nothing(hosting: Hosting, project: Path, argv: tuple[str, ...], says: str) -> None:
    """Exit code 1, the reason with its fix, no stack trace, and the file as before."""
    code, _, err = hosting(*argv)
    assert code == 1
    assert says in " ".join(err.split())
    assert "Traceback" not in err
    assert text(project) == REGISTRY


@pytest.mark.parametrize(
    "argv",
    [("customer", "add"), ("customer", "add", "cedar", "--plan", "gold"), ("fly",), ("up", "--confirm-removals", "x")],
)
def test_wrong_usage_is_exit_code_2(hosting: Hosting, argv: tuple[str, ...]) -> None:
    """Usage is told apart from refusal."""
    assert hosting(*argv)[0] == 2


def test_a_customer_goes_in_steps(hosting: Hosting, project: Path) -> None:
    """Suspended, resumed, removed with a last day, and not purged before it nor without the name."""
    assert hosting("customer", "suspend", "acme", "--no-up")[0] == 0
    assert "status: suspended" in text(project).split("c-birch002")[0]
    assert hosting("customer", "resume", "c-acme0001", "--no-up")[0] == 0
    assert text(project) == REGISTRY
    assert hosting("customer", "remove", "acme", "--yes", "--no-up")[0] == 0
    assert "delete_after: " in text(project)
    code, _, err = hosting("customer", "purge", "acme", "--confirm", "acme")
    assert (code, "grace period" in err) == (1, True)
    code, _, err = hosting("customer", "purge", "acme", "--before-grace-ends", "--confirm", "acne")
    assert (code, "--confirm acme" in " ".join(err.split())) == (1, True)
    assert hosting("customer", "resume", "acme", "--no-up")[0] == 0
    assert text(project) == REGISTRY


def test_a_name_that_means_two_customers_is_refused(hosting: Hosting, project: Path) -> None:
    """Customers choose their subdomains: one that is another customer's id has no command meant for that one."""
    ambiguous = REGISTRY.replace("subdomain: acme", "subdomain: c-birch002")
    (project / "customers.yaml").write_text(ambiguous)
    for command in (("remove", "c-birch002", "--yes", "--no-up"), ("purge", "c-birch002"), ("show", "c-birch002")):
        code, _, err = hosting("customer", *command)
        assert code == 1
        assert "c-acme0001" in err
        assert "birch" in err
        assert text(project) == ambiguous
    assert hosting("customer", "suspend", "c-acme0001", "--no-up")[0] == 0
    assert "status: suspended" in text(project).split("c-birch002:")[0]


def test_a_broken_registry_stops_every_command(hosting: Hosting, project: Path) -> None:
    """All problems at once, before any engine is looked for."""
    broken = REGISTRY.replace("plan: team", "plan: no").replace("subdomain: birch", "subdomain: www")
    (project / "customers.yaml").write_text(broken)
    for command in (("up",), ("preview",), ("customer", "list")):
        code, _, err = hosting(*command)
        assert code == 1
        assert "2 problems" in err
        assert "customers/c-acme0001/plan (line 5)" in err
        assert "customers/c-birch002/subdomain (line 9)" in err


def test_doctor_names_what_is_missing(hosting: Hosting) -> None:
    """Secrets that are not set come with the command that sets them."""
    code, out, _ = hosting("doctor", "--json")
    findings = {each["subject"]: each for each in json.loads(out)}
    assert code == 1
    assert findings["hosting:hcloud_token"]["fix"].startswith("pulumi config set --secret hosting:hcloud_token")
    assert findings["registry"]["detail"] == "2 customers"


def test_every_command_has_help(hosting: Hosting) -> None:
    """`--help` works everywhere and says something."""
    commands = ("up", "preview", "doctor", "customer")
    customer = ("list", "show", "add", "plan", "suspend", "resume", "remove", "purge")
    for argv in [(name,) for name in commands] + [("customer", name) for name in customer] + [("stripe", "sync")]:
        code, out, _ = hosting(*argv, "--help")
        assert code == 0
        assert f"hosting {argv[0]}" in out


def test_variables_are_read_as_a_shell_reads_them(tmp_path: Path) -> None:
    """Quoted values lose their quotes; comments and blank lines are nothing."""
    path = tmp_path / "environment"
    path.write_text("# a comment\n\nA=1\nB='two words'\nC=x=y\n")
    assert context.read_variables(path) == {"A": "1", "B": "two words", "C": "x=y"}
    assert context.read_variables(tmp_path / "missing") == {}


def test_why_tells_of_people_too(hosting: Hosting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree of causes: Stripe's events with what followed, and an operator's commit, which no ledger has."""
    url = f"sqlite:///{tmp_path / 'management.sqlite3'}"
    monkeypatch.setenv("HOSTING_DATABASE_URL", url)
    engine = open_database(url)
    migrate(engine)
    now = datetime.now(tz=UTC) - timedelta(days=1)
    event = NewEvent(id="evt_1", type="invoice.paid", api_version=None, created=now, received_at=now, payload={})
    record_event(engine, event)
    with Session(engine) as session, session.begin():
        rows = [
            (LedgerKind.COMMIT, "a" * 40, {"reason": "sub_1 is active [bold]"}),
            (LedgerKind.UPDATE, "prod-eu-1@7", {"seconds": 3.5, "commit": "a" * 40, "steps": ["created Container x"]}),
            (LedgerKind.UPDATE, "prod-eu-1@7", {"shared": True}),
            (LedgerKind.UPDATE, "eu-1", {"error": "no route to host"}),
            (LedgerKind.PROBE, "https://acme.markitup.io", {"seconds": 0.2}),
            (LedgerKind.MAIL, "welcome", {}),
            (LedgerKind.ALERT, "no-capacity", {"text": "Add a cell."}),
        ]
        for kind, ref, detail in rows:
            append(session, kind, ref, at=now, customer_id="c-acme0001", cause="evt_1", detail=detail)
    engine.dispose()
    assert hosting("customer", "suspend", "acme", "--no-up")[0] == 0
    code, out, _ = hosting("why", "acme")
    assert code == 0
    words = " ".join(out.split())
    for told in (
        "invoice.paid evt_1",
        "commit aaaaaaaaaa: sub_1 is active [bold]",
        "update prod-eu-1@7: created Container x (3.5 s, commit aaaaaaaaaa)",
        "taken it along",
        "update eu-1: failed: no route to host",
        "https://acme.markitup.io answers in 0.2 s",
        "letter welcome",
        "a person was called, no-capacity: Add a cell.",
    ):
        assert told in words
    (mine,) = [each for each in json.loads(hosting("why", "acme", "--json")[1]) if each["because"] == getuser()]
    assert mine["what"] == "commit"
    assert words.index("invoice.paid") < words.index(mine["ref"][:10])


def test_parked_events_are_shown_and_retried(hosting: Hosting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be applied comes with its reason, and is received again when a person says so."""
    url = f"sqlite:///{tmp_path / 'management.sqlite3'}"
    monkeypatch.setenv("HOSTING_DATABASE_URL", url)
    engine = open_database(url)
    migrate(engine)
    now = datetime.now(tz=UTC)
    event = NewEvent(id="evt_1", type="invoice.paid", api_version=None, created=now, received_at=now, payload={})
    record_event(engine, event)
    with Session(engine) as session, session.begin():
        settle_event(session, "evt_1", EventState.PARKED, now=now, reason="UpdateError: no route to host")
        append(session, LedgerKind.ALERT, "parked", at=now, customer_id="c-acme0001", cause="evt_1")
    engine.dispose()
    code, out, _ = hosting("events", "list", "--json")
    assert (code, json.loads(out)[0]["reason"]) == (0, "UpdateError: no route to host")
    code, out, _ = hosting("why", "acme", "--json")
    assert (code, json.loads(out)[0]["because"], json.loads(out)[0]["event_type"]) == (0, "evt_1", "invoice.paid")
    assert hosting("events", "retry", "evt_1")[0] == 0
    assert json.loads(hosting("events", "list", "--json")[1]) == []
    code, _, err = hosting("events", "retry", "evt_1")
    assert (code, "evt_1 is not parked" in err) == (1, True)
    code, _, err = hosting("why", "nobody")
    assert (code, "Nothing is written down about nobody" in err) == (1, True)
