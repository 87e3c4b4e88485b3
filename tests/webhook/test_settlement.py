"""A subscription's life, settled: real calls to the simulated Stripe, a real registry in git, a real database."""

from __future__ import annotations

import smtplib
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from git import Actor, GitCommandError, Repo
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from registry.customers import Status
from registry.errors import RegistryError
from registry.lifecycle import GRACE_DAYS
from registry.store import RegistryStore
from registry.wishes import Alert, AlertKind, DataUsed
from stacks.settings import parse_settings
from tests.localcloud.stripe_world import World, a_world
from tests.webhook.known_facts import KnownFacts
from tests.webhook.updater import CountingUpdater
from webhook.alerts import Alerts
from webhook.approvals import Approvals
from webhook.backup import BackupError
from webhook.cell_updates import CellUpdates, UpdateError
from webhook.database.event_intake import record_event
from webhook.database.events import EventState, NewEvent, events_in_state
from webhook.database.instances import InstanceRecord, find_instance
from webhook.database.ledger import LedgerEntry, LedgerKind
from webhook.database.mails import MailRecord, claim_mail, in_doubt
from webhook.letterbox import Letterbox
from webhook.mail.post import InDoubtError, Post
from webhook.missed_events import take_in_missed
from webhook.probe import Answer, Probe
from webhook.pull_requests import PlainBranches
from webhook.settlement import NotAnsweringError, Settlement
from webhook.subscriptions import subject_of
from webhook.turns import Turns
from webhook.workflows import moved, settle, settle_with

ID = "c-glade234"
EVENT = "evt_test"
SETTINGS = {
    "image": "example.org/markitup:1",
    "proxy_image": "example.org/caddy:1",
    "control_url": "http://10.0.0.2:8300",
    "zone_id": "0" * 32,
    "ssh_public_keys": ["ssh-ed25519 AAAA operator"],
    "cells": {"eu-1": {"region": "eu", "location": "nbg1", "server_types": ["cx43"]}},
}
REGISTRY = "customers:\n  c-acme0001:\n    subdomain: acme\n    plan: team\n    status: active\n    cell: eu-1\n"


class Eyes(Probe):
    """Sees what the test wants."""

    def __init__(self) -> None:
        super().__init__()
        self.healthy = True

    def wait(self, url: str, *, seconds: float, sleep: Any = None) -> Answer:
        return Answer(healthy=self.healthy, code=200 if self.healthy else 502, detail="HTTP 502", seconds=0.01)


class Mailbox:
    """Keeps subjects, and whom they went to."""

    def __init__(self) -> None:
        self.subjects: list[str] = []
        self.recipients: list[str] = []
        self.away = False

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.away:
            return "421 come again later"
        headers = envelope.content.decode().split("\r\n\r\n", 1)[0]
        self.recipients += envelope.rcpt_tos
        self.subjects += [line.removeprefix("Subject: ") for line in headers.splitlines() if line.startswith("Subject")]
        return "250 OK"


