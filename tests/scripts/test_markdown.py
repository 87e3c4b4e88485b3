"""Values within Markdown, read by a real parser as GitHub reads it: code, and nothing but code."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from registry.errors import Problem
from registry.review import refused
from scripts.markdown import block, code, fitting, printable, table
from scripts.review_markdown import github_annotations
from scripts.review_report import Report

NASTY = "`|\\<>&*_[]()#!@~-+ \n\t\r\u202e\u2028\u00a0:%"
values = st.text(alphabet=st.one_of(st.sampled_from(NASTY), st.characters(codec="utf-8")), max_size=40)


def parsed(lines: list[str]) -> list[Token]:
    """Return the tokens of Markdown with tables."""
    return MarkdownIt("commonmark", {"html": True}).enable("table").parse("\n".join(lines))


@settings(max_examples=1_000, deadline=None)
@given(first=values, second=values)
@example(first="a|b", second="``` x")
@example(first="`", second="\\")
@example(first="\\|", second="<b>")
def test_a_table_keeps_its_shape(first: str, second: str) -> None:
    """Two values are two cells of one row, each a single piece of code that shows the value."""
    tokens = parsed(table(("one", "two"), [(code(first), code(second))]))
    inlines = [each for each in tokens if each.type == "inline"][2:]
    assert len(inlines) == 2
    for cell, value in zip(inlines, (first, second), strict=True):
        children = cell.children or []
        assert [each.type for each in children] == ["code_inline"]
        assert "|" not in children[0].content
        assert children[0].content.strip(" ") == printable(value).replace("|", "\\u007c").strip(" ")


@settings(max_examples=500, deadline=None)
@given(st.lists(values, max_size=6))
def test_a_block_ends_where_it_should(lines: list[str]) -> None:
    """Whatever the lines hold, they are one block of code with as many lines, and what follows is outside."""
    fence, after, *_ = [each for each in parsed([*block(lines), "after"]) if each.type in {"fence", "inline"}]
    assert fence.content == "".join(f"{printable(each)}\n" for each in lines)
    assert after.content == "after"


@settings(max_examples=500, deadline=None)
@given(values)
def test_every_character_is_seen(value: str) -> None:
    """One line, in which nothing hides or turns the line around."""
    line = printable(value)
    assert line.isprintable()
    assert len(line.splitlines()) <= 1
    assert printable("a\u202eb\u200bc") == "a\\u202eb\\u200bc"


def test_what_does_not_fit_is_counted() -> None:
    """The first lines stay; nothing is cut in its middle."""
    lines = [f"{number:0100}" for number in range(1_000)]
    shown = fitting(lines)
    assert shown[:-1] == lines[: len(shown) - 1]
    assert shown[-1] == f"... and {1_000 - len(shown) + 1} more: --json has all"
    assert 15_000 < sum(len(each) + 1 for each in shown) < 19_000
    assert fitting(lines[:10]) == lines[:10]


def test_annotations_are_escaped() -> None:
    """Neither a value with line ends nor one with GitHub's own escapes becomes another command or property."""
    problem = Problem(path="a:b,c%3A", reason="100%0A\n::error::x", fix="mend it", line=3)
    report = Report(base=None, head="abc", file="customers.yaml", review=refused((problem,)))
    assert list(github_annotations(report)) == [
        "::error file=customers.yaml,line=3,title=a%3Ab%2Cc%253A::100%250A ::error::x. Fix: mend it"
    ]
