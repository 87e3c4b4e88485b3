"""Reading the whole file: every broken one is refused, with all that is wrong in it at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from registry.cells import Cell
from registry.customers import Registry, Status
from registry.document import LARGEST_FILE
from registry.edits import update
from registry.errors import Problem, RegistryError
from registry.load import load, parse_edit, read_text

ROOT = Path(__file__).parents[2]
GOOD = """\
customers:
  c-one:
    subdomain: acme
    plan: pro
    status: active
    cell: eu-1
    domain: wiki.example.org
  c-two:
    subdomain: birch
    plan: personal
    status: active
    cell: eu-2
"""
"""The file that each case breaks: `birch` is line 9, the last line is 12."""


def replaced(old: str, new: str) -> str:
    """Return the good file with one passage replaced."""
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


def case(name: str, text: str, path: str, line: int | None, reason: str) -> object:
    """Return one broken file with its only problem."""
    return pytest.param(text, path, line, reason, id=name)


BROKEN = [
    case("empty", "", "the file", None, "it is empty"),
    case("only-comments", "# customers:\n", "the file", None, "it is empty"),
    case("only-spaces", " \n\n", "the file", None, "it is empty"),
    case("no-section", "quarantine:\n  old: 2026-01-01\n", "customers", None, "looks truncated"),
    case("no-customers", "customers: {}\n", "customers", None, "looks truncated"),
    case("null-customers", "customers:\n", "customers", 1, "it is empty"),
    case("truncated-entry", GOOD[: GOOD.index("birch") - 15], "customers/c-two", 8, "it is empty"),
    case("truncated-key", GOOD[:-8], "the file", 13, "no YAML"),
    case("list", "- c-one\n- c-two\n", "the file", 1, "it is no mapping"),
    case("text", "customers\n", "the file", 1, "it is no mapping"),
    case("list-of-customers", "customers:\n  - c-one\n", "customers", 2, "it is no mapping"),
    case("list-as-entry", f"{GOOD}  c-three:\n    - acme\n", "customers/c-three", 14, "it is no mapping"),
    case("text-as-entry", f"{GOOD}  c-three: acme\n", "customers/c-three", 13, "it is no mapping"),
    case("list-as-value", replaced("birch", "[birch]"), "customers/c-two/subdomain", 9, "list or mapping"),
    case("mapping-as-value", replaced("birch", "{birch: x}"), "customers/c-two/subdomain", 9, "list or mapping"),
    case("unclosed-quote", replaced("birch", '"birch'), "the file", 13, "no YAML"),
    case("unclosed-bracket", replaced("birch", "[birch"), "the file", 10, "no YAML"),
    case("no-colon", replaced("subdomain: birch", "subdomain birch"), "the file", 10, "no YAML"),
    case("bad-indentation", replaced("    subdomain: birch", "   subdomain: birch"), "the file", 10, "no YAML"),
    case("tab", replaced("    subdomain: birch", "\tsubdomain: birch"), "the file", 9, "no YAML"),
    case("conflict-marker", replaced("  c-two:", "<<<<<<< HEAD\n  c-two:"), "the file", 9, "no YAML"),
    case("two-documents", f"{GOOD}---\n{GOOD}", "the file", 13, "no YAML"),
    case("duplicate-field", replaced("birch", "birch\n    subdomain: x"), "customers/c-two/subdomain", 10,
         "first in line 9"),
    case("duplicate-customer", GOOD + GOOD[GOOD.index("  c-two") :], "customers/c-two", 13, "first in line 8"),
    case("duplicate-section", f"{GOOD}quarantine:\n  a: 2020-01-01\n{GOOD}", "customers", 15, "first in line 1"),
    case("unknown-field", replaced("birch", "birch\n    colour: red"), "customers/c-two/colour", 10, "no such field"),
    case("unknown-section", f"{GOOD}servers:\n  a: b\n", "servers", 13, "no such section"),
    case("missing-field", replaced("    subdomain: birch\n", ""), "customers/c-two/subdomain", 8, "it is missing"),
    case("empty-value", replaced("birch", ""), "customers/c-two/subdomain", 9, "as nothing"),
    case("no-is-false", replaced("birch", "no"), "customers/c-two/subdomain", 9, "true or false"),
    case("no-as-field", replaced("birch", "birch\n    no: x"), "customers/c-two", 10, "the key `no` is not text"),
    case("no-as-customer", replaced("c-two", '"no"').replace('"', ""), "customers", 8, "the key `no` is not text"),
    case("number", replaced("birch", "12345"), "customers/c-two/subdomain", 9, "a number"),
    case("number-as-customer", replaced("c-two", "17"), "customers", 8, "the key `17` is not text"),
    case("sexagesimal", replaced("birch", "22:22"), "customers/c-two/subdomain", 9, "a number"),
    case("float", replaced("birch", "1.5"), "customers/c-two/subdomain", 9, "a number"),
    case("null", replaced("birch", "~"), "customers/c-two/subdomain", 9, "nothing"),
    case("date-like", replaced("birch", "2026-01-15"), "customers/c-two/subdomain", 9, "valid string"),
    case("no-such-day", replaced("birch", "2026-02-30"), "customers/c-two/subdomain", 9, "a timestamp"),
    case("time", replaced("birch", "2026-01-15T10:00:00Z"), "customers/c-two/subdomain", 9, "a timestamp"),
    case("anchor", replaced("birch", "&name birch"), "the file", 9, "anchors and aliases"),
    case("alias", replaced("birch", "*name"), "the file", 9, "anchors and aliases"),
    case("merge", replaced("birch", "birch\n    <<: {plan: pro}"), "customers/c-two", 10, "the key `<<` is not text"),
    case("tag", replaced("birch", "!!str 5"), "the file", 9, "tags"),
    case("python-tag", replaced("birch", "!!python/object/apply:os.system [id]"), "the file", 9, "tags"),
    case("tag-on-mapping", replaced("c-two:", "c-two: !!omap"), "the file", 8, "tags"),
    case("tag-of-no-utf-8", replaced("birch", "!<%C0%80> x"), "the file", None, "no YAML"),
    case("complex-key", replaced("birch", "birch\n    ? [a]\n    : b"), "customers/c-two", 10, "is not text"),
    case("nul", replaced("birch", "bi\0rch"), "the file", 9, "U+0000"),
    case("nul-in-comment", replaced("birch", "birch # \0"), "the file", 9, "U+0000"),
    case("escape-in-comment", replaced("birch", "birch # \x1b[2J"), "the file", 9, "U+001B"),
    case("surrogate", replaced("birch", "birch # \ud800"), "the file", 9, "U+D800"),
    case("hidden-line", replaced("birch", "birch # \r    domain: x.example.org"), "the file", 9, "U+000D"),
    case("hidden-line-2028", replaced("birch", "birch # \u2028    ring: early"), "the file", 9, "U+2028"),
    case("hidden-line-85", f"{GOOD}  # \x85    ring: early\n", "the file", 13, "U+0085"),
    case("deep", f"customers: {'[' * 100_000}", "the file", 1, "nested too deeply"),
    case("deep-mapping", f"customers: {'{a: ' * 20_000}", "the file", 1, "nested too deeply"),
    case("deep-block", "".join(f"{' ' * depth}a:\n" for depth in range(500)), "the file", 7, "nested too deeply"),
    case("huge", f"{GOOD}#{'x' * LARGEST_FILE}\n", "the file", None, "larger than 32 MiB"),
    case("unknown-plan", replaced("personal", "gold"), "customers/c-two/plan", 10, "`gold`"),
    case("unknown-status", GOOD.replace("active", "gone").replace("gone", "active", 1), "customers/c-two/status", 11,
         "`gone`"),
    case("unknown-cell", replaced("eu-2", "eu-9"), "customers/c-two/cell", 12, "no cell `eu-9`"),
    case("unknown-ring", f"{GOOD}    ring: outer\n", "customers/c-two/ring", 13, "`outer`"),
    case("unknown-region", f"{GOOD}    region: moon\n", "customers/c-two/region", 13, "`moon`"),
    case("odd-customer-id", replaced("c-two", "C.Two"), "customers/C.Two", 8, "customer id"),
    case("long-customer-id", replaced("c-two", "c" * 41), f"customers/{'c' * 41}", 8, "customer id"),
    case("stripe-id", f"{GOOD}    stripe_customer: sub_x\n", "customers/c-two/stripe_customer", 13, "`sub_x`"),
    case("reserved-name", replaced("birch", "admin"), "customers/c-two/subdomain", 9, "is reserved"),
    case("domain-off-plan", f"{GOOD}    domain: a.example.org\n", "customers/c-two/domain", 13, "not part of plan"),
    case("same-subdomain", replaced("birch", "acme"), "customers/c-two/subdomain", 9, "belongs to customers/c-one"),
    case("deleting-without-day", replaced("active\n    cell: eu-2", "deleting\n    cell: eu-2"),
         "customers/c-two/delete_after", 8, "missing for status deleting"),
    case("day-without-deleting", f"{GOOD}    delete_after: 2026-02-01\n", "customers/c-two/delete_after", 13,
         "no meaning"),
    case("day-is-no-day",
         f"{GOOD}    delete_after: soon\n".replace("active\n    cell: eu-2", "deleting\n    cell: eu-2"),
         "customers/c-two/delete_after", 13, "`soon`"),
    case("quarantine-list", f"{GOOD}quarantine: [a]\n", "quarantine", 13, "no mapping"),
    case("quarantine-text", f"{GOOD}quarantine:\n  old: soon\n", "quarantine/old", 14, "`soon` is no date"),
    case("quarantine-no", f"{GOOD}quarantine:\n  no: 2026-01-01\n", "quarantine", 14, "the key `no` is not text"),
    case("quarantine-twice", f"{GOOD}quarantine:\n  a: 2020-01-01\n  a: 2020-01-02\n", "quarantine/a", 15, "line 14"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "path", "line", "reason"), BROKEN)
def test_broken_files_are_refused(
    text: str, path: str, line: int | None, reason: str, problems_of: Callable[[str], tuple[Problem, ...]]
) -> None:
    """Each broken file has exactly one problem, with its path, line, reason and fix."""
    (problem,) = problems_of(text)
    assert (problem.path, problem.line) == (path, line)
    assert reason in problem.reason
    assert len(problem.fix) > 5
    assert str(problem).startswith(path if line is None else f"{path} (line {line}): ")
    assert str(problem).endswith(f". Fix: {problem.fix}")


def test_good_file_is_read(read: Callable[[str], Registry]) -> None:
    """The file that the broken ones are made from is accepted, in its order."""
    registry = read(GOOD)
    assert list(registry.customers) == ["c-one", "c-two"]
    first = registry.customers["c-one"]
    assert (first.subdomain, first.plan, first.cell, first.domain) == ("acme", "pro", "eu-1", "wiki.example.org")
    assert first.status is Status.ACTIVE
    assert first.ring == "stable"
    assert registry.quarantine == {}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(GOOD.replace("\n", "\r\n"), id="windows-line-ends"),
        pytest.param(f"\ufeff{GOOD}", id="byte-order-mark"),
        pytest.param(GOOD.removesuffix("\n"), id="no-last-line-end"),
        pytest.param(replaced("birch", '"birch"'), id="quotes"),
        pytest.param(f"{GOOD}quarantine:\n", id="quarantine-without-names"),
        pytest.param(f"{GOOD}quarantine: {{}}\n", id="quarantine-in-braces"),
        pytest.param(f"quarantine:\n  # none\n{GOOD}", id="quarantine-first"),
        pytest.param(replaced("birch", "birch  # Ünïcödé \U0001f600\t"), id="unicode-comment"),
    ],
)
def test_other_notations_mean_the_same(text: str, read: Callable[[str], Registry]) -> None:
    """Line ends, quotes, comments and an empty quarantine make no difference."""
    assert read(text) == read(GOOD)


def test_all_problems_are_reported_at_once(problems_of: Callable[[str], tuple[Problem, ...]]) -> None:
    """A file with mistakes of all kinds gets a problem for each of them, in the order of their lines."""
    text = """\
