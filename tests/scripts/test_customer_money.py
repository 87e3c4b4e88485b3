"""Commands on a paying customer: the money first, then the registry, and the worker's look changes nothing more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from git import Repo

from registry.customers import Status
from registry.lifecycle import wish
from registry.store import RegistryStore
from registry.transitions import edit_for
from registry.wishes import Confirmed
from scripts import context
from tests.localcloud.stripe_world import World, a_world
from tests.scripts.test_cli import Hosting, hosting, project, text
from webhook.stripe_catalogue import ENDPOINTS, wanted
from webhook.stripe_differences import differences
from webhook.stripe_sync import apply, read_account
from webhook.subscriptions import read

__all__ = ["hosting", "project"]  # fixtures: pytest finds them here

ID = "c-glade234"
METADATA = {"customer_id": ID, "subdomain": "glade"}
KEY, URL = "HOSTING_STRIPE_API_KEY", "HOSTING_STRIPE_API_URL"


@dataclass(kw_only=True)
class Payer:
    """A customer who pays, at Stripe and in the registry."""

    world: World
    hosting: Hosting
    project: Path
    subscription: str

    @property
    def status(self) -> tuple[Status, str]:
        """What the registry says: status and plan."""
        entry = self.store().read().customers[ID]
        return entry.status, entry.plan

    def store(self) -> RegistryStore:
        """Return the registry."""
        return context.find_context("prod").store()

    def command(self, *argv: str) -> str:
        """Run a command that shall work; return what it said."""
        code, _, err = self.hosting("customer", *argv, "--no-up")
        assert code == 0, err
        return " ".join(err.split())

    def refused(self, *argv: str) -> str:
        """Run a command that shall be refused and change nothing; return why."""
        before = text(self.project), self.at_stripe()
        code, _, err = self.hosting("customer", *argv, "--no-up")
        assert code == 1
        assert "Traceback" not in err
        assert (text(self.project), self.at_stripe()) == before
        return " ".join(err.split())

    def at_stripe(self) -> object:
        """Return the subscription as the simulated Stripe keeps it."""
        return self.world.store.get("stripe/subscription", self.subscription)

    def look_changes(self) -> bool:
        """Whether the worker's look at Stripe would change the registry."""
        store, settings = self.store(), context.find_context("prod").settings
        registry, account = store.read(), read(self.world.client, self.subscription)
        entry = registry.customers[ID]
        now = datetime.now(tz=UTC).date()
        wished = wish(account.subscription, entry, today=now, others=account.others, confirmed=Confirmed(answers=True))
        return edit_for(wished, entry, text(self.project), registry, settings.cells) != text(self.project)


@pytest.fixture
def payer(hosting: Hosting, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Payer]:
    """Sign a customer up for team at a Stripe that was synchronised."""
    with a_world(tmp_path / "cloud") as world:
        monkeypatch.setenv(KEY, "sk_test_local")
        monkeypatch.setenv(URL, world.base)
        parts = wanted(webhook_url="https://none.example.org", portal_url="https://x.example.org", launch_code=None)
        silent = [part for part in parts if part.resource != ENDPOINTS]
        apply(world.client, differences(read_account(world.client), silent).changes, lambda _: None)
        (price,) = world.v1.prices.list({"lookup_keys": ["team_month"]}).data
        found = world.subscribed(price, metadata=METADATA, subscription_data={"metadata": METADATA})
        entry = f"  {ID}:\n    subdomain: glade\n    plan: team\n    status: active\n    cell: eu-1\n"
        link = f"    stripe_customer: {found.customer}\n    stripe_subscription: {found.id}\n"
        (project / "customers.yaml").write_text(text(project) + entry + link)
        with Repo(project) as repo:
            repo.git.add("customers.yaml")
            repo.git.commit("--quiet", "-m", "Sign glade up", env={"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t"})
        payer = Payer(world=world, hosting=hosting, project=project, subscription=str(found.id))
        assert not payer.look_changes()
        yield payer


def test_suspended_and_resumed_with_the_collection(payer: Payer) -> None:
    """Collection is paused and goes on; after each, Stripe and registry agree; a second time nothing happens."""
    assert "is paused: its invoices are void" in payer.command("suspend", "glade")
    paused = payer.world.subscription(payer.subscription).pause_collection
    assert (paused.behavior, payer.status) == ("void", (Status.SUSPENDED, "team"))
    assert not payer.look_changes()
    assert "is paused already" in payer.command("suspend", "glade")
    assert "goes on with its next invoice" in payer.command("resume", "glade")
    assert payer.world.subscription(payer.subscription).pause_collection is None
    assert payer.status == (Status.ACTIVE, "team")
    assert not payer.look_changes()
    assert "is not paused" in payer.command("resume", "glade")


def test_another_plan_is_another_price_of_the_same_interval(payer: Payer) -> None:
    """The item stays, the price changes, the proration is Stripe's; the same plan again tells Stripe nothing."""
    assert "from team to personal by the month" in payer.command("plan", "glade", "personal")
    (item,) = payer.world.subscription(payer.subscription)["items"].data
    assert (item.price.lookup_key, payer.status) == ("personal_month", (Status.ACTIVE, "personal"))
    assert not payer.look_changes()
    assert "has the price of personal already" in payer.command("plan", "glade", "personal")


