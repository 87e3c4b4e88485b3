"""Names: what may be a subdomain or a custom domain, whatever is thrown at it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from registry.customers import QUARANTINE_DAYS
from registry.errors import Problem
from registry.names import domain_problem, reserved, subdomain_problem

SAFE = re.compile(r"[a-z0-9][a-z0-9-]{1,38}[a-z0-9]\Z", re.ASCII)
HOSTILE = st.one_of(
    st.text(max_size=60),
    st.text(alphabet=st.sampled_from("abcz09-_.\n\t A٣é\u200bı"), min_size=1, max_size=45),
    st.from_regex(r"[a-z0-9-]{1,45}", fullmatch=True),
    st.from_regex(r"[a-z0-9][a-z0-9-]{1,38}[a-z0-9]\n?", fullmatch=True),
)
ENTRY = """\
customers:
  c-one:
    subdomain: {subdomain}
    plan: {plan}
    status: active
    cell: eu-1
{more}"""


def entry(*, subdomain: str = "acme", plan: str = "pro", more: str = "") -> str:
    """Return a registry of one customer."""
    return ENTRY.format(subdomain=subdomain, plan=plan, more=more)


@pytest.mark.parametrize("name", ["abc", "a" * 40, "acme", "a-b", "4chan", "123", "a1-b2-c3", "edgeway", "xn-a"])
def test_ordinary_subdomains_are_allowed(name: str) -> None:
    """A name of 3 to 40 letters, digits and inner hyphens is allowed."""
    assert subdomain_problem(name) is None


@pytest.mark.parametrize(
    "name",
    ["", "a", "ab", "a" * 41, "-acme", "acme-", "Acme", "ac me", "acme.x", "ac_me", "acmé", "аcme", "acme\n",
     "\nacme", "ac\0me", "acme/", "../acme", "a" * 4_000, "٣٣٣", "$(id)", "acme;x", "*", "@"],
)  # fmt: skip
def test_odd_characters_and_lengths_are_refused(name: str) -> None:
    """A name that is too short, too long or has another character is refused, and the message is not as long as it."""
    problem = subdomain_problem(name)
    assert problem is not None
    assert "3-40 lower-case letters" in problem
    assert len(problem) < 200


@pytest.mark.parametrize("name", ["xn--acme", "xn--80ak6aa92e", "edge-1", "edge-eu-1", "ab--cd", "r3--x"])
def test_reserved_prefixes_are_refused(name: str) -> None:
    """Punycode, any other `??--` label, and the edge's own names are refused."""
    assert "reserved prefix" in str(subdomain_problem(name))


@pytest.mark.parametrize(
    "name", ["www", "api", "admin", "portal", "mail", "billing", "status", "ns1", "mta-sts", "wpad", "autodiscover"]
)
def test_reserved_words_are_refused(name: str) -> None:
    """Names of ours, of protocols, and those that look official are refused."""
    assert subdomain_problem(name) == f"`{name}` is reserved"


def test_reserved_words_are_names() -> None:
    """The list holds neither comments nor blank lines, and each word in it is refused."""
    assert len(reserved()) > 60
    assert all(re.fullmatch(r"[a-z0-9-]+", word) for word in reserved())
    assert all(subdomain_problem(word) is not None for word in reserved())


@settings(max_examples=2_000, deadline=None)
@given(name=HOSTILE)
@example(name="acme\n")
@example(name="ａｃｍｅ")
def test_hostile_subdomains_never_pass(name: str) -> None:
    """Whatever passes is plain: [a-z0-9-], 3 to 40, no hyphen at an end, not reserved."""
    if subdomain_problem(name) is None:
        assert SAFE.match(name) is not None
        assert not name.startswith(("xn--", "edge-"))
        assert name not in reserved()


@settings(max_examples=500, deadline=None)
@given(name=HOSTILE)
def test_hostile_subdomains_never_pass_in_a_file(name: str, read: Callable[[str], object]) -> None:
    """A file with a hostile name, escaped so that YAML reads exactly that name, is refused or has a plain name."""
    quoted = "".join(f"\\U{ord(character):08X}" for character in name)
    problem = subdomain_problem(name)
    text = entry(subdomain=f'"{quoted}"')
    if problem is None:
        assert SAFE.match(name) is not None
        assert read(text).customers["c-one"].subdomain == name  # type: ignore[attr-defined]
    else:
        with pytest.raises(Exception, match="customers/c-one/subdomain"):
            read(text)


def test_two_customers_cannot_share_a_subdomain(problems_of: Callable[[str], tuple[Problem, ...]]) -> None:
    """The second customer with a subdomain is refused; the message names the first."""
    text = entry() + entry().removeprefix("customers:\n").replace("c-one", "c-two")
    (problem,) = problems_of(text)
    assert (problem.path, problem.line) == ("customers/c-two/subdomain", 8)
    assert "belongs to customers/c-one already" in problem.reason