customers:
  c-one:
    subdomain: admin
    plan: gold
    status: active
    cell: eu-9
    domain: localhost
  c-two:
    subdomain: no
    colour: red
    plan: team
    plan: pro
    status: deleting
    cell: eu-1
  C-3:
    subdomain: x
    status: asleep
  c-four: [a]
servers: {}
"""
    assert [(problem.line, problem.path) for problem in problems_of(text)] == [
        (3, "customers/c-one/subdomain"),
        (4, "customers/c-one/plan"),
        (6, "customers/c-one/cell"),
        (7, "customers/c-one/domain"),
        (8, "customers/c-two/delete_after"),
        (9, "customers/c-two/subdomain"),
        (10, "customers/c-two/colour"),
        (12, "customers/c-two/plan"),
        (15, "customers/C-3"),
        (15, "customers/C-3/plan"),
        (15, "customers/C-3/cell"),
        (16, "customers/C-3/subdomain"),
        (17, "customers/C-3/status"),
        (18, "customers/c-four"),
        (19, "servers"),
    ]


def test_a_broken_field_has_no_second_problem(problems_of: Callable[[str], tuple[Problem, ...]]) -> None:
    """What stands in for a broken field (a plan, a status, a day) is never itself a problem."""
    text = replaced("personal", "gold").replace("plan: pro", "plan: gold")
    day = "    delete_after: 2026-02-01\n"
    assert [problem.path for problem in problems_of(text)] == ["customers/c-one/plan", "customers/c-two/plan"]
    text = replaced("active\n    cell: eu-2\n", f"asleep\n    cell: eu-2\n{day}")
    assert [problem.path for problem in problems_of(text)] == ["customers/c-two/status"]
    text = replaced("active\n    cell: eu-2\n", f"deleting\n    cell: eu-2\n{day.replace('2026-02-01', 'no')}")
    assert [problem.path for problem in problems_of(text)] == ["customers/c-two/delete_after"]


def test_the_message_counts_the_problems(read: Callable[[str], Registry]) -> None:
    """The error's message has one line for each problem below a line that counts them."""
    with pytest.raises(RegistryError) as caught:
        read(replaced("birch", "admin").replace("personal", "gold"))
    lines = str(caught.value).splitlines()
    assert lines[0] == "The registry is refused as a whole (2 problems); nothing is changed:"
    assert lines[1].startswith("  customers/c-two/subdomain (line 9): `admin` is reserved. Fix: ")
    assert lines[2].startswith("  customers/c-two/plan (line 10): `gold`")


