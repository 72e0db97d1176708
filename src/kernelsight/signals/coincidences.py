"""What each slow call, fault, wait and stall of a minute coincided with: the rows of ``coincidences``.

A minute is found from its own events alone, so it can be found again at any time, with the same result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kernelsight.events.coincidence import Coincidence
from kernelsight.events.declare import Event, Gauge, kind_of
from kernelsight.events.fields import Field, Metric, field_named, name_of
from kernelsight.events.memory import PageFault
from kernelsight.events.scheduler import Sched
from kernelsight.events.syscalls import Syscall
from kernelsight.events.tcp import TcpRetransmitEvent
from kernelsight.signals.context import SOURCES, Second, Use, seconds
from kernelsight.signals.model import SECOND_NS
from kernelsight.stores.base import Reader, Value

MINUTE_NS = 60 * SECOND_NS
SETTLED_NS = 2 * SECOND_NS
"""So long after its end a minute is complete: its last second's samples are taken at the end of that second."""
_MOST_ROWS = 200
"""A minute, those with most time: a machine on which a thousand programs are slow has a common cause."""
_STALL_PCT = 5.0
"""Of a second: 50 ms, five times what counts as a slow system call; less is what waits among running programs are."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A kind of events that says that something was slow."""

    what: str
    struct: type[Event]
    comm: Field[Any, str | None]
    name: tuple[Field[Any, Any], ...] = ()
    """What it was: their values, with a colon between."""
    latency_ns: Metric[Any] | None = None
    least_ns: int = 0
    """Shorter ones are no trouble."""


TROUBLES = (
    Trouble("slow_syscall", Syscall, Syscall.comm, (Syscall.syscall_name,), Syscall.latency_ns),
    # Faults are sampled, too, whatever they take; one that took a millisecond waited for something.
    Trouble("page_fault", PageFault, PageFault.comm, (PageFault.fault_type,), PageFault.latency_ns, least_ns=1_000_000),
    Trouble("run_queue_wait", Sched, Sched.comm, (), Sched.latency_ns),
    Trouble(
        "retransmit", TcpRetransmitEvent, TcpRetransmitEvent.comm, (TcpRetransmitEvent.daddr, TcpRetransmitEvent.dport)
    ),
)
TABLES = frozenset(kind_of(struct).table for struct in (*SOURCES, *(trouble.struct for trouble in TROUBLES)))
"""What the rows are made of."""
_LEVELS: tuple[Metric[Coincidence], ...] = tuple(
    field_named(kind_of(Coincidence), column.name)
    for column in kind_of(Coincidence).columns
    if isinstance(column.semantics, Gauge) and column.name != name_of(Coincidence.max_ms)
)

Group = tuple[str, str | None, str | None]
"""What, name, comm."""


@dataclass(slots=True)
class _Sum:
    count: int = 0
    total_ms: float = 0.0
    max_ms: float = 0.0
    weights: dict[int, float] = field(default_factory=dict)
    """Second → how much of it lies there."""

    def add(self, second: int, count: int, total_ms: float, max_ms: float) -> None:
        self.count += count
        self.total_ms += total_ms
        self.max_ms = max(self.max_ms, max_ms)
        self.weights[second] = self.weights.get(second, 0.0) + (total_ms or count)


class Minute:
    """One minute, as far as it has been read."""

    def __init__(self, start_ns: int) -> None:
        self.start_ns = self._until_ns = start_ns
        self._sums: dict[Group, _Sum] = {}
        self._around: dict[int, Second] = {}

    def read(self, reader: Reader, settled_ns: int) -> None:
        """Take its seconds up to a moment; in how many steps makes no difference."""
        end_ns = min(self.start_ns + MINUTE_NS, settled_ns)
        if end_ns <= self._until_ns:
            return
        for trouble in TROUBLES:
            for occurrence in _occurrences(reader, trouble, self._until_ns, end_ns):
                group = trouble.what, occurrence.name, occurrence.comm
                self._sums.setdefault(group, _Sum()).add(
                    occurrence.second, occurrence.count, occurrence.total_ms, occurrence.max_ms
                )
        new = seconds(reader, self._until_ns, end_ns)
        for second, state in new.items():
            for resource, stalled_pct in state.stalls.items():
                if stalled_pct >= _STALL_PCT:
                    stall = self._sums.setdefault(("stall", resource, None), _Sum())
                    stall.add(second, 1, stalled_pct * 10, stalled_pct * 10)
        self._around |= new
        self._until_ns = end_ns

    def rows(self) -> list[Coincidence]:
        """What its troubles coincided with."""
        sums = self._sums
        most = sorted(sums, key=lambda group: (-sums[group].total_ms, -sums[group].count, str(group)))[:_MOST_ROWS]
        return [_row(self.start_ns, group, sums[group], self._around) for group in most]


