"""Which user of this machine has opened a connection, as its kernel says (proc_pid_net(5), /proc/net/tcp)."""

from __future__ import annotations

import ipaddress
import struct
from pathlib import Path

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_ESTABLISHED = "01"
"""Of a connection that was closed on the other side, the table names root."""
_STATE, _USER = 3, 7
"""Columns."""


def user_of(client: tuple[str, int], server: tuple[str, int]) -> int | None:
    """The user id that the client's end of a connection belongs to.

    Args:
        client: its address and port.
        server: those that it has connected to.

    Returns:
        None where no end of this machine is known: the client is on another one, or has closed the connection.
    """
    wanted = {(_end(*client, mapped=mapped), _end(*server, mapped=mapped)) for mapped in (False, True)}
    for table in _TABLES:
        try:
            lines = table.read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue  # a kernel without IPv6
        for line in lines:
            fields = line.split()
            if (fields[1], fields[2]) in wanted and fields[_STATE] == _ESTABLISHED:
                return int(fields[_USER])
    return None


def _end(host: str, port: int, *, mapped: bool) -> str:
    """An end as the tables write it: words of 32 bits in the order of the network, read in that of the machine."""
    address = ipaddress.ip_address(host.partition("%")[0])
    packed = address.packed
    if mapped and isinstance(address, ipaddress.IPv4Address):  # IPv4 through a socket of IPv6
        packed = bytes(10) + b"\xff\xff" + packed
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{port:04X}"
