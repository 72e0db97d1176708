"""Services that began or ceased to listen, and who asks whom for the first time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from kernelsight.diagnosis.change import DAY_NS, MOST_DAYS, NS_PER_S, Period, Subject, cited
from kernelsight.diagnosis.model import Change, Entity
from kernelsight.events.declare import Event, kind_of
from kernelsight.events.service import Service, ServiceEdge
from kernelsight.query.distinct import distinct
from kernelsight.query.filters import Filter
from kernelsight.query.times import TimeRange

_LOOK_NS = 60 * NS_PER_S
"""A service has a row in each ten seconds; of who asks it less than once a minute, nothing is told."""
_EVERY_NS = 10 * NS_PER_S
_EPHEMERAL = 32_768
"""Ports of datagrams from here on are those of clients (net.ipv4.ip_local_port_range)."""
_MOST = 100
_SERVICE = (Service.comm, Service.protocol, Service.address, Service.port)
_EDGE = (
    ServiceEdge.comm, ServiceEdge.client_address, ServiceEdge.protocol, ServiceEdge.address, ServiceEdge.port,
    ServiceEdge.server_comm,
)  # fmt: skip


def _listener(address: str | None, port: int | None) -> tuple[Entity, ...]:
    place = _place(address, port)
    return (Entity("listener", place, place),) if address else ()


def _place(address: str | None, port: int | None) -> str:
    if port is None:
        return str(address or "?")
    return f"[{address}]:{port}" if address and ":" in address else f"{address or '?'}:{port}"


def _began(comm: str | None, protocol: str, address: str | None, port: int | None) -> str:
    return f"{comm or 'a program'} began to listen at {_place(address, port)} ({protocol})"


def _ceased(comm: str | None, protocol: str, address: str | None, port: int | None) -> str:
    return f"{comm or 'a program'} does not listen at {_place(address, port)} ({protocol}) any more"


def _asks(  # noqa: PLR0913, PLR0917 - the columns of an edge
    comm: str | None, client: str | None, protocol: str, address: str | None, port: int | None, server: str | None
) -> str:
    who = comm or (f"a client at {client}" if client else "a client")
    whom = f"{server} at {_place(address, port)}" if server else _place(address, port)
    return f"{who} asks {whom} ({protocol}), which it did not at first"


class _Kind(NamedTuple):
    """A kind whose combinations of values are compared between the beginning and the end of a period."""

    struct: type[Event]
    columns: Sequence[Any]
    began: Callable[..., str]
    """What is said of a combination that is there at the end only."""
    ceased: Callable[..., str] | None
    """What is said of one that is there at the beginning only; None: nothing, as a pause is no change."""


_KINDS = (_Kind(Service, _SERVICE, _began, _ceased), _Kind(ServiceEdge, _EDGE, _asks, None))


def _changes(period: Period) -> Iterator[Change]:
    for kind in _KINDS:
        looks = _looks(period, kind)
        if looks is None:
            continue
        first, last = (_known(period, kind, look) for look in looks)
        after = TimeRange(looks[0].end_ns + 1, period.when.end_ns)
        for key in sorted(last - first, key=str)[:_MOST]:
            if (row := _row(period, kind, key, after)) is not None:
                change = _change(row, kind.began(*key), row.timestamp, row.timestamp - NS_PER_S)
                yield msgspec.structs.replace(change, other_days=_days(period, kind, key, row))
        for key in sorted(first - last, key=str)[:_MOST]:
            if kind.ceased and (row := _row(period, kind, key, period.when, last=True)) is not None:
                yield _change(row, kind.ceased(*key), row.timestamp + _EVERY_NS, row.timestamp)


def _looks(period: Period, kind: _Kind) -> tuple[TimeRange, TimeRange] | None:
    """The first and the last minute of a period of which the kind was recorded; None where they are not apart."""
    table = kind_of(kind.struct).table
    bounds = period.reader.bounds(table) if period.reader.holds(table) else None
    if bounds is None:
        return None
    start, end = max(bounds[0], period.when.start_ns), min(bounds[1], period.when.end_ns)
    if end - start < 2 * _LOOK_NS:
        return None
    return TimeRange(start, start + _LOOK_NS), TimeRange(end - _LOOK_NS, end)


def _known(period: Period, kind: _Kind, when: TimeRange) -> set[tuple[Any, ...]]:
    return {key for key in distinct(period.reader, kind.struct, when, kind.columns) if not _is_of_a_client(key)}


def _is_of_a_client(key: tuple[Any, ...]) -> bool:
    return "udp" in key and any(isinstance(part, int) and part >= _EPHEMERAL for part in key)


def _row(period: Period, kind: _Kind, key: tuple[Any, ...], when: TimeRange, *, last: bool = False) -> Event | None:
    where: list[Filter[Any]] = [Filter(column, "=", value) for column, value in zip(kind.columns, key, strict=True)]
    rows = period.rows(kind.struct, when, where=where, limit=1, descending=last)
    return rows[0] if rows else None


def _days(period: Period, kind: _Kind, key: tuple[Any, ...], row: Event) -> int:
    """On how many days before it was so at the same time of the day."""
    moments = (row.timestamp - day * DAY_NS for day in range(1, MOST_DAYS + 1))
    looks = (TimeRange(moment, moment + _LOOK_NS) for moment in moments if moment > 0)
    return sum(key in _known(period, kind, look) for look in looks)


def _change(row: Event, claim: str, at_ns: int, after_ns: int) -> Change:
    programs = {getattr(row, name, None) for name in ("comm", "server_comm")} - {None}
    return Change(
        subject="service",
        item=claim.partition(",")[0],
        claim=claim,
        at_ns=at_ns,
        after_ns=after_ns,
        evidence=cited(row),
        about=(
            *(Entity("program", str(program), str(program)) for program in sorted(programs, key=str)),
            *_listener(getattr(row, "address", None), getattr(row, "port", None)),
        ),
    )


SUBJECT = Subject(
    meaning="services that began or ceased to listen, and who asks whom for the first time",
    collectors=("service",),
    read=_changes,
)