@dataclass(frozen=True, slots=True)
class _Occurrences:
    """What happened alike in one second."""

    comm: str | None
    name: str | None
    second: int
    count: int
    total_ms: float
    max_ms: float


def _occurrences(reader: Reader, trouble: Trouble, start_ns: int, end_ns: int) -> Iterator[_Occurrences]:
    kind = kind_of(trouble.struct)
    comm, stamp = name_of(trouble.comm), name_of(trouble.struct.timestamp)
    named, latency = [*map(name_of, trouble.name)], name_of(trouble.latency_ns) if trouble.latency_ns else None
    columns = (stamp, comm, *named, *((latency,) if latency else ()))
    relation, params = reader.relation(kind.table, start_ns, end_ns - 1, columns)
    second = reader.dialect.int_div(stamp, str(SECOND_NS))
    name = " || ':' || ".join(named) or "NULL"
    total, most = (f"sum({latency}) / 1e6", f"max({latency}) / 1e6") if latency else ("0.0", "0.0")
    slow = f"WHERE {latency} >= {trouble.least_ns}" if trouble.least_ns else ""
    text = (
        f"SELECT {comm}, {name} AS name, {second} AS second, count(*), {total}, {most}"  # noqa: S608 - declared names
        f" FROM {relation} AS events {slow} GROUP BY {comm}, name, second ORDER BY second"
    )
    for whose, what, second_at, count, total_ms, max_ms in reader.tuples(text, params):
        assert isinstance(second_at, int)
        assert isinstance(count, int)
        yield _Occurrences(_text(whose), _text(what), second_at, count, _number(total_ms), _number(max_ms))


def _text(value: Value) -> str | None:
    return None if value is None else str(value)


def _number(value: Value) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def _row(minute_ns: int, group: Group, total: _Sum, around: Mapping[int, Second]) -> Coincidence:
    what, name, comm = group
    states = [around[second] for second in total.weights]
    runner, writer = _top([state.runners for state in states], comm), _top([state.writers for state in states], comm)
    devices = Counter(
        state.busiest for state in states if state.busiest and state.levels.get(Coincidence.block_busy_pct, 0.0) > 0
    )
    timed = what != "retransmit"
    return Coincidence(
        minute_ns,
        what=what,  # type: ignore[arg-type] # one of the declared ones
        name=name,
        comm=comm,
        count=total.count,
        total_ms=round(total.total_ms, 3) if timed else None,
        max_ms=round(total.max_ms, 3) if timed else None,
        seconds=len(total.weights),
        block_device=min(devices, key=lambda device: (-devices[device], device), default=None),
        top_process=runner.comm if runner else None,
        top_process_pid=runner.pid if runner else None,
        top_process_cpu_ms=round(runner.amount, 3) if runner else None,
        top_writer=writer.comm if writer else None,
        top_writer_pid=writer.pid if writer else None,
        top_writer_bytes=round(writer.amount) if writer else None,
        **{name_of(level): _mean(total.weights, around, level) for level in _LEVELS},
    )


def _mean(weights: Mapping[int, float], around: Mapping[int, Second], level: Metric[Coincidence]) -> float | None:
    """The level in the seconds of the trouble, weighted by it."""
    pairs = [(weight, around[second].levels.get(level)) for second, weight in weights.items()]
    known = [(weight, value) for weight, value in pairs if value is not None]
    total = sum(weight for weight, _ in known)
    return round(sum(weight * value for weight, value in known) / total, 3) if total else None


def _top(uses: Sequence[Sequence[Use]], victim: str | None) -> Use | None:
    """Who had most of something in some seconds, the victim not counted."""
    amounts: Counter[tuple[int, str]] = Counter()
    for of_second in uses:
        for use in of_second:
            if use.comm != victim:
                amounts[use.pid, use.comm] += use.amount  # type: ignore[assignment] # a Counter of floats
    if not amounts:
        return None
    pid, comm = min(amounts, key=lambda who: (-amounts[who], who))
    return Use(pid, comm, amounts[pid, comm])
