"""What a collector is, and which of them can run here.

A collector is a class registered by one line::

    @collector(source="procfs", emits=(Pressure,))
    class PressureCollector:
        def __init__(self, host: Host) -> None: ...   # opens what it reads; SourceUnavailableError if it can't
        def collect(self, now: int) -> Iterable[Event]: ...
        def close(self) -> None: ...

Several sources may be registered under one name (`process` from BPF, from procfs); the one with the
highest rank that can run here is used, and the others stand in for it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

from kernelsight.collectors.privileges import BPF, Capability
from kernelsight.errors import SourceUnavailableError, UsageError
from kernelsight.events.declare import Event, kind_of
from kernelsight.registry import Registry

if TYPE_CHECKING:
    from kernelsight.collectors.bpf_statistics import Statistics


@dataclass(frozen=True, slots=True)
class Host:
    """The machine that is observed, and what the person chose; roots are passed in so that tests can record them."""

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    cgroup: Path = Path("/sys/fs/cgroup")
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    """Settings by name, such as `threshold_ms`; :mod:`kernelsight.collectors.options` lists them."""
    monotonic_ns: Callable[[], int] = time.monotonic_ns
    """CLOCK_MONOTONIC, for what is due again after a time and for ages: stamps jump when the clock is set.
    While the runner collects, it is the grid point, so that what is due after ten points is not due after eleven."""
    max_cpu: float | None = None
    """Share of one CPU that collecting may use on average; None: any."""
    bpf_statistics: Statistics | None = None
    """Whoever switches the kernel's statistics of BPF programs on now and then; None: nobody does."""

    @property
    def is_root(self) -> bool:
        """Whether the effective user is root."""
        return os.geteuid() == 0


class Collector(Protocol):
    """One source. Made by ``factory(host)``; whatever it opens is closed by :meth:`close`."""

    def collect(self, now: int) -> Iterable[Event]:
        """Read the source once and yield its events.

        Args:
            now: the grid point (ns since the epoch), to stamp samples with and for nothing else: the clock may
                be set between two grid points. What is due is measured with ``host.monotonic_ns``.
        """

    def close(self) -> None:
        """Close everything; calling it again does nothing."""


@runtime_checkable
class Limited(Protocol):
    """What a collector has when it may run without some of its columns."""

    @property
    def limitations(self) -> Sequence[str]:
        """The columns that stay empty, why, and what to do, a sentence each; empty when all are filled."""


class CollectorFactory(Protocol):
    """Makes a collector, or raises SourceUnavailableError with the reason and what to do."""

    def __call__(self, host: Host) -> Collector:
        """Open the source on this host."""


@dataclass(frozen=True, slots=True)
class Registered:
    """One source of one collector."""

    name: str
    source: str
    factory: CollectorFactory
    emits: tuple[type[Event], ...]
    rank: int
    summary: str
    default: bool
    needs: frozenset[Capability]
    """Capabilities without which it has less to say, or nothing, while it runs."""
    formerly: str = ""


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether a source can run here, and if not why, and what to do."""

    registered: Registered
    available: bool
    reason: str = ""
    limitations: tuple[str, ...] = ()
    """What it cannot say here though it runs."""
    used: bool = False
    """It is the best of its collector's sources that can run here."""


_LOADING = re.compile(r"^cannot (?:load|attach)[^:]*: ")
"""How a tracer's reason begins; what follows is the same for all tracers."""


