"""Edits of the text: they do what they say, and leave every other byte alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.cells import Cell
from registry.customers import Customer, Registry, Status
from registry.edits import add, entry_at, remove, update, without_entry
from registry.errors import RegistryError
from registry.load import parse_edit

UNTIL = date(2026, 4, 15)
TEXT = """\
# Head.
customers:
  # The first.
  c-one:
    subdomain: acme  # short
    plan: team
    status: active

    # Inside.
    cell: eu-1
    ring: canary
  # The second.
  c-two:
    subdomain: "birch"
    plan: pro
    status:   active
    cell: eu-2
    domain: wiki.example.org

# About names.
quarantine:
  old: 2026-02-01
"""
NEW = Customer(
    subdomain="cobalt", plan="pro", status=Status.PENDING, cell="us-1", stripe_customer="cus_new", region="us"
)
NEW_LINES = """\
  c-new:
    subdomain: cobalt
    plan: pro
    status: pending
    cell: us-1
    stripe_customer: cus_new
    region: us
"""


def test_an_entry_is_added_at_the_end_of_the_customers() -> None:
    """The new entry comes after the last one and before the comment on what follows."""
    assert add(TEXT, "c-new", NEW) == TEXT.replace("\n\n# About", f"\n{NEW_LINES}\n# About")


def test_an_entry_is_added_at_the_end_of_the_file() -> None:
    """Without a quarantine section the new entry comes last, but for blank lines and comments at the left margin."""
    text = TEXT[: TEXT.index("\n# About")]
    assert add(text, "c-new", NEW) == text + NEW_LINES
    assert add(f"{text}\n# End.\n", "c-new", NEW) == f"{text}{NEW_LINES}\n# End.\n"


def test_an_entry_is_added_behind_a_line_without_an_end() -> None:
    """A file whose last line has no line end gets one; the new entry is not glued to the last value."""
    text = TEXT[: TEXT.index("\n# About")]
    assert add(text.removesuffix("\n"), "c-new", NEW) == text + NEW_LINES


def test_an_id_is_not_added_twice() -> None:
    """An id that is there already is refused."""
    with pytest.raises(RegistryError, match="customers/c-one: it is there already"):
        add(TEXT, "c-one", NEW)


@pytest.mark.parametrize(
    "text", ["", "customers: {}\n", "customers: {c-a: {plan: pro}}\n", "quarantine:\n", "# customers:\n"]
)
def test_nothing_is_added_without_a_section_in_block_style(text: str) -> None:
    """A file without `customers:` on a line of its own is refused, not damaged."""
    with pytest.raises(RegistryError, match=r"no section `customers:`"):
        add(text, "c-new", NEW)


@pytest.mark.parametrize(
    ("changes", "old", "new"),
    [
        ({"plan": "personal"}, "    plan: team\n", "    plan: personal\n"),
        ({"subdomain": "other"}, "acme  # short", "other  # short"),
        ({"cell": "us-1"}, "    cell: eu-1\n", "    cell: us-1\n"),
        ({"ring": None}, "    ring: canary\n", ""),
        ({"region": None}, "", ""),
        ({"stripe_customer": "cus_1"}, "cell: eu-1\n", "cell: eu-1\n    stripe_customer: cus_1\n"),
        ({"delete_after": UNTIL}, "ring: canary\n", "ring: canary\n    delete_after: 2026-04-15\n"),
        ({"region": "eu", "ring": None}, "    ring: canary\n", "    region: eu\n"),
        ({"subdomain": "no"}, "acme  # short", '"no"  # short'),
        ({"subdomain": "123"}, "acme  # short", '"123"  # short'),
        ({"subdomain": "2026-01-15"}, "acme  # short", '"2026-01-15"  # short'),
        ({"subdomain": "a: b\n  c-x:"}, "acme  # short", '"a: b\\n  c-x:"  # short'),
    ],
)
def test_a_field_is_changed_in_its_place(changes: Mapping[str, object], old: str, new: str) -> None:
    """A field keeps its place and comment; a new one stands in the usual order; other fields stay as they are."""
    assert update(TEXT, "c-one", **changes) == TEXT.replace(old, new, 1 if old else 0)


def test_odd_spacing_elsewhere_in_the_entry_stays() -> None:
    """A change of one field leaves another's spacing and quotes."""
    assert update(TEXT, "c-two", plan="team") == TEXT.replace("plan: pro", "plan: team")
    assert update(TEXT, "c-two", status="suspended") == TEXT.replace("status:   active", "status: suspended")


def test_removal_takes_the_entry_and_keeps_its_name() -> None:
    """The entry with its comments inside is gone, its name is in quarantine, all else is as it was."""
    start, end = TEXT.index("  c-one:"), TEXT.index("  # The second.")
    expected = (TEXT[:start] + TEXT[end:]).replace("quarantine:\n", "quarantine:\n  acme: 2026-04-15\n")
    assert remove(TEXT, "c-one", quarantine_until=UNTIL) == expected


