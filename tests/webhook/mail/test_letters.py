"""Letters: both parts say the same, nothing is left open, nothing of a customer's is markup."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from registry.wishes import MailKind
from webhook.mail.letters import write

FACTS = {
    "url": "https://acme.markitup.io",
    "portal_url": "https://portal.markitup.io",
    "plan": "team",
    "users": 5,
    "storage_gib": 25,
    "attempt": 1,
    "attempts_until_suspension": 2,
    "reason": "the third payment attempt failed",
    "last_day": "2026-12-01",
    "day": "2026-12-02",
    "quarantine_until": "2027-03-02",
    "domain": "wiki.example.org",
}


def letter(kind: MailKind, facts: dict[str, object] | None = None, *, cause: str = "evt_1", to: str = "a@example.org"):  # noqa: ANN201
    """Write one."""
    return write(kind, to=to, sender="MarkItUp <hosting@markitup.io>", cause=cause, facts=facts or FACTS)


@pytest.mark.parametrize("kind", list(MailKind))
def test_every_letter_has_a_subject_and_two_parts(kind: MailKind) -> None:
    """No placeholder is left, the address of the wiki is in both parts, styles are inline."""
    message = letter(kind)
    text = message.get_body(("plain",))
    html = message.get_body(("html",))
    assert text is not None
    assert html is not None
    whole = f"{message['Subject']}\n{text.get_content()}\n{html.get_content()}"
    assert "{{" not in whole
    assert "{%" not in whole
    assert "acme.markitup.io" in message["Subject"] + text.get_content()
    assert "acme.markitup.io" in html.get_content()
    assert '<h1 style="' in html.get_content()
    assert "\n" not in message["Subject"]


def test_a_missing_fact_is_an_error() -> None:
    """Rather no letter than one with a gap."""
    with pytest.raises(UndefinedError, match="plan"):
        letter(MailKind.WELCOME, {name: value for name, value in FACTS.items() if name != "plan"})


def test_what_a_customer_chose_is_no_markup() -> None:
    """A fact with HTML in it is text in the HTML part."""
    html = letter(MailKind.SUSPENDED, {**FACTS, "reason": "<script>x</script>"}).get_body(("html",))
    assert html is not None
    assert "<script>" not in html.get_content()
    assert "&lt;script&gt;" in html.get_content()


def test_the_same_cause_is_the_same_letter() -> None:
    """Message-IDs follow the cause, so that a mail program shows a repeated letter once."""
    first, again, other = letter(MailKind.RESUMED), letter(MailKind.RESUMED), letter(MailKind.RESUMED, cause="evt_2")
    assert first["Message-ID"] == again["Message-ID"] != other["Message-ID"]
    assert first["Message-ID"].endswith("@markitup.io>")


def test_an_address_cannot_add_headers() -> None:
    """A line break in an address is refused."""
    with pytest.raises(ValueError, match="linefeed"):
        letter(MailKind.RESUMED, to="a@example.org\nBcc: everyone@example.org")