@dataclass(kw_only=True)
class Company:
    """All that one settlement touches."""

    world: World
    settlement: Settlement
    updater: CountingUpdater
    eyes: Eyes
    facts: KnownFacts
    passed: list[timedelta]
    letters: Mailbox
    engine: Engine
    store: RegistryStore
    repo: Repo

    def sign_up(self, plan: str = "personal") -> str:
        """Pay for a new customer at Stripe; return the subscription."""
        metadata = {"customer_id": ID, "subdomain": "glade"}
        price = self.world.price(f"{plan}_month", metadata={"plan": plan})
        found = self.world.subscribed(price, metadata=metadata, subscription_data={"metadata": metadata})
        return str(found.id)

    def subscribe_again(self, subscription: str) -> str:
        """Have the same person pay for the same wiki once more; return the new subscription."""
        before = self.world.v1.subscriptions.retrieve(subscription)
        metadata = {"customer_id": ID, "subdomain": "glade"}
        found = self.world.subscribed(
            before["items"].data[0].price,
            customer=before.customer,
            metadata=metadata,
            subscription_data={"metadata": metadata},
        )
        return str(found.id)

    def change_price(self, subscription: str, key: str) -> None:
        """Change the plan at Stripe."""
        price = self.world.price(key, metadata={"plan": key.split("_", maxsplit=1)[0]})
        item = self.world.v1.subscriptions.retrieve(subscription)["items"].data[0].id
        self.world.v1.subscriptions.update(subscription, {"items": [{"id": item, "price": price.id}]})

    def alerts(self) -> list[str]:
        """Return what a person was called for."""
        with Session(self.engine) as session:
            found = session.scalars(select(LedgerEntry).where(LedgerEntry.kind == LedgerKind.ALERT))
            return [each.ref for each in found]

    def settle(self, subscription: str) -> str:
        """Do what the worker does for one event, without its database between the steps."""
        settle_with(self.settlement)
        return settle(subscription, EVENT)

    def pass_days(self, number: int) -> None:
        """Let time pass for the company; Stripe has a clock of its own."""
        self.passed[0] += timedelta(days=number)
        self.facts.today += timedelta(days=number)

    def pass_time(self, time: timedelta) -> None:
        """Let less than a day pass."""
        self.passed[0] += time

    @property
    def status(self) -> Status | None:
        """What the registry says of the customer."""
        entry = self.store.read().customers.get(ID)
        return None if entry is None else entry.status

    def commits(self) -> int:
        """Count commits."""
        return sum(1 for _ in self.repo.iter_commits())


@pytest.fixture
def company(tmp_path: Path, engine: Engine) -> Iterator[Company]:
    """Make a company with one customer, on each database."""
    (tmp_path / "registry").mkdir()
    path = tmp_path / "registry" / "customers.yaml"
    path.write_text(REGISTRY)
    repo = Repo.init(path.parent)
    repo.index.add([path.name])
    repo.index.commit("Start", author=Actor("test", "t@localhost"), committer=Actor("test", "t@localhost"))
    settings = parse_settings(SETTINGS, environment="test")
    now = datetime.now(tz=UTC)
    event = NewEvent(id=EVENT, type="test", api_version=None, created=now, received_at=now, payload={})
    record_event(engine, event)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    letters, updater, eyes = Mailbox(), CountingUpdater(engine), Eyes()
    mail_server = Controller(letters, hostname="127.0.0.1", port=port)
    mail_server.start()
    passed = [timedelta()]

    def clock() -> datetime:
        return datetime.now(tz=UTC) + passed[0]

    store = RegistryStore(path, cells=settings.cells, domain=settings.domain, clock=lambda: clock().date())
    alerts, facts = Alerts(engine=engine, clock=clock), KnownFacts(now.date())
    with a_world(tmp_path / "cloud") as world:
        yield Company(
            world=world,
            settlement=Settlement(
                stripe=world.client,
                store=store,
                settings=settings,
                engine=engine,
                turns=Turns(engine),
                updates=CellUpdates(updater, path, at=store.at),
                probe=eyes,
                facts=facts,
                approvals=Approvals(store=store, requests=PlainBranches(), alerts=alerts),
                letterbox=Letterbox(
                    engine=engine,
                    post=Post(host="127.0.0.1", port=port, tls="none"),
                    sender="hosting@markitup.io",
                    clock=clock,
                ),
                alerts=alerts,
                portal_url="https://portal.markitup.io",
                clock=clock,
            ),
            facts=facts,
            passed=passed,
            updater=updater,
            eyes=eyes,
            letters=letters,
            engine=engine,
            store=store,
            repo=repo,
        )
    mail_server.stop()
    repo.close()


