"""Sockets: the states of TCP, and the tables in /proc/net (tcp, tcp6, udp, udp6).

Source: include/net/tcp_states.h, Documentation/networking/proc_net_tcp.rst.
"""

from __future__ import annotations

import re
import socket
import sys
from typing import NamedTuple

# A request that waits for the end of its handshake (12) is shown to
# user space as SYN_RECV, which it is in the protocol.
STATES = {
    1: "established",
    2: "syn_sent",
    3: "syn_recv",
    4: "fin_wait1",
    5: "fin_wait2",
    6: "time_wait",
    7: "close",
    8: "close_wait",
    9: "last_ack",
    10: "listen",
    11: "closing",
    12: "syn_recv",
}
ESTABLISHED, SYN_SENT, FIN_WAIT2, TIME_WAIT, CLOSE_WAIT, LISTEN = 1, 2, 5, 6, 8, 10
TIMER_OF_PROBES = 4
"""The timer of a connection whose other end has closed its window (/proc/net/tcp, sock_diag(7))."""

_HEADER = b"sl"
_COLUMNS = 10
_STATE_DIGITS = 2
_HEXADECIMAL = re.compile(rb"[0-9A-Fa-f]{1,16}")
_SIGNED_BITS = 63
_V4_BYTES = 4


class Socket(NamedTuple):
    """A line of /proc/net/tcp or tcp6."""

    local: bytes
    """Address and port, as :func:`address` takes them."""
    state: int
    send_queue: int
    """Bytes that wait to be sent or acknowledged; of a listening socket the limit is not told."""
    receive_queue: int
    """Bytes that wait to be read; of a listening socket the connections that wait to be accepted."""
    inode: bytes
    """Digits; `0`: no process has it (in TIME_WAIT, or not yet accepted)."""
    peer: bytes
    """Address and port of the other end, as :func:`address` takes them."""
    timer: int
    """Which timer runs; 0: none."""
    retransmits: int
    """How often the first of what is not acknowledged was sent again."""


def check_header(line: bytes) -> None:
    """Make sure that this is the first line of /proc/net/tcp or tcp6.

    Raises:
        ValueError: it is not.
    """
    if line.split()[:1] != [_HEADER]:
        raise ValueError("its first line is not the header")


def parse_socket(line: bytes) -> Socket:
    """Parse a line of /proc/net/tcp or tcp6 but the first one.

    Raises:
        ValueError: it has too few columns, or other text than numbers in them.
    """
    columns = line.split(None, _COLUMNS)
    if len(columns) < _COLUMNS or not columns[9].isdigit():
        raise ValueError("it has too few columns")
    if len(columns[3]) != _STATE_DIGITS:
        raise ValueError("no state")
    sent, _, received = columns[4].partition(b":")
    return Socket(
        columns[1],
        hexadecimal(columns[3]),
        hexadecimal(sent),
        hexadecimal(received),
        columns[9],
        columns[2],
        hexadecimal(columns[5].partition(b":")[0]),
        hexadecimal(columns[6]),
    )


def address(field: bytes) -> tuple[str, int]:
    """Address and port as people write them; the kernel prints an address as 32-bit numbers of its own byte order.

    Raises:
        ValueError: it is not that.
    """
    digits, _, port = field.partition(b":")
    raw = bytes.fromhex(digits.decode("ascii"))
    if sys.byteorder == "little":
        raw = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    family = socket.AF_INET if len(raw) == _V4_BYTES else socket.AF_INET6
    return socket.inet_ntop(family, raw), hexadecimal(port)


def hexadecimal(digits: bytes) -> int:
    """Read a number as these tables have it.

    Raises:
        ValueError: it is none, or does not fit into 64 signed bits.
    """
    if not _HEXADECIMAL.fullmatch(digits):  # int() takes signs, blanks, underscores and prefixes as well
        raise ValueError(f"{digits[:40]!r} is no hexadecimal number")
    value = int(digits, 16)
    if value >> _SIGNED_BITS:
        raise ValueError(f"{digits!r} is too large")
    return value