def test_removal_opens_a_quarantine() -> None:
    """Without a quarantine section one is made at the end; an empty one in braces is opened."""
    text = TEXT[: TEXT.index("\n# About")]
    removed = text[: text.index("  c-two:")]
    about = "\n# Names of deleted customers and the day until which nobody else gets them.\n"
    assert remove(text, "c-two", quarantine_until=UNTIL) == f"{removed}{about}quarantine:\n  birch: 2026-04-15\n"
    braces = remove(f"{text}quarantine: {{}}  # {{}}\n", "c-two", quarantine_until=UNTIL)
    assert braces == f"{removed}quarantine:  # {{}}\n  birch: 2026-04-15\n"


def test_removal_behind_a_line_without_an_end_leaves_nothing() -> None:
    """The last line of a file without a line end goes with its entry, not over to the entry before it."""
    text = TEXT[: TEXT.index("\n# About")]
    assert remove(text.removesuffix("\n"), "c-two", quarantine_until=UNTIL) == remove(
        text, "c-two", quarantine_until=UNTIL
    )


@pytest.mark.parametrize(
    "between", ["\n\n", "# note\n", "  # note\n", "\n  # note\n\n", "      # note\n", "   \n# a\n    # b\n"]
)
def test_removal_does_not_stop_at_comments_inside(between: str, read: Callable[[str], Registry]) -> None:
    """Blank lines and comments before a last field do not leave that field to the customer above."""
    text = TEXT.replace("    domain: wiki", f"{between}    domain: wiki").replace("plan: team", "plan: pro")
    assert "c-two" in read(text).customers
    removed = remove(text, "c-two", quarantine_until=UNTIL)
    assert "wiki.example.org" not in removed
    assert read(removed).customers == {"c-one": read(text).customers["c-one"]}


@pytest.mark.parametrize("name", ["123", "null", "yes", "off", "2026-01-15", "4chan"])
def test_names_that_yaml_reads_otherwise_can_be_removed(name: str, read: Callable[[str], Registry]) -> None:
    """A name such as `123` or `off` goes into quarantine as text."""
    text = TEXT.replace("acme", f'"{name}"')
    assert read(remove(text, "c-one", quarantine_until=UNTIL)).quarantine == {name: UNTIL, "old": date(2026, 2, 1)}


@pytest.mark.parametrize(
    "earlier", ["  acme: 2025-01-01\n", '  "acme": 2025-01-01  # first owner\n', "  'acme': 2025-01-01\n"]
)
def test_a_name_can_go_into_quarantine_again(earlier: str, read: Callable[[str], Registry]) -> None:
    """The name of a second owner replaces the one that was in quarantine before, and no other line."""
    text = f"{TEXT}{earlier}  acme2: 2026-02-02\n"
    assert read(text)
    removed = remove(text, "c-one", quarantine_until=UNTIL)
    assert removed == remove(f"{TEXT}  acme2: 2026-02-02\n", "c-one", quarantine_until=UNTIL)
    assert read(removed).quarantine["acme"] == UNTIL


@pytest.mark.parametrize("customer_id", ["c-x", "c-on", "one", "c.one", "quarantine", "old", "c-one:"])
def test_other_ids_are_refused(customer_id: str) -> None:
    """An id that is not there is refused by every edit of an entry."""
    for edit in (
        lambda: update(TEXT, customer_id, plan="pro"),
        lambda: remove(TEXT, customer_id, quarantine_until=UNTIL),
        lambda: entry_at(TEXT, customer_id),
    ):
        with pytest.raises(RegistryError, match="there is no such entry"):
            edit()
    assert without_entry(TEXT, customer_id) is None


@pytest.mark.parametrize(
    "entry", ["  c-two: {subdomain: birch}\n", '  "c-two":\n    subdomain: birch\n', "    c-two:\n      plan: pro\n"]
)
def test_other_notations_are_refused(entry: str) -> None:
    """An entry in another notation than one line a field is refused, not half edited."""
    with pytest.raises(RegistryError, match="it is not written as"):
        update(f"customers:\n{entry}", "c-two", plan="team")


def test_an_entry_without_a_name_is_not_removed() -> None:
    """An entry without a subdomain has nothing to put into quarantine: refused."""
    with pytest.raises(RegistryError, match="customers/c-a: it has no subdomain"):
        remove("customers:\n  c-a:\n    plan: pro\n", "c-a", quarantine_until=UNTIL)