@pytest.mark.parametrize(("days", "refused"), [(-1, False), (0, True), (1, True), (QUARANTINE_DAYS, True)])
def test_names_of_deleted_customers_stay_taken(
    days: int,
    refused: bool,
    today: date,
    problems_of: Callable[[str], tuple[Problem, ...]],
) -> None:
    """A name in quarantine is refused up to and including its last day."""
    until = today + timedelta(days=days)
    problems = problems_of(f"{entry()}quarantine:\n  acme: {until}\n")
    assert [problem.path for problem in problems] == ["customers/c-one/subdomain"] * refused
    assert all(f"in quarantine until {until}" in problem.reason for problem in problems)


def test_quarantine_takes_90_days() -> None:
    """The name of a deleted customer stays taken for 90 days (issue 3)."""
    assert QUARANTINE_DAYS == 90


def test_quarantine_takes_only_its_own_name(problems_of: Callable[[str], tuple[Problem, ...]]) -> None:
    """A name that only resembles one in quarantine is free."""
    assert problems_of(f"{entry()}quarantine:\n  acme2: 2030-01-01\n  acm: 2030-01-01\n") == ()


@pytest.mark.parametrize(
    "host",
    ["wiki.example.org", "example.org", "a.b.c.d.example.co.uk", "xn--bcher-kva.example.org", "4.example.org",
     "notmarkitup.io", "markitup.io.example.org"],
)  # fmt: skip
def test_public_host_names_are_allowed(host: str) -> None:
    """A public host name outside the product's domain is allowed, an internationalised one in its ASCII form too."""
    assert domain_problem(host, product_domain="markitup.io") is None


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("", "is no host name"),
        ("Wiki.example.org", "is no host name"),
        ("wiki..example.org", "is no host name"),
        (".example.org", "is no host name"),
        ("example.org.", "is no host name"),
        ("-a.example.org", "is no host name"),
        ("a_b.example.org", "is no host name"),
        ("*.example.org", "is no host name"),
        ("wiki.example.org:443", "is no host name"),
        ("https://example.org", "is no host name"),
        ("bücher.example.org", "is no host name"),
        ("example.org\n", "is no host name"),
        ("example.org respond 200", "is no host name"),
        (f"{'a' * 64}.example.org", "is no host name"),
        (".".join(["a" * 60] * 5), "is no host name"),
        ("::1", "is no host name"),
        ("intranet", "no top-level domain"),
        ("localhost", "no top-level domain"),
        ("10.0.0.1", "is an address"),
        ("169.254.169.254", "is an address"),
        ("1.2.3.4.5", "is an address"),
        ("app.localhost", "not a public name"),
        ("printer.local", "not a public name"),
        ("metadata.internal", "not a public name"),
        ("hidden.onion", "not a public name"),
        ("1.0.0.10.in-addr.arpa", "not a public name"),
        ("markitup.io", "below markitup.io"),
        ("acme.markitup.io", "below markitup.io"),
        ("a.b.markitup.io", "below markitup.io"),
    ],
)
def test_other_host_names_are_refused(host: str, reason: str) -> None:
    """Addresses, private names, odd characters and names below the product's domain are refused."""
    assert reason in str(domain_problem(host, product_domain="markitup.io"))


@settings(max_examples=500, deadline=None)
@given(host=st.one_of(HOSTILE, st.lists(HOSTILE, min_size=2, max_size=4).map(".".join)))
def test_hostile_custom_domains_never_pass(host: str) -> None:
    """Whatever passes consists of safe characters, is short enough and has at least two labels."""
    if domain_problem(host, product_domain="markitup.io") is None:
        assert re.fullmatch(r"[a-z0-9.-]{3,253}", host, re.ASCII)
        assert all(0 < len(label) < 64 for label in host.split("."))
        assert "." in host


@pytest.mark.parametrize(("plan", "allowed"), [("personal", False), ("team", False), ("pro", True)])
def test_custom_domains_are_part_of_pro(
    plan: str,
    allowed: bool,
    problems_of: Callable[[str], tuple[Problem, ...]],
) -> None:
    """A custom domain is refused with any other plan than pro."""
    problems = problems_of(entry(plan=plan, more="    domain: wiki.example.org\n"))
    assert [problem.path for problem in problems] == ["customers/c-one/domain"] * (not allowed)
    assert all("not part of plan" in problem.reason and "pro" in problem.fix for problem in problems)


def test_a_subdomain_cannot_be_taken_by_a_custom_domain(problems_of: Callable[[str], tuple[Problem, ...]]) -> None:
    """One customer's custom domain cannot be the address of another's instance."""
    second = entry(subdomain="birch", more="    domain: acme.markitup.io\n").removeprefix("customers:\n")
    (problem,) = problems_of(entry() + second.replace("c-one", "c-two"))
    assert (problem.path, problem.line) == ("customers/c-two/domain", 12)


def test_two_customers_cannot_share_a_custom_domain(problems_of: Callable[[str], tuple[Problem, ...]]) -> None:
    """The second customer with a custom domain is refused; the message names the first."""
    first = entry(more="    domain: wiki.example.org\n")
    second = entry(subdomain="birch", more="    domain: wiki.example.org\n").removeprefix("customers:\n")
    (problem,) = problems_of(first + second.replace("c-one", "c-two"))
    assert problem.path == "customers/c-two/domain"
    assert "belongs to customers/c-one already" in problem.reason