def test_a_paid_customer_gets_an_instance_and_one_letter(company: Company) -> None:
    """Placed, committed, updated, seen, active, welcomed; and the same event again does none of it twice."""
    subscription = company.sign_up()
    company.settle(subscription)
    assert company.status is Status.ACTIVE
    assert company.updater.updates == ["eu-1"]
    assert company.letters.subjects == ["Your wiki is ready: https://glade.markitup.io"]
    commits = company.commits()
    for _ in range(3):
        company.settle(subscription)
    assert company.commits() == commits
    assert len(company.updater.updates) <= 2  # the second commit (active) is on no cell yet, and changes nothing there
    assert len(company.letters.subjects) == 1


def test_a_letter_survives_a_crash_after_the_edit(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry is active already when the worker comes back, and the customer is still welcomed, once."""
    subscription = company.sign_up()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Letterbox, "send", killed)
        with pytest.raises(KeyboardInterrupt):
            company.settle(subscription)
    assert (company.status, company.letters.subjects) == (Status.ACTIVE, [])
    company.settle(subscription)
    company.settle(subscription)
    assert company.letters.subjects == ["Your wiki is ready: https://glade.markitup.io"]


def test_a_letter_that_no_server_takes_is_owed(company: Company) -> None:
    """While the mail server is away nothing else stops, and the letter goes with the next event."""
    company.letters.away = True
    subscription = company.sign_up()
    company.settle(subscription)
    assert (company.status, company.letters.subjects) == (Status.ACTIVE, [])
    company.letters.away = False
    company.settle(subscription)
    assert len(company.letters.subjects) == 1


def test_a_letter_is_sent_late_without_another_event(company: Company) -> None:
    """A customer to whom nothing more happens gets the letter too, but not before its change can have been made."""
    company.letters.away = True
    company.settle(company.sign_up())
    company.letters.away = False
    box = company.settlement.letterbox
    box.send_late()
    assert company.letters.subjects == []
    company.pass_time(timedelta(minutes=20))
    for _ in range(2):
        box.send_late()
    assert company.letters.subjects == ["Your wiki is ready: https://glade.markitup.io"]


def test_a_letter_that_nobody_takes_is_a_persons(company: Company) -> None:
    """After an hour it is told of and tried seldom, after three days no more; each letter is told of by itself."""
    box = company.settlement.letterbox
    company.letters.away = True
    company.settle(company.sign_up())
    assert box.send_overdue() == []
    company.pass_time(timedelta(minutes=70))
    (letter,) = box.send_overdue()
    assert (letter.cause, letter.customer_id) == (f"welcome:{ID}", ID)
    company.letters.away = False
    box.send_late()
    assert company.letters.subjects == []
    company.pass_days(4)
    assert box.send_overdue() == []
    assert company.letters.subjects == []
    company.pass_days(-2)
    assert box.send_overdue() == []
    assert company.letters.subjects == ["Your wiki is ready: https://glade.markitup.io"]


def test_a_letter_that_can_not_be_written_stops_no_other(company: Company) -> None:
    """Its facts do not fit its template: it stays owed, and the next customer gets theirs."""
    company.letters.away = True
    company.settle(company.sign_up())
    company.letters.away = False
    with Session(company.engine) as session, session.begin():
        claim_mail(session, "a", template="welcome", customer_id="c-a", now=datetime.now(tz=UTC), person_id=1)
    company.pass_time(timedelta(minutes=20))
    company.settlement.letterbox.send_late()
    assert company.letters.subjects == ["Your wiki is ready: https://glade.markitup.io"]
    company.pass_time(timedelta(hours=1))
    assert [each.cause for each in company.settlement.letterbox.send_overdue()] == ["a"]


def test_a_letter_that_may_have_been_taken_is_not_sent_again(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line broke after its last word: it is in doubt, for a person to look, and not sent a second time."""

    def silent(*_: object) -> None:
        raise InDoubtError("the mail server fell silent")

    with monkeypatch.context() as patched:
        patched.setattr(Post, "send", silent)
        subscription = company.sign_up()
        company.settle(subscription)
    company.settle(subscription)
    assert (company.status, company.letters.subjects) == (Status.ACTIVE, [])
    with Session(company.engine) as session:
        later = datetime.now(tz=UTC) + timedelta(days=1)
        assert [mail.template for mail in in_doubt(session, begun_before=later)] == ["welcome"]


def test_the_log_of_a_refused_letter_names_nobody(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the server's code; the address is in the database only."""

    def refused(*_: object) -> None:
        raise smtplib.SMTPRecipientsRefused({"owner@acme.example": (550, b"<owner@acme.example> is unknown")})

    monkeypatch.setattr(Post, "send", refused)
    with capture_logs() as lines:
        company.settle(company.sign_up())
    (line,) = [each for each in lines if each["event"] == "letter not taken"]
    assert line["error"] == "SMTPRecipientsRefused 550"


def test_hints_at_once_are_settled_one_by_one(company: Company) -> None:
    """A sign-up's events arrive together: the second look sees what the first has done, and nobody's letter is lost."""
    subscription = company.sign_up()
    settle_with(company.settlement)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: settle(subscription, EVENT), range(6)))
    assert company.status is Status.ACTIVE
    assert company.commits() == 1 + 2  # the entry, and that it is active
    assert company.letters.subjects == ["Your wiki is ready: https://glade.markitup.io"]