def test_over_full_cells_are_refused(problems_of: Callable[[str], tuple[Problem, ...]]) -> None:
    """A cell with more customers than it may hold is refused by name, with both figures and what to do."""
    entries = "".join(
        f"  c-{number}:\n    subdomain: name{number}\n    plan: personal\n    status: suspended\n    cell: eu-1\n"
        for number in range(51)
    )
    (problem,) = problems_of(f"customers:\n{entries}")
    assert problem.path == "cells/eu-1"
    assert "customers 51 of 50" in problem.reason
    assert "hosting:cells" in problem.fix
    assert problems_of(f"customers:\n{entries}".replace("cell: eu-1", "cell: eu-2", 1)) == ()


def test_entries_without_a_known_plan_fill_no_cell(problems_of: Callable[[str], tuple[Problem, ...]]) -> None:
    """A cell is not called over-full because of an entry whose plan is not known."""
    entries = "".join(
        f"  c-{number}:\n    subdomain: name{number}\n    plan: personal\n    status: active\n    cell: eu-1\n"
        for number in range(50)
    )
    broken = "  c-x:\n    subdomain: name-x\n    plan: gold\n    status: active\n    cell: eu-1\n"
    assert [problem.path for problem in problems_of(f"customers:\n{entries}{broken}")] == ["customers/c-x/plan"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        pytest.param(b"customers:\n  c-\xff:\n", 2, id="no-such-byte"),
        pytest.param(GOOD.encode("utf-16"), 1, id="utf-16"),
        pytest.param("customers: # München\n".encode("latin-1"), 1, id="latin-1"),
        pytest.param(b"a\n\n\xed\xa0\x80", 3, id="surrogate"),
        pytest.param("customers:\n# é".encode()[:-1], 2, id="half-a-character"),
    ],
)
def test_files_that_are_not_utf_8_are_refused(content: bytes, line: int, tmp_path: Path) -> None:
    """The file's path, the line and the byte are named."""
    path = tmp_path / "customers.yaml"
    path.write_bytes(content)
    with pytest.raises(RegistryError) as caught:
        read_text(path)
    (problem,) = caught.value.problems
    assert (problem.path, problem.line) == (str(path), line)
    assert "is not UTF-8" in problem.reason
    assert "UTF-8" in problem.fix


