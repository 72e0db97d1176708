"""Send a notice as an e-mail through a server of SMTP."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from kernelsight.errors import UsageError
from kernelsight.surfaces.notify.channel import ChannelError
from kernelsight.surfaces.notify.notice import Notice

_TIMEOUT_S = 15.0
_LONGEST_SUBJECT = 150
_SUBMISSION = 587
_LAST_PORT = 65_535


class Email:
    """Some addresses, behind one server. Where it offers TLS, that is used, and its certificate verified."""

    def __init__(
        self, to: Sequence[str], server: str = "localhost:25", sender: str | None = None, login: str | None = None
    ) -> None:
        """Name it.

        Args:
            to: addresses.
            server: HOST or HOST:PORT.
            sender: address of the sender; `kernelsight@<host of the notice>` where there is none.
            login: USER:PASSWORD; then the server must offer TLS.

        Raises:
            UsageError: an address or the server is none, or the login cannot be sent.
        """
        for address in (*to, *([sender] if sender else [])):
            if "@" not in address or not address.isprintable() or set(" ,;<>") & set(address):
                raise UsageError(f"{address!r} is no address of e-mail")
        host, _, port = server.partition(":")
        if not host or (port and not (port.isascii() and port.isdigit() and 0 < int(port[:6]) <= _LAST_PORT)):
            raise UsageError(f"--smtp {server}: give HOST or HOST:PORT, such as mail.example.org:587")
        if login and not (login.isascii() and login.isprintable() and ":" in login):
            raise UsageError("--smtp-login-file: it does not hold USER:PASSWORD in one line of ASCII")
        self.name = f"e-mail through {host}"
        self._to, self._sender, self._login = list(to), sender, login
        self._host, self._port = host, int(port) if port else (_SUBMISSION if login else smtplib.SMTP_PORT)

    def send(self, notice: Notice) -> None:
        """Hand it to the server."""
        message = EmailMessage()
        message["From"] = self._sender or f"kernelsight@{notice.host}"
        message["To"] = ", ".join(self._to)
        message["Subject"] = notice.sentence[:_LONGEST_SUBJECT]
        message["Date"] = formatdate(notice.timestamp / 1e9, localtime=True)
        message["Message-ID"] = make_msgid(domain=notice.host)
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answer of a machine
        message.set_content(notice.text + "\n")
        try:
            with smtplib.SMTP(self._host, self._port, timeout=_TIMEOUT_S) as server:
                server.ehlo()
                if server.has_extn("starttls"):
                    server.starttls(context=ssl.create_default_context())
                    server.ehlo()
                elif self._login:
                    raise ChannelError(f"{self.name}: offers no TLS, and the password is not sent without")
                if self._login:
                    user, _, password = self._login.partition(":")
                    server.login(user, password)
                server.send_message(message)
        except (OSError, smtplib.SMTPException, UnicodeError) as error:  # the last for a host that IDNA does not know
            raise ChannelError(f"{self.name}: {error}") from error