def test_one_entry_is_read_by_itself() -> None:
    """An entry is found with its fields although others are broken."""
    assert entry_at(TEXT.replace("acme", "[x"), "c-two").fields == {
        "subdomain": "birch", "plan": "pro", "status": "active", "cell": "eu-2", "domain": "wiki.example.org",
    }  # fmt: skip
    with pytest.raises(RegistryError, match="true or false"):
        entry_at(TEXT.replace("acme", "no"), "c-one")


@dataclass(frozen=True)
class Written:
    """A registry's text in pieces: each line with the customer whose it is, if any."""

    lines: tuple[tuple[str | None, str], ...]
    customers: Mapping[str, Customer]
    quarantine: Mapping[str, date]
    ended: bool

    @property
    def text(self) -> str:
        """The whole text."""
        text = "".join(line for _, line in self.lines)
        return text if self.ended or self.lines[-1][1] == "\n" else text.removesuffix("\n")

    def around(self, customer_id: str) -> tuple[str, str, str]:
        """What comes before, in and after an entry, its heading included; the last line ended."""
        mine = [number for number, (owner, _) in enumerate(self.lines) if owner == customer_id]
        first, last = mine[0], mine[-1] + 1
        assert last - first == len(mine)
        before, inside, after = ("".join(line for _, line in part) for part in (
            self.lines[:first], self.lines[first:last], self.lines[last:]))  # fmt: skip
        return before, inside, after


SPACE = st.sampled_from(["", "", "", " ", "   "])
NOTE = st.sampled_from(["", "", "  # note", " # a: b é", " #", "   # c-0:"])
LOOSE = st.lists(
    st.sampled_from(["\n", "\n", "# left: x\n", "  # c-9:\n", "   \n", " # \U0001f600\n", "  #   subdomain: x\n"]),
    max_size=3,
)
INSIDE = st.lists(
    st.sampled_from(
        ["\n", "    # plan: x\n", "# left\n", "  # two\n", "        # deep\n", "  \n", "    #ring: early\n"]
    ),
    max_size=2,
)
MARGIN = st.lists(st.sampled_from(["\n", "# left: x\n", "#\n"]), max_size=3)


@st.composite
def registries(draw: st.DrawFn) -> Written:
    """Draw a registry of two to five customers with comments and odd spacing."""
    names = draw(st.lists(st.sampled_from([f"{w}{n}" for w in ("acme", "4ch", "77", "x-y-") for n in range(10, 16)]),
                          min_size=2, max_size=5, unique=True))  # fmt: skip
    customers: dict[str, Customer] = {}
    body: list[tuple[str | None, str]] = []
    for number, name in enumerate(names):
        customer_id = f"c-{number}"
        status = draw(st.sampled_from(list(Status)))
        fields: dict[str, object] = {
            "subdomain": name,
            "plan": draw(st.sampled_from(["personal", "team", "pro"])),
            "status": status,
            "cell": draw(st.sampled_from(["eu-1", "eu-2", "us-1"])),
        }
        if draw(st.booleans()):
            fields["ring"] = draw(st.sampled_from(["canary", "early", "stable"]))
        if draw(st.booleans()):
            fields["stripe_customer"] = f"cus_{number}"
        if fields["plan"] == "pro" and draw(st.booleans()):
            fields["domain"] = f"{name}.example.org"
        if status in {Status.DELETING, Status.PURGING}:
            fields["delete_after"] = draw(st.dates(date(2026, 1, 1), date(2026, 12, 31)))
        customers[customer_id] = Customer.model_validate(fields)
        body += [(None, line) for line in draw(LOOSE)]
        body.append((customer_id, f"  {customer_id}:{draw(NOTE)}\n"))
        for key in draw(st.permutations(sorted(fields))):
            body += [(customer_id, line) for line in draw(INSIDE)]
            value = str(fields[key])
            quote = draw(st.sampled_from(["", "", '"', "'"])) if key != "delete_after" else ""
            quote = '"' if value.isdigit() else quote
            body.append((customer_id, f"    {key}: {draw(SPACE)}{quote}{value}{quote}{draw(SPACE)}{draw(NOTE)}\n"))
    quarantine = draw(st.dictionaries(st.sampled_from(["old-a", "old-b", "yes", "99"]), st.dates(), max_size=3))
    section = [(None, line) for line in draw(MARGIN)]
    how = draw(st.sampled_from(["block", "block", "absent"])) if not quarantine else "block"
    empty = draw(st.sampled_from(["", " {}"])) if not quarantine else ""
    if how == "block":
        section.append((None, f"quarantine:{empty}{draw(NOTE)}\n"))
        section += [(None, f'  "{name}": {day}{draw(NOTE)}\n') for name, day in quarantine.items()]
    head = [(None, line) for line in draw(MARGIN)]
    main = [*head, (None, f"customers:{draw(NOTE)}\n"), *body]
    lines = [*section, *main] if how == "block" and draw(st.booleans()) else [*main, *section]
    return Written(lines=tuple(lines), customers=customers, quarantine=quarantine, ended=draw(st.booleans()))


