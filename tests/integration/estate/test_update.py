"""Updates of the whole estate: created, unchanged, one customer more."""

from __future__ import annotations

import ssl

import pytest

from registry import edits
from registry.customers import Customer, Status
from tests.integration.estate.estate import CUSTOM_DOMAIN, DOMAIN, LOCAL_CELL, SSH_CELL, SUBNETS, Estate
from tests.integration.estate.https import Site

NOTHING = {"create": 0, "update": 0, "replace": 0, "delete": 0}


@pytest.mark.parametrize("name", ["alder", "birch", "cedar", "dogwood"])
def test_every_customer_answers_over_https(estate: Estate, name: str) -> None:
    """After the first update each instance is healthy behind a certificate of its own cell's authority."""
    assert estate.site(name).is_healthy()


def test_another_authority_vouches_for_nobody(estate: Estate) -> None:
    """A certificate of one cell is refused by who trusts the other cell's authority, or the public ones."""
    alder = estate.site("alder")
    for context in (estate.trust(SSH_CELL), ssl.create_default_context()):
        with pytest.raises(ssl.SSLCertVerificationError):
            Site(host=alder.host, port=alder.port, context=context).ask()


def test_second_update_changes_nothing(estate: Estate) -> None:
    """An update right after another finds every resource of all three stacks the same."""
    ages = estate.ages()
    results = estate.apply(*SUBNETS, platform=True)
    assert {name: result.changed for name, result in results.items()} == {"test": 0, "t-1": 0, "t-2": 0}
    assert all(result.changes["same"] > 5 for result in results.values())
    assert estate.ages() == ages


def test_preview_of_nothing_names_nothing(estate: Estate) -> None:
    """Where nothing is to be done a preview counts every resource as the same and tells of none."""
    del estate.said[:]
    results = estate.deployer.preview([*SUBNETS], platform=True)
    assert [(each.name, each.error, each.changed) for each in results] == [
        ("test", None, 0),
        ("test-t-1", None, 0),
        ("test-t-2", None, 0),
    ]
    assert estate.said == []


def test_preview_names_what_a_new_customer_gets(estate: Estate) -> None:
    """A preview tells of each resource that one more customer would have, and makes none."""
    del estate.said[:]
    customer = Customer.model_validate(
        {"subdomain": "maple", "plan": "team", "status": Status.ACTIVE, "cell": LOCAL_CELL}
    )
    text = edits.add(estate.registry_file.read_text(), "c-maple", customer)
    with estate.other_text(estate.registry_file, text):
        (result,) = estate.deployer.preview([LOCAL_CELL], platform=False)
    assert {**result.changes, "same": 0} == {**NOTHING, "create": 4, "same": 0}
    assert sorted(estate.said) == [
        "test-t-1: would create Container c-maple",
        "test-t-1: would create Customer c-maple",
        "test-t-1: would create DnsRecord c-maple",
        "test-t-1: would create Volume c-maple-data",
    ]
    assert estate.containers("c-maple") == []
    assert not estate.has_volume("c-maple", LOCAL_CELL)


def test_new_customer_touches_nobody_else(estate: Estate) -> None:
    """One entry more makes one instance more: every other container keeps its id and start time."""
    ages = estate.ages()
    estate.add("fir", LOCAL_CELL)
    results = estate.apply(*SUBNETS, platform=True)
    assert results["test"].changed == results["t-2"].changed == 0
    assert {**results["t-1"].changes, "same": 0} == {**NOTHING, "create": 4, "same": 0}
    assert {name: age for name, age in estate.ages().items() if name in ages} == ages
    assert len(estate.ages()) == len(ages) + 1
    assert estate.site("fir").is_healthy()
    assert estate.records()[f"fir.{DOMAIN}"] == estate.records()[f"alder.{DOMAIN}"]


def test_custom_domain_answers_by_its_tls_name(estate: Estate) -> None:
    """The customer's own domain has a certificate and leads to the customer's instance."""
    cedar = estate.user("cedar", "custom@example.org")
    own = estate.site(CUSTOM_DOMAIN, LOCAL_CELL, **cedar.headers)
    assert own.ask("/api/auth/me").json()["user"]["email"] == "custom@example.org"
