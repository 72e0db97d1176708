"""Write a notice to the journal of systemd, with a field for each part of it.

The native protocol: one datagram, a field a line, with the length before what may hold a newline
(https://systemd.io/JOURNAL_NATIVE_PROTOCOL/).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from pathlib import Path

from kernelsight.surfaces.notify.channel import ChannelError
from kernelsight.surfaces.notify.notice import Notice

SOCKET = Path("/run/systemd/journal/socket")
MESSAGE_ID = "3b8f0c1e5d6a4f7b9a2c4e6d8f013579"
"""Of all notices: `journalctl MESSAGE_ID=3b8f0c1e5d6a4f7b9a2c4e6d8f013579` shows them."""
_PRIORITY = {"began": 3, "goes on": 4, "ended": 5, "test": 6}
"""Of syslog(3): error, warning, notice, information."""


class Journal:
    """The journal of this machine."""

    name = "journal"

    def __init__(self, path: Path = SOCKET) -> None:
        """Name its socket."""
        self._path = path

    def send(self, notice: Notice) -> None:
        """Write it."""
        fields = {
            "MESSAGE": notice.text,
            "MESSAGE_ID": MESSAGE_ID,
            "PRIORITY": str(_PRIORITY[notice.state]),
            "SYSLOG_IDENTIFIER": "kernelsight",
            "KERNELSIGHT_STATE": notice.state,
            "KERNELSIGHT_FAULT": notice.fault,
            "KERNELSIGHT_CULPRIT_KIND": notice.culprit_kind,
            "KERNELSIGHT_CULPRIT": notice.culprit,
            "KERNELSIGHT_CULPRIT_NAME": notice.culprit_name,
            "KERNELSIGHT_CONFIDENCE": f"{notice.confidence:.2f}",
            "KERNELSIGHT_VICTIMS": notice.victims,
        }
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
                connection.sendto(encoded(fields), str(self._path))
        except OSError as error:
            raise ChannelError(f"{self.name}: {self._path}: {error.strerror or error}") from error


def encoded(fields: Mapping[str, str]) -> bytes:
    """Fields as the protocol has them."""
    datagram = b""
    for name, text in fields.items():
        value = text.encode(errors="replace")
        if b"\n" in value:
            datagram += name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
        else:
            datagram += name.encode() + b"=" + value + b"\n"
    return datagram
