"""Renders letters: a text and an HTML part from one pair of templates, the subject from the text's first line."""

from __future__ import annotations

from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import formatdate
from hashlib import sha256

import css_inline
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from registry.wishes import MailKind

_INLINER = css_inline.CSSInliner(load_remote_stylesheets=False)


def write(letter: MailKind, *, to: str, sender: str, cause: str, facts: Mapping[str, object]) -> EmailMessage:
    """Return a letter, ready to be sent.

    Args:
        letter: Which one: ``templates/<letter>.txt.j2`` and ``.html.j2``.
        to: The customer's address.
        sender: Our address.
        cause: What made it necessary; the same cause gives the same Message-ID.
        facts: What the templates tell; a missing one is an error, not a gap in the text.

    Raises:
        jinja2.UndefinedError: a fact is missing.
        ValueError: an address has a line break in it.
    """
    text = _templates().get_template(f"{letter}.txt.j2").render(facts)
    subject, _, body = text.partition("\n")
    html = _templates().get_template(f"{letter}.html.j2").render({**facts, "subject": subject})
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = sender
    message["To"] = to
    message["Date"] = formatdate(localtime=False, usegmt=True)
    message["Message-ID"] = message_id(cause, sender)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(body.lstrip("\n"))
    message.add_alternative(_INLINER.inline(html), subtype="html")
    return message


def message_id(cause: str, sender: str) -> str:
    """Return the identity of the letter that a cause makes: mail programs show one of two with the same."""
    domain = sender.rpartition("@")[2].rstrip(">")
    return f"<{sha256(cause.encode()).hexdigest()[:32]}@{domain}>"


def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("webhook.mail", "templates"),
        undefined=StrictUndefined,
        autoescape=select_autoescape(["html.j2"]),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