def test_a_missing_file_is_refused(tmp_path: Path, cells: Mapping[str, Cell], today: date) -> None:
    """A file that is not there is a refusal that names it, not an empty registry."""
    with pytest.raises(RegistryError, match=r"customers\.yaml: there is no such file. Fix: restore it from git"):
        load(tmp_path / "customers.yaml", cells=cells, domain="markitup.io", today=today)


def test_the_demo_is_accepted(cells: Mapping[str, Cell], today: date) -> None:
    """The repository's own customers.yaml is accepted and has customers on two cells."""
    registry = load(ROOT / "customers.yaml", cells=cells, domain="markitup.io", today=today)
    assert {entry.cell for entry in registry.customers.values()} == {"eu-1", "eu-2"}
    assert {entry.plan for entry in registry.customers.values()} == {"personal", "team", "pro"}


NOTATION = st.sampled_from(
    ["customers:", "quarantine:", "  c-a:", "  c-b:", "    subdomain: ", "    plan: team", "    status: active",
     "    cell: eu-1", "\n", "\n", "\n", " ", "  ", "\t", ": ", "- ", "? ", "[", "]", "{", "}", "&a ", "*a",
     "!!str ", "!<%C0%80> ", "%YAML 1.1",
     "---",
     "...", "|", ">-", '"', "'", "\\", "#", "<<: ",
     "no", "~", "1e3", "0x1f", "2026-02-30", "\0", "\r", "\x85", "\u2028", "\ufeff",
     "\ud800", "\U0001f600", "=", "@", "`", "%", ",", '"\\ud800"', '"\\x00"', "c-a", "acme"]
)  # fmt: skip
ANYTHING = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=80),
    st.lists(NOTATION, max_size=30).map("".join),
    st.tuples(st.integers(0, len(GOOD)), st.integers(0, 9), st.lists(NOTATION, max_size=3).map("".join)).map(
        lambda cut: GOOD[: cut[0]] + cut[2] + GOOD[cut[0] + cut[1] :]
    ),
)


