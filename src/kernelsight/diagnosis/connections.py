"""TCP connections that do not get on: who waits, at which end, and who is at the other one."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence

from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.mechanism import claim
from kernelsight.diagnosis.model import Entity, Step
from kernelsight.diagnosis.window import Window, grouped_by
from kernelsight.events.tcp import TcpConnection, TcpListener
from kernelsight.quantities import quantity

Ends = tuple[str | None, int | None, str | None, int | None]
"""Address and port of this end, and of the other one."""
_NETWORK_BITS = {4: 16, 6: 48}
_MAPPED = "::ffff:"
"""What an address of IPv4 begins with where a socket of IPv6 shows it."""


def place_of(address: str | None, port: int | None) -> str:
    """Address and port as people write them."""
    plain = (address or "?").removeprefix(_MAPPED)
    return f"[{plain}]:{port}" if ":" in plain else f"{plain}:{port}"


def network_of(address: str | None) -> str | None:
    """The network that an address is of, as far as addresses tell: its /16, or its /48 of IPv6; None: of none.

    Sites, and what is behind one tunnel, mostly have addresses of one network (RFC 1918, RFC 6177).
    """
    try:
        host = ipaddress.ip_address((address or "").removeprefix(_MAPPED))
    except ValueError:
        return None
    return str(ipaddress.ip_network((host, _NETWORK_BITS[host.version]), strict=False))


def stuck(window: Window) -> Mapping[str | None, Sequence[TcpConnection]]:
    """The connections that do not get on, by what they wait for; use with :meth:`Window.once`."""
    return grouped_by(window.rows(TcpConnection), lambda row: row.waits_for)


def at_the_other_end(window: Window) -> Mapping[Ends, Entity]:
    """The processes that have the other end of connections, as far as that end does not get on either.

    Use with :meth:`Window.once`.
    """
    rows = [row for row in window.rows(TcpConnection) if row.pid]
    return {(row.daddr, row.dport, row.saddr, row.sport): process_entity(row.pid or 0, row.comm) for row in rows}


def listener_at(window: Window, port: int | None) -> Entity | None:
    """The process that listens at a port in this network namespace; None where none does, or several might be meant."""
    known = {row.pid: row.comm for row in window.rows(TcpListener) if row.port == port and row.pid}
    return next((process_entity(pid, comm) for pid, comm in known.items()), None) if len(known) == 1 else None


def holders(rows: Iterable[TcpConnection]) -> list[Entity]:
    """The processes whose connections these are, those with most rows first."""
    counted: dict[Entity, int] = {}
    for row in rows:
        if row.pid:
            process = process_entity(row.pid, row.comm)
            counted[process] = counted.get(process, 0) + 1
    return sorted(counted, key=lambda process: -counted[process])


def slower_claims(window: Window, rows: Sequence[TcpConnection]) -> Iterator[Step | None]:
    """What a path says of connections whose round trips take long: of the three processes with most of them."""
    for process in holders(rows)[:3]:
        own = [row for row in rows if str(row.pid) == process.id]
        slowest = max(row.round_trip_us or 0 for row in own) / 1e3
        shortest = min((row.shortest_round_trip_us or 0 for row in own), default=0) / 1e3
        yield claim(
            f"{process.name} ({process.id}) waits {quantity(slowest, 'ms')} for a round trip to "
            f"{place_of(own[-1].daddr, own[-1].dport)}, which takes {quantity(shortest, 'ms')} at best",
            window.evidence(own, TcpConnection.round_trip_us, "max"),
        )
