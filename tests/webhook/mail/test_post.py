"""Sending by real SMTP."""

from __future__ import annotations

import smtplib
import socket
import socketserver
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any, ClassVar

import pytest
from aiosmtpd.controller import Controller

from registry.wishes import MailKind
from webhook.mail.letters import write
from webhook.mail.post import InDoubtError, Post


class Box:
    """Takes mail, except for one address."""

    def __init__(self) -> None:
        self.taken: list[Any] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if address.startswith("nobody@"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.taken.append(envelope)
        return "250 OK"


@pytest.fixture
def box() -> Iterator[tuple[Box, Post]]:
    """Run a mail server of the test's own."""
    handler = Box()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    yield handler, Post(host="127.0.0.1", port=port, tls="none")
    controller.stop()


def message(to: str) -> EmailMessage:
    """Write a letter."""
    facts = {"url": "https://acme.markitup.io", "portal_url": "https://portal.markitup.io"}
    return write(MailKind.RESUMED, to=to, sender="hosting@markitup.io", cause="evt_1", facts=facts)


def test_a_letter_arrives(box: tuple[Box, Post]) -> None:
    """The server gets sender, recipient and both parts."""
    handler, post = box
    post.send(message("ann@example.org"))
    (envelope,) = handler.taken
    assert (envelope.mail_from, envelope.rcpt_tos) == ("hosting@markitup.io", ["ann@example.org"])
    assert b"multipart/alternative" in envelope.content


def test_a_refusal_is_an_error(box: tuple[Box, Post]) -> None:
    """A mailbox that does not exist is told, so that it is not recorded as sent."""
    handler, post = box
    with pytest.raises(smtplib.SMTPRecipientsRefused, match="no such mailbox"):
        post.send(message("nobody@example.org"))
    assert handler.taken == []


class Moody(socketserver.StreamRequestHandler):
    """A mail server that is well until it has the whole letter."""

    after_the_letter: ClassVar[bytes] = b""
    after_quit: ClassVar[bytes] = b"221 bye"

    def handle(self) -> None:
        self.wfile.write(b"220 moody\r\n")
        for line in self.rfile:
            word = line.split()[0].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                while self.rfile.readline() != b".\r\n":
                    pass
                if not self.after_the_letter:
                    return
                self.wfile.write(self.after_the_letter + b"\r\n")
            else:
                self.wfile.write((self.after_quit if word == b"QUIT" else b"250 fine") + b"\r\n")


@pytest.fixture
def moody() -> Iterator[Post]:
    """Run such a server."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Moody) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield Post(host="127.0.0.1", port=server.server_address[1], tls="none")
        server.shutdown()
        thread.join()


def test_a_line_that_breaks_after_the_letter_leaves_a_doubt(moody: Post) -> None:
    """The server has it all and says nothing: it may deliver it, so this is no refusal."""
    with pytest.raises(InDoubtError, match="may have been taken"):
        moody.send(message("ann@example.org"))


def test_what_comes_after_the_receipt_means_nothing(moody: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that took the letter and is rude at the end has taken it; one that declines it has not."""
    monkeypatch.setattr(Moody, "after_the_letter", b"250 taken")
    monkeypatch.setattr(Moody, "after_quit", b"421 too many connections")
    moody.send(message("ann@example.org"))
    monkeypatch.setattr(Moody, "after_the_letter", b"452 no room")
    with pytest.raises(smtplib.SMTPDataError, match="no room"):
        moody.send(message("ann@example.org"))


def test_tls_is_not_given_up_silently(box: tuple[Box, Post]) -> None:
    """A server that offers no STARTTLS gets nothing by a setting that wants it."""
    handler, post = box
    with pytest.raises(smtplib.SMTPNotSupportedError):
        Post(host=post.host, port=post.port, tls="starttls").send(message("ann@example.org"))
    assert handler.taken == []
