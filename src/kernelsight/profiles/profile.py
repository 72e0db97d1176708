"""Where CPU time goes: functions and paths of a window, by their share of the samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, groupby

from kernelsight.events.collector import CollectorReport
from kernelsight.printable import printable
from kernelsight.profiles.samples import Counted, StoredStack, counted, stacks
from kernelsight.profiles.symbols import Name, Symbols, with_break
from kernelsight.query.filters import Filter, Where
from kernelsight.query.source import Source, opened
from kernelsight.query.stored import stored_rows
from kernelsight.query.times import Time, TimeRange, time_range
from kernelsight.stores.base import Reader

_COLLECTOR = "stacks"
_REPORTS_BACK_NS = 60_000_000_000
"""Each collector reports every ten seconds, and when it starts."""
NOT_KEPT = Name("[stack not recorded]", "", False)
"""What stands for a stack whose frames are not in the store."""


@dataclass(frozen=True, slots=True)
class Path:
    """Samples with one path from the start of a thread to where it computed."""

    comm: str
    names: tuple[Name, ...]
    """Outermost first."""
    samples: int
    cpu_ns: int


@dataclass(frozen=True, slots=True)
class Share:
    """How much of the samples a function has."""

    name: Name
    samples: int
    """With it innermost: it computed itself."""
    total: int
    """With it anywhere on the path."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The samples of a window."""

    start_ns: int
    end_ns: int
    paths: tuple[Path, ...]
    """Most samples first."""
    unknown: tuple[str, ...] = ()
    """What has no names, and why, a sentence each."""

    @property
    def samples(self) -> int:
        """All samples."""
        return sum(path.samples for path in self.paths)

    @property
    def cpu_ns(self) -> int:
        """CPU time that they stand for."""
        return sum(path.cpu_ns for path in self.paths)

    def functions(self) -> list[Share]:
        """The functions by what they computed themselves, then with those that they call; most first."""
        own: Counter[Name] = Counter()
        total: Counter[Name] = Counter()
        for path in self.paths:
            if path.names:
                own[path.names[-1]] += path.samples
            for name in set(path.names):
                total[name] += path.samples
        shares = [Share(name, own[name], total[name]) for name in total]
        return sorted(shares, key=lambda share: (-share.samples, -share.total, share.name))


def profile(
    source: Source, start: Time, end: Time = "now", where: Where = (), symbols: Symbols | None = None
) -> Profile:
    """The profile of a window.

    Args:
        source: the store.
        start: where the window begins.
        end: where it ends.
        where: conditions on `stack_samples`, such as ``{"pid": 4182}``.
        symbols: where names are looked for; by default for some seconds on this machine.

    Raises:
        UsageError: a time cannot be read.
        StoreError: the store cannot be read.
    """
    when = time_range(start, end)
    looked = symbols or Symbols(seen_ns=when.end_ns)
    try:
        with opened(source) as reader:
            rows = counted(reader, when, where)
            known = stacks(reader, when, _ids(rows))
            reasons = () if rows else _why_none(reader, when)
        return Profile(when.start_ns, when.end_ns, named(rows, known, looked), (*reasons, *looked.unknown))
    finally:
        if symbols is None:
            looked.close()


def _why_none(reader: Reader, when: TimeRange) -> tuple[str, ...]:
    """Why nothing was sampled, where the collector said that it cannot."""
    reports = stored_rows(
        reader,
        CollectorReport,
        TimeRange(max(0, when.start_ns - _REPORTS_BACK_NS), when.end_ns),
        where=[Filter(CollectorReport.name, "=", _COLLECTOR)],
        columns=[CollectorReport.status, CollectorReport.reason],
        limit=1,
        descending=True,
    )
    return tuple(
        f"what was computed: {printable(report.reason)}"
        for report in reports
        if report.status != "running" and report.reason
    )


def named(rows: Iterable[Counted], known: Mapping[int, StoredStack], symbols: Symbols) -> tuple[Path, ...]:
    """The paths of samples; those that differ in places within functions alone are one."""
    counts: Counter[tuple[str, tuple[Name, ...]]] = Counter()
    times: Counter[tuple[str, tuple[Name, ...]]] = Counter()
    for row in rows:
        key = row.comm, _path(row, known, symbols)
        counts[key] += row.samples
        times[key] += row.cpu_ns
    return tuple(Path(comm, names, count, times[comm, names]) for (comm, names), count in counts.most_common())


def _path(row: Counted, known: Mapping[int, StoredStack], symbols: Symbols) -> tuple[Name, ...]:
    user: tuple[Name, ...] = ()
    if row.user_stack_id is not None:
        stored = known.get(row.user_stack_id)
        user = (NOT_KEPT,) if stored is None else with_break(symbols.user(stored.frames, row.pid, stored.ends))
    kernel: tuple[Name, ...] = ()
    if row.kernel_stack_id is not None:
        stored = known.get(row.kernel_stack_id)
        kernel = (NOT_KEPT,) if stored is None else symbols.kernel(stored.frames)
    # A function that calls itself is there once: how often it did differs from sample to sample.
    return tuple(name for name, _ in groupby((*user, *kernel))) or (NOT_KEPT,)


def _ids(rows: Iterable[Counted]) -> Iterable[int]:
    both = chain.from_iterable((row.user_stack_id, row.kernel_stack_id) for row in rows)
    return (number for number in both if number is not None)