def test_removed_means_canceled(payer: Payer) -> None:
    """Only after the question, which says so; an ended subscription can't be resumed by us."""
    why = payer.refused("remove", "glade")
    assert "is canceled at Stripe at once, without a refund" in why
    assert "say --yes" in why
    payer.command("remove", "glade", "--yes")
    assert payer.world.subscription(payer.subscription).status == "canceled"
    assert payer.status[0] is Status.DELETING
    assert not payer.look_changes()
    assert "has ended at Stripe already" in payer.command("remove", "glade", "--yes")
    for argv in (("resume", "glade"), ("plan", "glade", "pro")):
        assert "let the customer subscribe again" in payer.refused(*argv)


def test_what_has_ended_is_not_suspended(payer: Payer) -> None:
    """Also where the worker has not seen the end yet."""
    payer.world.v1.subscriptions.cancel(payer.subscription)
    assert "is canceled at Stripe and can't be paused" in payer.refused("suspend", "glade")


def test_an_unpaid_customer_is_not_resumed_by_us(payer: Payer) -> None:
    """Paused or not: the reason is the invoice, and the fix is to pay it."""
    customer = payer.world.subscription(payer.subscription).customer
    payer.world.knob("fail_card", customer=customer)
    payer.world.knob("advance", days=60)
    assert payer.world.subscription(payer.subscription).status == "unpaid"
    assert "its last invoice was not paid. Fix: let the customer pay https://dashboard.stripe.com/invoices/in_" in (
        payer.refused("resume", "glade")
    )
    payer.command("suspend", "glade")
    assert "was not paid" in payer.refused("resume", "glade")


def test_the_registry_is_asked_before_the_money(payer: Payer) -> None:
    """A change that it would refuse reaches Stripe in no part."""
    payer.command("plan", "glade", "pro")
    path = payer.project / "customers.yaml"
    path.write_text(path.read_text() + "    domain: wiki.example.org\n")
    before = payer.at_stripe()
    code, _, err = payer.hosting("customer", "plan", "glade", "team", "--no-up")
    assert (code, "not part of plan team" in err) == (1, True)
    assert payer.at_stripe() == before


def test_without_a_key_only_the_registry_can_be_changed(payer: Payer, monkeypatch: pytest.MonkeyPatch) -> None:
    """And only when that is said, with what becomes of it."""
    monkeypatch.delenv(KEY)
    why = payer.refused("suspend", "glade")
    assert f"without {KEY} Stripe can't be told. Nothing was changed." in why
    assert "--registry-only" in why
    before = payer.at_stripe()
    said = payer.command("suspend", "glade", "--registry-only")
    assert f"the next look at {payer.subscription} undoes this" in said
    assert (payer.status[0], payer.at_stripe()) == (Status.SUSPENDED, before)
    assert payer.look_changes()


def test_a_stripe_that_is_away_changes_nothing(payer: Payer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unreachable, out of order, or the key refused: the registry stays, and the message says so."""
    payer.world.knob("outage", calls=9, status=503)
    assert "Nothing was changed." in payer.refused("suspend", "glade")
    payer.world.knob("outage", calls=0, status=503)
    monkeypatch.setenv(KEY, "sk_live_wrong")
    assert f"Stripe refuses the key in {KEY}" in payer.refused("suspend", "glade")
    monkeypatch.setenv(URL, "http://127.0.0.1:9")
    why = payer.refused("suspend", "glade")
    assert "Stripe can't be reached" in why
    assert "Nothing was changed." in why


def test_what_stripe_does_not_know_is_the_registry_s_alone(payer: Payer) -> None:
    """A made-up subscription, or none: edited as ever, and said."""
    path = payer.project / "customers.yaml"
    path.write_text(path.read_text().replace(payer.subscription, "sub_madeup"))
    assert "Stripe knows no sub_madeup: only the registry is changed." in payer.command("suspend", "glade")
    assert payer.status[0] is Status.SUSPENDED
    assert "Stripe" not in payer.command("suspend", "acme")


def test_somebody_else_s_subscription_is_left_alone(payer: Payer) -> None:
    """A wrong link, or a second subscription that would decide, needs a person first."""
    v1 = payer.world.v1
    (price,) = v1.prices.list({"lookup_keys": ["team_year"]}).data
    customer = payer.world.subscription(payer.subscription).customer
    second = payer.world.subscribed(
        price, customer=customer, metadata=METADATA, subscription_data={"metadata": METADATA}
    )
    assert f"also has {second.id}" in payer.refused("suspend", "glade")
    v1.subscriptions.cancel(second.id)
    v1.subscriptions.update(payer.subscription, {"metadata": {"customer_id": "c-acme0001"}})
    assert "which Stripe says is c-acme0001's" in payer.refused("remove", "glade", "--yes")


def test_a_plan_without_a_price_is_refused(payer: Payer) -> None:
    """The price is switched off at Stripe, or the present one is none of ours."""
    v1 = payer.world.v1
    (price,) = v1.prices.list({"lookup_keys": ["pro_month"]}).data
    v1.prices.update(price.id, {"active": False})
    assert "no price with the lookup key pro_month. Fix: `hosting stripe sync`" in payer.refused("plan", "glade", "pro")
    strange = payer.world.price("strange_month", 100)
    (item,) = payer.world.subscription(payer.subscription)["items"].data
    v1.subscriptions.update(payer.subscription, {"items": [{"id": item.id, "price": strange.id}]})
    assert "a price that belongs to no plan" in payer.refused("plan", "glade", "personal")
