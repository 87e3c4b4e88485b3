"""Whose an instance is: who pays for it, and nobody by an address or an id that he only says is his."""

from __future__ import annotations

from sqlalchemy.orm import Session

from registry.lifecycle import GRACE_DAYS
from tests.webhook.test_settlement import ID, Company, company
from webhook.database.customers import find_by_email
from webhook.database.instances import instances_of
from webhook.database.subscriptions import subscriptions_of

__all__ = ["company"]  # a fixture: pytest finds it here

OTHER = "c-other234"


def owned(company: Company, email: str) -> set[str]:
    """Return the instances of the person with an address."""
    with Session(company.engine) as session:
        person = find_by_email(session, email)
        return set() if person is None else {each.customer_id for each in instances_of(session, person.id)}


def pay(company: Company, email: str, *, customer_id: str, subdomain: str) -> str:
    """Pay as a new customer of Stripe's; return the subscription."""
    customer = company.world.v1.customers.create({"email": email})
    metadata = {"customer_id": customer_id, "subdomain": subdomain}
    price = company.world.price("personal_month", metadata={"plan": "personal"}, transfer_lookup_key=True)
    found = company.world.subscribed(
        price, customer=customer.id, metadata=metadata, subscription_data={"metadata": metadata}
    )
    return str(found.id)


def test_who_says_another_one_s_id_gets_nothing_of_it(company: Company) -> None:
    """A subscription with another customer's id in its metadata takes neither instance nor its page over."""
    first = pay(company, "ann@example.org", customer_id=ID, subdomain="glade")
    company.settle(first)
    assert owned(company, "ann@example.org") == {ID}
    company.settle(pay(company, "eve@example.org", customer_id=ID, subdomain="glade"))
    assert company.alerts() == ["mixed-up"]
    assert owned(company, "ann@example.org") == {ID}
    assert owned(company, "eve@example.org") == set()
    with Session(company.engine) as session:
        assert {each.stripe_subscription for each in subscriptions_of(session, ID)} == {first}


def test_an_address_that_becomes_another_person_s_holds_nothing_up(company: Company) -> None:
    """Stripe asks no proof of an address: who takes another one's gives him the own instance, and gets none of his."""
    company.settle(pay(company, "ann@example.org", customer_id=ID, subdomain="glade"))
    second = pay(company, "eve@example.org", customer_id=OTHER, subdomain="heath")
    company.settle(second)
    eve = company.store.read().customers[OTHER].stripe_customer
    for address, hers, anns in (
        ("eve@example.org", {OTHER}, {ID}),
        ("ann@example.org", set[str](), {ID, OTHER}),
        ("eve@elsewhere.example", {OTHER}, {ID}),
    ):
        company.world.v1.customers.update(str(eve), {"email": address})
        company.settle(second)
        assert (owned(company, address) - anns, owned(company, "ann@example.org")) == (hers, anns)


def test_an_address_of_which_the_owner_comes_later_takes_nothing_of_his(company: Company) -> None:
    """Who uses an address before its owner signs up leaves with what is his own, and the owner's stays."""
    first = pay(company, "eve@example.org", customer_id=OTHER, subdomain="heath")
    company.settle(first)
    eve = str(company.store.read().customers[OTHER].stripe_customer)
    with Session(company.engine) as session:
        before = find_by_email(session, "eve@example.org")
        assert before is not None
    company.world.v1.customers.update(eve, {"email": "ann@example.org"})
    company.settle(first)
    company.settle(pay(company, "ann@example.org", customer_id=ID, subdomain="glade"))
    with Session(company.engine) as session:
        assert instances_of(session, before.id) == []  # whoever was signed in as that person sees nothing of Ann's
    company.world.v1.customers.update(eve, {"email": "eve@example.org"})
    company.settle(first)
    assert owned(company, "eve@example.org") == {OTHER}
    assert owned(company, "ann@example.org") == {ID}


def test_who_buys_again_is_written_to(company: Company) -> None:
    """Stripe makes a new customer of each sign-up; one with an address that is known already gets its letters too."""
    company.settle(pay(company, "ann@example.org", customer_id=ID, subdomain="glade"))
    second = pay(company, "ann@example.org", customer_id=OTHER, subdomain="heath")
    company.settle(second)
    company.world.v1.subscriptions.cancel(second)
    company.settle(second)
    company.pass_days(GRACE_DAYS + 1)
    company.settle(second)
    company.repo.git.merge("--no-edit", f"hosting/{OTHER}-purge")
    company.settle(second)
    assert [subject.partition(" ends on ")[0] for subject in company.letters.subjects] == [
        "Your wiki is ready: https://glade.markitup.io",
        "Your wiki is ready: https://heath.markitup.io",
        "Your wiki https://heath.markitup.io",
        "Your wiki https://heath.markitup.io has been deleted",
    ]


def test_a_letter_follows_a_changed_address(company: Company) -> None:
    """What no mail server took goes to where Stripe says the person is now, not to nobody."""
    company.letters.away = True
    subscription = pay(company, "ann@example.org", customer_id=ID, subdomain="glade")
    company.settle(subscription)
    payer = str(company.store.read().customers[ID].stripe_customer)
    company.world.v1.customers.update(payer, {"email": "ann@new.example.org"})
    company.letters.away = False
    company.settle(subscription)
    assert company.letters.recipients == ["ann@new.example.org"]
