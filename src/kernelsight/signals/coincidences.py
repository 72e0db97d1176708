"""What each slow call, fault, wait and stall of a minute coincided with: the rows of ``coincidences``.

A minute is found from its own events alone, so it can be found again at any time, with the same result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from kernelsight.events.coincidence import Coincidence
from kernelsight.events.declare import Event, Gauge, kind_of
from kernelsight.events.memory import PageFault
from kernelsight.events.scheduler import Sched
from kernelsight.events.syscalls import Syscall
from kernelsight.events.tcp import TcpRetransmitEvent
from kernelsight.query.dialect import Sql, dialect_of, run
from kernelsight.query.rows import Row
from kernelsight.signals.context import SOURCES, Second, Use, seconds
from kernelsight.signals.model import SECOND_NS
from kernelsight.stores.base import Reader

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
    name: str
    """SQL of what it was ..."""
    columns: tuple[str, ...]
    """... and the columns that this needs."""
    latency: bool = True
    least_ns: int = 0
    """Shorter ones are no trouble."""


TROUBLES = (
    Trouble("slow_syscall", Syscall, "syscall_name", ("syscall_name",)),
    # Faults are sampled, too, whatever they take; one that took a millisecond waited for something.
    Trouble("page_fault", PageFault, "fault_type", ("fault_type",), least_ns=1_000_000),
    Trouble("run_queue_wait", Sched, "NULL", ()),
    Trouble("retransmit", TcpRetransmitEvent, "daddr || ':' || dport", ("daddr", "dport"), latency=False),
)
TABLES = frozenset(kind_of(struct).table for struct in (*SOURCES, *(one.struct for one in TROUBLES)))
"""What the rows are made of."""
_LEVELS = tuple(
    column.name
    for column in kind_of(Coincidence).columns
    if isinstance(column.semantics, Gauge) and column.name != "max_ms"
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
            for group, second, row in _occurrences(reader, trouble, self._until_ns, end_ns):
                self._sums.setdefault(group, _Sum()).add(second, *_figures(row))
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


def _occurrences(reader: Reader, trouble: Trouble, start_ns: int, end_ns: int) -> Iterator[tuple[Group, int, Row]]:
    kind = kind_of(trouble.struct)
    columns = ("timestamp", "comm", *trouble.columns, *(("latency_ns",) if trouble.latency else ()))
    relation, params = reader.relation(kind.table, start_ns, end_ns - 1, columns)
    second = dialect_of(reader).int_div("timestamp", str(SECOND_NS))
    latency = "sum(latency_ns) / 1e6 AS total_ms, max(latency_ns) / 1e6 AS max_ms"
    slow = f"WHERE latency_ns >= {trouble.least_ns}" if trouble.least_ns else ""
    text = (
        f"SELECT comm, {trouble.name} AS name, {second} AS second, count(*) AS count,"  # noqa: S608 - names declared above
        f" {latency if trouble.latency else '0.0 AS total_ms, 0.0 AS max_ms'}"
        f" FROM {relation} AS events {slow} GROUP BY comm, name, second ORDER BY second"
    )
    for row in run(reader, Sql(text, params)):
        name, comm, second_at = row["name"], row["comm"], row["second"]
        assert isinstance(second_at, int)
        yield (trouble.what, _text(name), _text(comm)), second_at, row


def _figures(row: Row) -> tuple[int, float, float]:
    count, total_ms, max_ms = row["count"], row["total_ms"] or 0.0, row["max_ms"] or 0.0
    assert isinstance(count, int)
    assert isinstance(total_ms, (int, float))
    assert isinstance(max_ms, (int, float))
    return count, float(total_ms), float(max_ms)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _row(minute_ns: int, group: Group, found: _Sum, around: Mapping[int, Second]) -> Coincidence:
    what, name, comm = group
    states = [around[second] for second in found.weights]
    runner, writer = _top([one.runners for one in states], comm), _top([one.writers for one in states], comm)
    devices = Counter(one.busiest for one in states if one.busiest and one.levels.get("block_busy_pct", 0.0) > 0)
    timed = what != "retransmit"
    return Coincidence(
        minute_ns,
        what=what,  # type: ignore[arg-type] # one of the declared ones
        name=name,
        comm=comm,
        count=found.count,
        total_ms=round(found.total_ms, 3) if timed else None,
        max_ms=round(found.max_ms, 3) if timed else None,
        seconds=len(found.weights),
        block_device=min(devices, key=lambda device: (-devices[device], device), default=None),
        top_process=runner.comm if runner else None,
        top_process_pid=runner.pid if runner else None,
        top_process_cpu_ms=round(runner.amount, 3) if runner else None,
        top_writer=writer.comm if writer else None,
        top_writer_pid=writer.pid if writer else None,
        top_writer_bytes=round(writer.amount) if writer else None,
        **{level: _mean(found.weights, around, level) for level in _LEVELS},
    )


def _mean(weights: Mapping[int, float], around: Mapping[int, Second], level: str) -> float | None:
    """The level in the seconds of the trouble, weighted by it."""
    pairs = [(weight, around[second].levels.get(level)) for second, weight in weights.items()]
    known = [(weight, value) for weight, value in pairs if value is not None]
    total = sum(weight for weight, _ in known)
    return round(sum(weight * value for weight, value in known) / total, 3) if total else None


def _top(uses: Sequence[Sequence[Use]], victim: str | None) -> Use | None:
    """Who had most of something in some seconds, the victim not counted."""
    amounts: Counter[tuple[int, str]] = Counter()
    for of_second in uses:
        for one in of_second:
            if one.comm != victim:
                amounts[one.pid, one.comm] += one.amount  # type: ignore[assignment] # a Counter of floats
    if not amounts:
        return None
    pid, comm = min(amounts, key=lambda who: (-amounts[who], who))
    return Use(pid, comm, amounts[pid, comm])