@settings(max_examples=200, deadline=None)
@given(written=registries())
def test_adding_leaves_all_other_bytes(written: Written, read: Callable[[str], Registry]) -> None:
    """Added lines stand together; without them the text is as before, and it reads as one customer more."""
    assert read(written.text) == Registry(customers=written.customers, quarantine=written.quarantine)
    after = add(written.text, "c-new", NEW)
    assert after.count(NEW_LINES) == 1
    assert after.replace(NEW_LINES, "") == "".join(line for _, line in written.lines)
    assert read(after) == Registry(customers={**written.customers, "c-new": NEW}, quarantine=written.quarantine)
    assert list(read(after).customers) == [*written.customers, "c-new"]


@settings(max_examples=250, deadline=None)
@given(written=registries(), pick=st.integers(0, 4), data=st.data())
def test_updating_leaves_all_other_bytes(
    written: Written,
    pick: int,
    data: st.DataObject,
    read: Callable[[str], Registry],
    cells: Mapping[str, Cell],
    today: date,
) -> None:
    """Only the line of the changed field differs, and the text reads as that field changed, the quick way too."""
    customer_id = [*written.customers][pick % len(written.customers)]
    before, inside, after = written.around(customer_id)
    name, value = data.draw(
        st.sampled_from([("subdomain", "other"), ("subdomain", "888"), ("cell", "eu-1"), ("ring", "early"),
                         ("ring", None), ("region", "asia"), ("region", None), ("stripe_customer", None),
                         ("stripe_subscription", "sub_9")])
    )  # fmt: skip
    edited = update(written.text, customer_id, **{name: value})
    assert edited.startswith(before)
    assert edited.endswith(after)
    now = edited[len(before) : len(edited) - len(after)]

    def others(text: str) -> list[str]:
        return [line for line in text.splitlines() if not line.startswith(f"    {name}:")]

    assert others(now) == others(inside)
    changed = written.customers[customer_id].model_dump(exclude_none=True)
    changed |= {name: value} if value is not None else {}
    if value is None:
        changed.pop(name, None)
    expected = {**written.customers, customer_id: Customer.model_validate(changed)}
    registry = read(edited)
    assert registry == Registry(customers=expected, quarantine=written.quarantine)
    checked = (written.text, read(written.text))
    quickly = parse_edit(checked, edited, customer_id, cells=cells, domain="markitup.io", today=today)
    # It gives up where the entry's last field went and left blank lines, which belong to what follows then.
    assert quickly == registry or (quickly is None and value is None)


@settings(max_examples=200, deadline=None)
@given(written=registries(), pick=st.integers(0, 4))
def test_removing_leaves_all_other_bytes(written: Written, pick: int, read: Callable[[str], Registry]) -> None:
    """The entry's own lines go and one line of quarantine comes; the text reads as one customer less."""
    customer_id = [*written.customers][pick % len(written.customers)]
    name = written.customers[customer_id].subdomain
    before, _, after = written.around(customer_id)
    edited = remove(written.text, customer_id, quarantine_until=UNTIL)
    (line,) = [
        line for line in edited.splitlines(keepends=True) if line.strip() in {f"{name}: {UNTIL}", f'"{name}": {UNTIL}'}
    ]
    rest = edited.replace(line, "", 1)
    kept = before + after
    if not any(row.startswith("quarantine:") for row in kept.splitlines()):
        assert rest.startswith(kept)
        assert rest.removeprefix(kept).splitlines()[0::2] == ["", "quarantine:"]
    else:
        assert rest == kept.replace("quarantine: {}", "quarantine:")
    remaining = {key: entry for key, entry in written.customers.items() if key != customer_id}
    assert read(edited) == Registry(customers=remaining, quarantine={**written.quarantine, name: UNTIL})


@settings(max_examples=100, deadline=None)
@given(written=registries(), data=st.data())
def test_what_is_outside_an_entry_is_outside(written: Written, data: st.DataObject) -> None:
    """A change outside an entry shows in the text without the entry; a change of its fields does not."""
    customer_id = data.draw(st.sampled_from([*written.customers]))
    number = data.draw(st.integers(0, len(written.lines) - 1))
    owner, line = written.lines[number]
    heading = line.startswith(f"  {customer_id}:")
    lines = [*written.lines]
    lines[number] = (owner, f"{line.removesuffix(chr(10))}# more\n" if "#" in line else f"{line.rstrip()}  # more\n")
    changed = Written(lines=tuple(lines), customers={}, quarantine={}, ended=True).text
    same = without_entry(changed, customer_id) == without_entry(written.text, customer_id)
    assert same == (owner == customer_id and not heading)