def test_a_change_that_is_refused_is_not_told(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """No letter is owed for an edit that was not made."""
    subscription = company.sign_up()
    company.settle(subscription)
    company.world.v1.subscriptions.cancel(subscription)

    def refuse(*_: object, **__: object) -> None:
        raise RegistryError([])

    with monkeypatch.context() as patched:
        patched.setattr(RegistryStore, "edit", refuse)
        with pytest.raises(RegistryError):
            company.settle(subscription)
    with Session(company.engine) as session:
        assert [mail.template for mail in session.scalars(select(MailRecord))] == ["welcome"]


def test_without_an_answer_it_is_not_active_and_not_welcomed(company: Company) -> None:
    """The entry stays pending until the instance answers; the next try finishes what the first began."""
    company.eyes.healthy = False
    subscription = company.sign_up()
    with pytest.raises(NotAnsweringError, match=r"https://glade\.markitup\.io does not answer"):
        company.settle(subscription)
    assert company.status is Status.PENDING
    assert company.letters.subjects == []
    company.eyes.healthy = True
    company.settle(subscription)
    assert company.status is Status.ACTIVE
    assert len(company.letters.subjects) == 1


def test_a_failed_update_is_tried_again_with_the_same_entry(company: Company) -> None:
    """The commit is made once, the customer is neither lost nor placed a second time."""
    company.updater.error = "the server does not answer"
    subscription = company.sign_up()
    with pytest.raises(UpdateError, match="does not answer"):
        company.settle(subscription)
    commits = company.commits()
    company.updater.error = None
    company.settle(subscription)
    assert company.commits() == commits + 1  # pending to active
    assert company.status is Status.ACTIVE


def test_dunning_and_back(company: Company) -> None:
    """Attempts that fail lead to a pause with its letter, a payment ends it within one update."""
    subscription = company.sign_up()
    company.settle(subscription)
    customer = company.world.subscription(subscription).customer
    company.world.knob("fail_card", customer=customer)
    company.world.knob("advance", days=45)
    company.settle(subscription)
    assert company.status is Status.SUSPENDED
    assert any("is paused" in subject for subject in company.letters.subjects)
    company.world.knob("fail_card", customer=customer, times=0)
    found = company.world.subscription(subscription)
    company.world.v1.invoices.pay(found.latest_invoice.id)
    updates = len(company.updater.updates)
    company.settle(subscription)
    assert company.status is Status.ACTIVE
    assert len(company.updater.updates) == updates + 1
    assert any("is back" in subject for subject in company.letters.subjects)


def test_a_cancelled_customer_has_its_grace_period(company: Company) -> None:
    """No data is given up: the entry goes to deleting with a last day, and a letter tells it."""
    subscription = company.sign_up()
    company.settle(subscription)
    company.world.v1.subscriptions.cancel(subscription)
    company.settle(subscription)
    entry = company.store.read().customers[ID]
    assert entry.status is Status.DELETING
    assert entry.delete_after is not None
    assert any("ends on" in subject for subject in company.letters.subjects)


def test_a_name_that_was_taken_meanwhile_alerts_a_person(company: Company) -> None:
    """The paid customer is not lost: one alert that says what to do, however often the event comes."""
    metadata = {"customer_id": ID, "subdomain": "acme"}
    price = company.world.price("personal_month", metadata={"plan": "personal"})
    subscription = company.world.subscribed(price, metadata=metadata, subscription_data={"metadata": metadata}).id
    for _ in range(2):
        company.settle(subscription)
    assert company.status is None
    with Session(company.engine) as session:
        alerts = session.scalars(select(LedgerEntry).where(LedgerEntry.kind == LedgerKind.ALERT)).all()
        assert [alert.ref for alert in alerts] == ["name-taken"]


def test_the_ledger_tells_the_whole_way(company: Company) -> None:
    """Commit, update and probe of a sign-up are written down under its event."""
    company.settle(company.sign_up())
    with Session(company.engine) as session:
        entries = session.scalars(select(LedgerEntry).order_by(LedgerEntry.id)).all()
        assert [str(each.kind) for each in entries] == ["commit", "update", "probe", "commit", "mail"]
        assert {each.cause_event_id for each in entries} == {EVENT}
        (mail,) = session.scalars(select(MailRecord)).all()
        assert mail.sent_at is not None


def test_an_end_is_backed_up_approved_and_then_for_good(company: Company) -> None:
    """After the grace: a verified backup, a person who agrees by a merge, then data and entry go, with a receipt."""
    subscription = company.sign_up()
    company.settle(subscription)
    company.world.v1.subscriptions.cancel(subscription)
    company.settle(subscription)
    assert company.facts.backups == {}
    company.pass_days(GRACE_DAYS + 1)
    reason = company.settle(subscription)
    branch = f"hosting/{ID}-purge"
    assert branch in reason
    assert company.facts.backups == {ID: company.facts.today}
    assert (company.status, company.store.proposals()) == (Status.DELETING, [branch])
    assert company.settle(subscription) == reason  # asked again, it waits in the same place
    assert company.alerts() == ["approval"]
    company.repo.git.merge("--no-edit", branch)
    company.settle(subscription)
    assert company.status is None
    assert company.store.read().quarantine.keys() == {"glade"}
    assert company.letters.subjects[-1] == "Your wiki https://glade.markitup.io has been deleted"
    letters = len(company.letters.subjects)
    company.settle(subscription)
    assert len(company.letters.subjects) == letters


def test_without_a_backup_nothing_is_proposed(company: Company) -> None:
    """A bucket that is away, or a backup that can't be read back, holds the end up; the data stays."""
    subscription = company.sign_up()
    company.settle(subscription)
    company.world.v1.subscriptions.cancel(subscription)
    company.settle(subscription)
    company.pass_days(GRACE_DAYS + 1)
    company.facts.trouble = "the archive can't be read back"
    with pytest.raises(BackupError, match="read back"):
        company.settle(subscription)
    assert (company.status, company.store.proposals()) == (Status.DELETING, [])


def test_a_payment_takes_a_proposed_end_back(company: Company) -> None:
    """Who subscribes again while a person looks at the purge is resumed, and the proposal is gone."""
    subscription = company.sign_up()
    company.settle(subscription)
    company.world.v1.subscriptions.cancel(subscription)
    company.settle(subscription)
    company.pass_days(GRACE_DAYS + 1)
    company.settle(subscription)
    assert company.store.proposals() != []
    again = company.subscribe_again(subscription)
    company.settle(again)
    assert (company.status, company.store.proposals()) == (Status.ACTIVE, [])
    assert any("is back" in subject for subject in company.letters.subjects)


@pytest.mark.parametrize(
    ("usage", "plan", "subject"),
    [
        (DataUsed(storage_bytes=1024, users=1), "personal", "is on plan personal now"),
        (DataUsed(storage_bytes=30 * 1024**3, users=1), "team", "Your change to plan personal has to wait"),
        (DataUsed(storage_bytes=1024, users=4), "team", "Your change to plan personal has to wait"),
        (None, "team", ""),
    ],
)
def test_a_smaller_plan_waits_until_the_data_fits(
    company: Company, usage: DataUsed | None, plan: str, subject: str
) -> None:
    """What is used decides, as measured; the customer is told, and nothing is taken from whom can't be measured."""
    subscription = company.sign_up(plan="team")
    company.settle(subscription)
    told = len(company.letters.subjects)
    company.change_price(subscription, "personal_month")
    company.facts.usage = usage
    company.settle(subscription)
    assert company.store.read().customers[ID].plan == plan
    assert [each for each in company.letters.subjects[told:] if subject and subject in each] == (
        company.letters.subjects[told:]
    )
    assert len(company.letters.subjects) == told + bool(subject)


def test_letters_come_after_what_they_tell_of(company: Company) -> None:
    """While the cell can't be updated no letter says that it was."""
    subscription = company.sign_up()
    company.settle(subscription)
    told = len(company.letters.subjects)
    company.world.v1.subscriptions.cancel(subscription)
    company.updater.error = "the server does not answer"
    with pytest.raises(UpdateError):
        company.settle(subscription)
    assert len(company.letters.subjects) == told
    company.updater.error = None
    company.settle(subscription)
    assert len(company.letters.subjects) > told


def second_wiki(company: Company) -> str:
    """Have the same person pay for another wiki: Stripe's page makes a customer of its own for that."""
    metadata = {"customer_id": "c-heath567", "subdomain": "heath"}
    price = company.world.price("team_month", metadata={"plan": "team"})
    return str(company.world.subscribed(price, metadata=metadata, subscription_data={"metadata": metadata}).id)


def test_who_pays_for_a_second_wiki_is_written_to(company: Company) -> None:
    """One person with two customers at Stripe gets the letters of both, to the last one."""
    first = company.sign_up()
    second = second_wiki(company)
    assert company.world.subscription(first).customer != company.world.subscription(second).customer
    company.settle(first)
    company.settle(second)
    assert company.letters.subjects[1:] == ["Your wiki is ready: https://heath.markitup.io"]
    company.world.v1.subscriptions.cancel(second)
    company.settle(second)
    company.pass_days(GRACE_DAYS + 1)
    company.settle(second)
    company.repo.git.merge("--no-edit", "hosting/c-heath567-purge")
    company.settle(second)
    assert company.letters.subjects[-1] == "Your wiki https://heath.markitup.io has been deleted"


def test_an_address_that_becomes_another_persons_stops_nothing(company: Company) -> None:
    """Two customers at Stripe who come to have one address are one person from then on; their wikis run on."""
    first = company.sign_up()
    company.settle(first)
    customer = company.world.subscription(first).customer
    company.world.v1.customers.update(customer, {"email": "ada@example.org"})
    company.settle(first)
    second = second_wiki(company)
    company.settle(second)
    other = company.world.subscription(second).customer
    company.world.v1.customers.update(other, {"email": "ada@example.org"})
    company.change_price(second, "pro_month")
    company.settle(second)
    assert company.store.read().customers["c-heath567"].plan == "pro"
    assert company.letters.subjects[-1].endswith("is on plan pro now")


def test_a_name_that_was_given_to_another_one_by_hand_stops_nothing(company: Company) -> None:
    """The mirror of the registry still has the old name of who was renamed by a merge; who pays for it now gets it."""
    company.settle(company.sign_up())
    path = Path(company.repo.working_dir) / "customers.yaml"
    path.write_text(path.read_text().replace("subdomain: glade", "subdomain: meadow"))
    company.repo.index.add([path.name])
    company.repo.index.commit("Rename glade to meadow")
    metadata = {"customer_id": "c-heath567", "subdomain": "glade"}
    price = company.world.price("team_month", metadata={"plan": "team"})
    subscription = company.world.subscribed(price, metadata=metadata, subscription_data={"metadata": metadata}).id
    company.settle(subscription)
    assert company.letters.subjects[1:] == ["Your wiki is ready: https://glade.markitup.io"]
    with Session(company.engine) as session:
        renamed, newcomer = find_instance(session, ID), find_instance(session, "c-heath567")
        assert renamed is not None
        assert newcomer is not None
        assert (newcomer.subdomain, renamed.owner_id) == ("glade", newcomer.owner_id)


def test_what_others_commit_is_mirrored(company: Company) -> None:
    """Two names that were exchanged, and an entry that is gone, are so in the database too."""
    company.settle(company.sign_up())
    path = Path(company.repo.working_dir) / "customers.yaml"
    text = path.read_text().replace(": acme", ": other").replace(": glade", ": acme").replace(": other", ": glade")
    for content, expected in ((text, {"c-acme0001": "glade", ID: "acme"}), (REGISTRY, {"c-acme0001": "acme"})):
        before = company.repo.head.commit.hexsha
        path.write_text(content)
        company.repo.index.add([path.name])
        moved(before, company.repo.index.commit("By hand").hexsha)
        with Session(company.engine) as session:
            found = session.scalars(select(InstanceRecord))
            assert {each.customer_id: each.subdomain for each in found} == expected


def test_a_letter_survives_a_failure_after_the_edit(company: Company) -> None:
    """A lock that a dead git left fails the commit when the file is written: who paid is welcomed all the same."""
    subscription = company.sign_up()
    company.eyes.healthy = False
    with pytest.raises(NotAnsweringError):
        company.settle(subscription)
    company.eyes.healthy = True
    lock = Path(company.repo.git_dir) / "index.lock"
    lock.touch()
    with pytest.raises(GitCommandError, match="update-index"):
        company.settle(subscription)
    lock.unlink()
    company.settle(subscription)
    assert company.status is Status.ACTIVE
    assert company.letters.subjects == ["Your wiki is ready: https://glade.markitup.io"]


def test_an_event_that_was_never_delivered_is_made_good(company: Company) -> None:
    """Stripe's own list has the end of an active customer whose event is lost; it is taken in, once."""
    engine, client = company.engine, company.settlement.stripe
    subscription = company.sign_up()
    company.settle(subscription)
    started = datetime.now(tz=UTC)
    assert take_in_missed(client, engine, now=started - timedelta(minutes=1)) == 0  # left to its delivery
    company.world.v1.subscriptions.cancel(subscription)
    later = started + timedelta(minutes=10)
    assert take_in_missed(client, engine, now=later) > 0
    with Session(engine) as session:
        events = events_in_state(session, EventState.RECEIVED)
        assert {"customer.subscription.deleted", "invoice.paid"} <= {each.type for each in events}
        hints = {subject_of(each.payload) for each in events}
    assert hints == {subscription, None}
    assert take_in_missed(client, engine, now=later) == 0


def test_an_alert_that_was_not_logged_is_not_taken_for_made(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """The monitoring reads the log: a worker that is killed before its line alerts again, rather than never."""
    alert = Alert(kind=AlertKind.PARKED, cause="parked:evt_1", text="Fix: look.")

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("webhook.alerts.log", SimpleNamespace(error=killed))
        with pytest.raises(KeyboardInterrupt):
            company.settlement.alerts.call(alert, customer_id=None, event_id=None)
    with capture_logs() as lines:
        for _ in range(2):
            company.settlement.alerts.call(alert, customer_id=None, event_id=None)
    assert [line["text"] for line in lines] == ["Fix: look."]
    assert company.alerts() == ["parked"]