def by_reason(reasons: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Why collectors cannot run, each reason once, with the names of those that it stops.

    Args:
        reasons: names of collectors, each with its reason.
    """
    grouped: dict[str, list[str]] = {}
    for name, reason in reasons:
        grouped.setdefault(_LOADING.sub("", reason), []).append(name)
    return grouped


F = TypeVar("F", bound=CollectorFactory)
_SOURCES: Registry[tuple[str, str], Registered] = Registry(
    "collector and source",
    "kernelsight.collectors",
    nested=True,
    order=lambda declared: (declared[1].name, -declared[1].rank, declared[1].source),
)
_ON_BPF = "kernelsight.collectors.bpf."


def collector(  # noqa: PLR0913 - all that there is to say about one
    *,
    source: str,
    emits: tuple[type[Event], ...],
    name: str = "",
    formerly: str = "",
    rank: int = 0,
    default: bool = True,
    needs: Collection[Capability] = (),
) -> Callable[[F], F]:
    """Register one source of a collector.

    It has the name of the kind of event that it yields: what a person types after ``kernelsight collect``.

    Args:
        name: where it yields several kinds.
        formerly: a name that it had, which is still understood.
        source: `procfs`, `sysfs`, `bpf`, `perf`, ... .
        emits: the kinds of event it yields.
        rank: the highest rank that can run here is used.
        default: whether it runs when no names are given.
        needs: capabilities that it uses while it runs, besides those that all in `bpf/` need.
    """

    def declare(factory: F) -> F:
        summary = (factory.__doc__ or "").strip().split("\n", 1)[0]
        used = frozenset(needs).union(BPF if factory.__module__.startswith(_ON_BPF) else ())
        if (len(emits) == 1) == bool(name):
            raise TypeError(
                f"{factory}: a collector of one kind has the name of that kind; a collector of "
                "several kinds has its own name"
            )
        own_name = name or kind_of(emits[0]).name
        entry = Registered(own_name, source, factory, emits, rank, summary, default, used, formerly)
        _SOURCES.add((own_name, source), entry)
        return factory

    return declare


def registered() -> Mapping[str, tuple[Registered, ...]]:
    """All collectors by name, each with its sources, best first."""
    sources = _SOURCES.all().values()
    return {name: tuple(of_name) for name, of_name in groupby(sources, key=lambda source: source.name)}


def _former_names() -> Mapping[str, str]:
    return {source.formerly: source.name for source in _SOURCES.all().values() if source.formerly}


def current_name(name: str) -> str:
    """The name of a collector today, given that or one that it had."""
    return _former_names().get(name, name)


def probe(entry: Registered, host: Host) -> Availability:
    """Find out whether a source can run here, by opening and closing it."""
    try:
        opened = entry.factory(host)
    except SourceUnavailableError as error:
        return Availability(entry, available=False, reason=str(error))
    limitations = tuple(opened.limitations) if isinstance(opened, Limited) else ()
    opened.close()
    return Availability(entry, available=True, limitations=limitations)


def list_collectors(host: Host) -> list[Availability]:
    """Every source of every collector, and whether it can run here, by name and best source first."""
    listed: list[Availability] = []
    for entries in registered().values():
        sources = [probe(entry, host) for entry in entries]
        best = next((source for source in sources if source.available), None)
        listed += [replace(source, used=source is best) for source in sources]
    return listed


def open_best(name: str, host: Host) -> tuple[Registered, Collector]:
    """Open the best source of a collector that can run here.

    Raises:
        UsageError: no collector has this name.
        SourceUnavailableError: none of its sources can run here; the message has the reason of each.
    """
    sources = registered().get(current_name(name))
    if sources is None:
        raise UsageError(f"no collector is called {name!r}; `kernelsight collect --list` shows all")
    refused: list[tuple[str, str]] = []
    for entry in sources:
        try:
            return entry, entry.factory(host)
        except SourceUnavailableError as error:
            refused.append((entry.source, str(error)))
    reasons = by_reason(refused)
    if len(reasons) == 1:
        raise SourceUnavailableError(refused[0][1])
    raise SourceUnavailableError("; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items()))


__all__ = [
    "Availability",
    "Collector",
    "CollectorFactory",
    "Host",
    "Limited",
    "Registered",
    "by_reason",
    "collector",
    "list_collectors",
    "open_best",
    "probe",
    "registered",
]
