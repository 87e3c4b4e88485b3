"""Sends letters by SMTP."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage

SECONDS = 20.0


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
        """
        context = ssl.create_default_context()
        if self.tls == "tls":
            with smtplib.SMTP_SSL(self.host, self.port, timeout=SECONDS, context=context) as server:
                self._send(server, message)
            return
        with smtplib.SMTP(self.host, self.port, timeout=SECONDS) as server:
            if self.tls == "starttls":
                server.starttls(context=context)
            self._send(server, message)

    def _send(self, server: smtplib.SMTP, message: EmailMessage) -> None:
        if self.user is not None:
            server.login(self.user, self.password or "")
        server.send_message(message)
