"""Taking the text apart: the quick scanner and the YAML parser are of one opinion."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from registry import document
from registry.document import _parse, _scan, read_document
from registry.errors import RegistryError

ROOT = Path(__file__).parents[2]
START = "customers:\n  c-a:\n    subdomain: acme\n"
WORDS = st.one_of(
    st.sampled_from(
        [
            "acme", "no", "No", "yes", "y", "N", "on", "OFF", "true", "False", "null", "Null", "NULL", "~", "0",
            "017", "1_0", "1e5", "0x1f", "0b1", "1:30", ".inf", ".nan", "2026-01-15", "2026-02-30", "2026-1-5",
            "0000-01-01", "٢٠٢٦-٠١-٠١", "20260115", "2026-01-15T00:00:00Z", "a: b", "a:", "a#b", "a #b", "a  b",
            "-", "- a", "?", "=", "<<", "|", ">", "'a'", '"a"', "[a]", "{}", "{a: b}", "&a b", "*a", "!a b",
            "!!str a", "%a", "@a", "`a", "a\tb", "a\rb", "a\x85b", "a\u2028b", "\ufeff", "\0", "a.b.example.org",
            "cus_A1", "a-", "-a", "a" * 1_100, "", "...", "---"
        ]
    ),
    st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,12}", fullmatch=True),
    st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", fullmatch=True),
    st.text(max_size=6),
)  # fmt: skip
COMMENTS = st.one_of(
    st.just(""),
    st.just(""),
    st.sampled_from([" ", "  ", "\t", "#", " #", " # note", "  # a: b", "\t# tab", "# \x00",
                     " # \r  x: y", " # \x85", " # \u2029",
                     " # é", " # \ufeff", " # \ud800", " # \x7f", " # \ufffe"]),
    st.text(max_size=4).map(lambda text: f" # {text}"),
)  # fmt: skip
PLAIN = st.sampled_from(["acme", "birch", "2026-01-15", "cus_1", "a.b"])
KEYS = st.one_of(
    st.sampled_from(["subdomain", "plan", "status", "a", "b", "c", "yes", "null", "n", "x" * 1_050]), WORDS
)
SECTION = st.sampled_from(["customers:", "quarantine:", "quarantine: {}", "quarantine:{}", "customers: {}", "others:"])
LINE = st.one_of(
    st.tuples(st.sampled_from(["customers:", "quarantine:"]), st.just("")).map("".join),
    st.tuples(SECTION, COMMENTS).map("".join),
    st.tuples(st.just("  "), st.sampled_from(["c-a", "c-b", "c_d"]), st.just(":")).map("".join),
    st.tuples(st.just("  "), KEYS, st.just(":"), COMMENTS).map("".join),
    st.tuples(st.just("  "), KEYS, st.sampled_from([": ", ":  "]), st.one_of(PLAIN, WORDS), COMMENTS).map("".join),
    st.tuples(st.just("    "), st.sampled_from(["a", "b", "c"]), st.just(": "), PLAIN, COMMENTS).map("".join),
    st.tuples(st.just("    "), KEYS, st.sampled_from([": ", ":   ", ":"]), WORDS, COMMENTS).map("".join),
    COMMENTS,
    st.tuples(st.sampled_from([" ", "   ", "      "]), WORDS).map("".join),
)
FILES = st.lists(LINE, max_size=6).map(lambda lines: START + "".join(f"{line}\n" for line in lines))
SIMPLE = """\
# Head.
customers:
  c-a:
    subdomain: acme
    plan: team  # note

  # Next.
  c-b:
    delete_after: 2026-01-15
quarantine:
  old: 2026-01-15