@settings(max_examples=1_500, deadline=None)
@given(text=ANYTHING)
@example(text="customers: !<%C0%80> x\n")
@example(text="\ud800")
@example(text="customers:\n  c-a:\n    delete_after: '99999999999999999999999'\n")
def test_any_text_is_read_or_refused(text: str, read: Callable[[str], Registry]) -> None:
    """No text makes anything but a registry or a RegistryError that has problems."""
    try:
        registry = read(text)
    except RegistryError as error:
        problems = error.problems
    else:
        assert registry.customers
        return
    assert problems
    assert all(problem.path and problem.reason and problem.fix for problem in problems)


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to be overwritten."""
    return tmp_path_factory.mktemp("load") / "customers.yaml"


@settings(max_examples=500, deadline=None)
@given(content=st.one_of(st.binary(max_size=80), ANYTHING.map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_any_bytes_are_read_or_refused(content: bytes, scratch: Path, cells: Mapping[str, Cell], today: date) -> None:
    """No file makes anything but a registry or a RegistryError that has problems."""
    scratch.write_bytes(content)
    try:
        registry = load(scratch, cells=cells, domain="markitup.io", today=today)
    except RegistryError as error:
        problems = error.problems
    else:
        assert registry.customers
        return
    assert problems


@settings(max_examples=800, deadline=None)
@given(text=ANYTHING, customer_id=st.sampled_from(["c-one", "c-two", "c-x"]))
def test_checking_one_entry_finds_what_checking_all_does(
    text: str, customer_id: str, read: Callable[[str], Registry], cells: Mapping[str, Cell], today: date
) -> None:
    """The short cut for an edit of one entry gives up, or gives what reading the whole file gives."""
    before = (GOOD, read(GOOD))
    edited = parse_edit(before, text, customer_id, cells=cells, domain="markitup.io", today=today)
    assert edited is None or edited == read(text)


@pytest.mark.parametrize(
    "change",
    [
        {"subdomain": "acme"},
        {"subdomain": "admin"},
        {"subdomain": "old-name"},
        {"cell": "eu-9"},
        {"plan": "gold"},
        {"domain": "a.example.org"},
        {"status": "deleting"},
        {"delete_after": "2026-02-01"},
        {"stripe_customer": "cus_1"},
        {"status": "no"},
    ],
)
def test_the_short_cut_gives_up_on_each_broken_rule(
    change: dict[str, object], read: Callable[[str], Registry], cells: Mapping[str, Cell], today: date
) -> None:
    """An edit that breaks a rule, alone or with another entry, is left to the check of the whole file."""
    text = f"{replaced('eu-1', 'eu-1' + chr(10) + '    stripe_customer: cus_1')}quarantine:\n  old-name: 2026-02-01\n"
    after = update(text, "c-two", **change)
    assert after != text
    assert parse_edit((text, read(text)), after, "c-two", cells=cells, domain="markitup.io", today=today) is None
    with pytest.raises(RegistryError, match=r"customers/c-two/"):
        read(after)


def test_a_mistake_in_an_edit_is_reported_with_the_files_line(
    read: Callable[[str], Registry], cells: Mapping[str, Cell], today: date
) -> None:
    """The short cut does not report lines that it counted from the entry's beginning."""
    after = replaced("birch", "no")
    assert parse_edit((GOOD, read(GOOD)), after, "c-two", cells=cells, domain="markitup.io", today=today) is None


def test_an_over_full_cell_is_found_by_the_short_cut(
    read: Callable[[str], Registry], cells: Mapping[str, Cell], today: date
) -> None:
    """An upgrade that overfills the cell is not accepted by looking at the entry alone."""
    entries = "".join(
        f"  c-{number}:\n    subdomain: name{number}\n    plan: pro\n    status: active\n    cell: eu-1\n"
        for number in range(14)
    )
    entry = "  c-x:\n    subdomain: name-x\n    plan: personal\n    status: active\n    cell: eu-1\n"
    text = f"customers:\n{entries}{entry}"
    after = update(text, "c-x", plan="pro")
    assert parse_edit((text, read(text)), after, "c-x", cells=cells, domain="markitup.io", today=today) is None
    with pytest.raises(RegistryError, match=re.escape("cells/eu-1: it is over-full: storage 1500 of 1440")):
        read(after)
