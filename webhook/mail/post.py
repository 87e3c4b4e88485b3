"""Sends letters by SMTP."""

from __future__ import annotations

import smtplib
import ssl
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

SECONDS = 20.0
TAKING_SECONDS = 600.0
"""From the letter's last line to the server's word that it has it (RFC 5321, 4.5.3.2.6): it may look through it."""


class InDoubtError(Exception):
    """The line broke while the letter was handed over: it may have been taken, or not."""


@dataclass(frozen=True, kw_only=True)
class Post:
    """A mail server.

    Attributes:
        host: Its name.
        port: 587 for STARTTLS, 465 for TLS from the start, anything else for plain text (a laptop's).
        user: Login, if it wants one.
        password: For the login.
        tls: ``starttls``, ``tls`` or ``none``.
    """

    host: str
    port: int
    user: str | None = None
    password: str | None = None
    tls: str = "starttls"

    def send(self, message: EmailMessage) -> None:
        """Hand a letter over.

        Raises:
            smtplib.SMTPException, OSError: the server refused or could not be reached; it was not taken.
            InDoubtError: nobody knows whether it was taken.
        """
        context = ssl.create_default_context()
        if self.tls == "tls":
            server = _TlsHandover(self.host, self.port, timeout=SECONDS, context=context)
        else:
            server = _Handover(self.host, self.port, timeout=SECONDS)
        try:
            if self.tls == "starttls":
                server.starttls(context=context)
            if self.user is not None:
                server.login(self.user, self.password or "")
            server.send_message(message)
        finally:
            with suppress(OSError):  # what is said at the end changes nothing
                server.quit()


class _Handover(smtplib.SMTP):
    """Tells a refusal from a line that breaks when the letter may be on the other side already."""

    def data(self, msg: Any) -> tuple[int, bytes]:  # noqa: ANN401 - as the library has it
        """Hand the text over; return the server's answer."""
        if self.sock is not None:
            self.sock.settimeout(TAKING_SECONDS)
        try:
            return super().data(msg)
        except smtplib.SMTPResponseException:
            raise
        except OSError as error:
            text = f"the mail server fell silent while it was given a letter, which may have been taken: {error}"
            raise InDoubtError(text) from error


class _TlsHandover(_Handover, smtplib.SMTP_SSL):
    """The same with TLS from the start."""