"""


@st.composite
def nearly_simple(draw: st.DrawFn) -> str:
    """Draw a file of simple lines in which one word, comment, key or line is odd."""
    lines = SIMPLE.splitlines()
    number = draw(st.integers(0, len(lines) - 1))
    key, colon, value = lines[number].partition(":")
    indentation = key[: len(key) - len(key.lstrip())]
    lines[number] = draw(
        st.one_of(
            WORDS.map(lambda word: f"{key}: {word}"),
            COMMENTS.map(lambda note: f"{key}{colon}{value}{note}"),
            KEYS.map(lambda name: f"{indentation}{name}:{value}"),
            LINE,
            st.tuples(LINE, st.just(lines[number])).map("\n".join),
        )
    )
    return "".join(f"{line}\n" for line in lines)


@settings(max_examples=2_000, deadline=None)
@given(text=st.one_of(nearly_simple(), nearly_simple(), FILES))
@example(text=f"{START}    plan: 2026-02-30\n")
@example(text=f"{START}    yes: x\n")
@example(text="customers: {}\n  c-a:\n    plan: x\n")
@example(text=f"{START}quarantine:{{}}\n")
@example(text=f"{START}quarantine:#x\n")
@example(text=f"{START}quarantine:\n")
@example(text=f"{START}quarantine: {{}}\n")
@example(text=f"{START}quarantine:\n  old: 2026-01-01\ncustomers:\n  c-b:\n    plan: x\n")
@example(text=f"{START}quarantine:\n  yes: 2026-01-01\n")
@example(text=f"{START}quarantine:\n  {'a' * 1_100}: 2026-01-01\n")
@example(text=f"{START}quarantine: {{}}\n  old: 2026-01-01\n")
@example(text=f"{START}# x\r    plan: pro\n")
@example(text=f"{START}# x\x85    plan: pro\n")
@example(text=f"{START}# \0\n")
@example(text=f"{START}# \ud800\n")
def test_scanner_and_parser_agree(text: str) -> None:
    """What the scanner reads, the YAML parser reads as the same values in the same lines, without a problem."""
    scanned = _scan(text)
    if scanned is not None:
        assert scanned == _parse(text)
        assert scanned.problems == []


@settings(max_examples=300, deadline=None)
@given(
    entries=st.dictionaries(
        st.from_regex(r"c-[a-z0-9]{1,8}", fullmatch=True),
        st.dictionaries(
            st.sampled_from(["subdomain", "plan", "domain", "delete_after"]),
            st.one_of(st.from_regex(r"[a-z]{4}[a-z0-9.-]{2,12}", fullmatch=True), st.dates(date(1000, 1, 1))),
            min_size=1,
        ),
        min_size=1,
        max_size=5,
    ),
    quarantine=st.dictionaries(
        st.from_regex(r"q[a-z0-9-]{3,8}", fullmatch=True), st.dates(date(1000, 1, 1)), max_size=3
    ),
    space=st.sampled_from([" ", "   "]),
    between=st.sampled_from(["", "\n", "  # note: é\n", "# a\n\n    # b\n"]),
)
def test_ordinary_files_are_scanned(
    entries: dict[str, dict[str, object]], quarantine: dict[str, date], space: str, between: str
) -> None:
    """A file of simple lines is not left to the slow parser, and both read what was written, with its lines."""
    lines = ["customers:"]
    for customer_id, fields in entries.items():
        lines += [*between.splitlines(), f"  {customer_id}:{space}# who"]
        lines += [f"    {name}:{space}{value}{space}" for name, value in fields.items()]
    if quarantine:
        lines += [*between.splitlines(), "quarantine:", *(f"  {name}:{space}{day}" for name, day in quarantine.items())]
    text = "".join(f"{line}\n" for line in lines)
    scanned = _scan(text)
    assert scanned is not None
    assert scanned == _parse(text)
    assert {key: raw.fields for key, raw in scanned.entries.items()} == entries
    assert {name: day for name, (day, _) in scanned.quarantine.items()} == quarantine
    for customer_id, raw in scanned.entries.items():
        assert lines[raw.line - 1].startswith(f"  {customer_id}:")
        assert all(lines[raw.lines[name] - 1].startswith(f"    {name}:") for name in raw.fields)


def test_the_demo_is_scanned() -> None:
    """The repository's own customers.yaml takes the quick way, and both ways agree on it."""
    text = (ROOT / "customers.yaml").read_text(encoding="utf-8")
    scanned = _scan(text)
    assert scanned is not None
    assert scanned == _parse(text)
    assert len(scanned.entries) == 6


def test_quoted_text_is_text() -> None:
    """In quotes, a word or number that YAML would read as something else is text."""
    text = "customers:\n  c-a:\n    subdomain: \"no\"\n    plan: '123'\n"
    assert read_document(text).entries["c-a"].fields == {"subdomain": "no", "plan": "123"}


def test_days_are_dates() -> None:
    """A day is a date, whichever way it is read."""
    text = "customers:\n  c-a:\n    delete_after: 2026-01-15\n"
    assert read_document(text).entries["c-a"].fields == {"delete_after": date(2026, 1, 15)}
    assert _parse(text).entries["c-a"].fields == {"delete_after": date(2026, 1, 15)}


@pytest.mark.parametrize("line", [1, 2, 500])
def test_the_line_of_a_mistake_is_exact(line: int) -> None:
    """A mistake's line is counted from 1, through comments and blank lines."""
    text = "# é\n" * (line - 1) + "customers: [\n"
    with pytest.raises(RegistryError) as caught:
        read_document(text.replace("[", "\0"))
    assert caught.value.problems[0].line == line


def test_size_is_limited_before_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file over the limit is refused even where each line of it is simple; one at the limit is read."""
    monkeypatch.setattr(document, "LARGEST_FILE", len(START))
    assert read_document(START).entries
    with pytest.raises(RegistryError, match="larger than"):
        read_document(f"{START}\n")


def test_depth_is_counted_and_not_reached_by_good_files() -> None:
    """Six levels are read (and then judged), the seventh is refused."""
    assert read_document(f"customers: {'[' * 5}{']' * 5}\n").problems
    with pytest.raises(RegistryError, match="nested too deeply"):
        read_document(f"customers: {'[' * 6}{']' * 6}\n")
