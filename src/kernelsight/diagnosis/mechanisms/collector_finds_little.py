"""Runtimes whose garbage collector takes most of the time, because the heap is nearly full."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.answers import Served, mean_wait_s, served, times_longer, waits_in
from kernelsight.diagnosis.contention import is_held_back
from kernelsight.diagnosis.cpu_time import cpu_use
from kernelsight.diagnosis.duration import LASTS, Duration, duration_of
from kernelsight.diagnosis.faults.gc_thrash import GC_THRASH
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.model import Entity, Step
from kernelsight.diagnosis.processes import named, processes
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.unanswered import ANSWERS_BEFORE, LONG_S, under_way
from kernelsight.diagnosis.waiting import Edge, shown
from kernelsight.diagnosis.window import Interval, Window, runs
from kernelsight.events.process import Process
from kernelsight.events.scheduler import SchedProcess
from kernelsight.quantities import number

SUSPECT_SHARE = Threshold(
    0.5,
    "share of the CPU time of the process",
    because="judged: the JVM itself gives up at 98 % (-XX:GCTimeLimit), and operators are alarmed at far less",
)
LEAST_MS = Threshold(20, "ms of CPU a second", because="judged: of less, the share of the collector says little")
MOST_SHARE = Threshold(
    0.7,
    "share of the CPU time of the process",
    because="judged by a few runs beside other load: a JVM with room took up to 30 % for it, and 74 % once while it "
    "made garbage as fast as it could; one whose heap is nearly full took 80 % and more (scenarios "
    "`garbage_at_a_normal_rate`, `heap_nearly_full`). The share alone accuses nobody: clients have to wait longer",
)
TAKES_CPUS = Threshold(
    0.2,
    "CPUs that the process uses or waits for",
    because="judged: a collector that finds little runs again at once, and so all the time that it has a CPU; with "
    "less, the process idles, and its collector gives memory back or does its rounds",
)
MORE = Threshold(2.0, "times the share before", because="judged: a heap fills up, and the share of the collector grows")
KNOWN_S = Threshold(3, "s", because="judged: a mean of less says little")
FLAT_SHARE = Threshold(
    0.1, "of the memory", because="judged: a heap at its limit stays as large as it is; one that still grows has room"
)
SLOWER = Threshold(
    3.0, "times as long as before", because="judged: above what requests of one client differ by under some more load"
)


@dataclass(frozen=True, slots=True)
class Collecting:
    """A stretch in which a runtime spent most of its CPU time on collecting garbage."""

    run: Interval
    duration: Duration
    process: Entity
    share: float
    """Of the CPU time of the process, that of its collector."""
    wanted: float
    """CPUs that the process used or waited for."""
    share_before: float | None
    """The same before the stretch; None: too little is known of it."""
    memory_change: float | None
    """By how much of it the memory of the process changed in the stretch; None: not known."""
    times_longer: float | None
    """How many times as long as before clients wait for an answer, half of them or more; None: not known."""
    stuck: int
    """Clients that have waited for an answer for seconds."""
    held_back: bool
    """Whether a quota holds it back."""
    rows: Sequence[SchedProcess]
    samples: Sequence[Process]
    clients: Sequence[Edge]

    @property
    def percent(self) -> float:
        """The share, in percent."""
        return 100 * self.share


def measure(window: Window) -> Iterable[Collecting]:
    """Each runtime and stretch in which its collector used most of the CPU time."""
    by_pid: dict[int, list[SchedProcess]] = {}
    for row in window.rows(SchedProcess):
        if row.pid is not None and row.collector_cpu_ms is not None:
            by_pid.setdefault(row.pid, []).append(row)
    for pid, rows in by_pid.items():
        if any(bool(row.collector_cpu_ms) for row in rows):
            yield from _of_process(window, pid, rows)


def _of_process(window: Window, pid: int, rows: Sequence[SchedProcess]) -> Iterator[Collecting]:
    shares = {window.second(row): _share([row]) for row in rows if (row.cpu_time_ms or 0) >= LEAST_MS}
    for run in runs(shares, lambda share: share >= SUSPECT_SHARE, gap=2):
        within, earlier = window.within(rows, run), [row for row in rows if window.second(row) < run.first - 1]
        process = window.once(processes).get(pid)
        samples = window.within(process.samples, run) if process else []
        memory = [row.anon_kb for row in samples if row.anon_kb]
        of = window.once(served).get(pid, Served())
        use = next((use for use in window.once(cpu_use) if use.pid == pid), None)
        yield Collecting(
            run=run,
            duration=duration_of(window, run),
            process=named(window, pid),
            share=_share(within),
            wanted=sum((row.cpu_time_ms or 0) + (row.runqueue_ms or 0) for row in within) / 1e3 / run.seconds,
            share_before=_share(earlier) if len(earlier) >= KNOWN_S else None,
            memory_change=abs(memory[-1] - memory[0]) / max(memory) if memory else None,
            times_longer=_times_longer(of, run),
            stuck=sum(
                wait.connections
                for wait in window.once(under_way)
                if wait.peer_pid == pid and wait.waits_for == "answer" and wait.waited_s >= LONG_S
            ),
            held_back=use is not None and is_held_back(window, use, run),
            rows=within,
            samples=samples,
            clients=of.waits,
        )


def _share(rows: Sequence[SchedProcess]) -> float:
    return sum(row.collector_cpu_ms or 0 for row in rows) / max(sum(row.cpu_time_ms or 0 for row in rows), 1e-9)


def _times_longer(of: Served, run: Interval) -> float | None:
    usual = run.before
    return times_longer(
        (mean_wait_s(edges, run), mean_wait_s(edges, usual))
        for edges in of.by_client().values()
        if waits_in(edges, usual) >= ANSWERS_BEFORE and waits_in(edges, run)
    )


def explain(window: Window, suspect: Collecting) -> Explanation:
    """It does next to nothing but collect, until it has more room or keeps less."""
    process, run = suspect.process, suspect.run
    earlier = f", and {100 * suspect.share_before:.0f} % before" if suspect.share_before is not None else ""
    clients = dict.fromkeys(named(window, edge.pid) for edge in suspect.clients if edge.count_in(run))
    longer = f" {number(suspect.times_longer)} times as long as before" if suspect.times_longer else ""
    return Explanation(
        culprit=process,
        onset_ns=window.at(run.first),
        victims=(*[*clients][:4], process),
        does=f"spends {suspect.percent:.0f} % of its CPU time on garbage collection",
        harm=f"waits{longer} for its answers" if clients else "gets hardly anything else done",
        suffering_s=sum(edge.waited_in(run) for edge in suspect.clients),
        path=path(
            claim(
                f"clients such as {next(iter(clients)).name} waited for answers of {process.name}"
                + (f" {suspect.times_longer:.0f} times as long as before" if suspect.times_longer else ""),
                shown(window, suspect.clients, run),
            )
            if clients
            else None,
            claim(
                f"threads of {process.name} ({process.id}) that collect garbage used {suspect.percent:.0f} % of its "
                f"CPU "
                f"time in {run.seconds} s{earlier}",
                window.evidence(suspect.rows, SchedProcess.collector_cpu_ms, "sum"),
                window.evidence(suspect.rows, SchedProcess.cpu_time_ms, "sum"),
            ),
            _memory(window, suspect),
        ),
        refuted_by=f"it collects as much with a larger heap, or its heap has room (jstat -gcutil {process.id})",
        outlook="it slows down until it gets nothing done, and may end with an error for want of memory",
        actions=(
            LOOK.on(
                process,
                f"see what fills the heap of {process.name}, such as a cache without a limit; give it a larger heap "
                "(-Xmx and its like) if it needs what it keeps",
            ),
        ),
    )


def _memory(window: Window, suspect: Collecting) -> Step | None:
    shown = window.evidence(suspect.samples, Process.anon_kb, "last")
    if shown is None or suspect.memory_change is None:
        return None
    is_flat = suspect.memory_change <= FLAT_SHARE
    how = "stays as it is," if is_flat else f"changes by {suspect.memory_change:.0%} meanwhile, and is"
    return claim(f"its memory {how} at {shown.value / 1024:,.0f} MiB", shown)


MECHANISM = Mechanism[Collecting](
    fault=GC_THRASH,
    summary="What a program keeps fills the heap of its runtime nearly to its limit. The garbage collector runs again "
    "and again and finds little, and the program waits for it.",
    measure=measure,
    checks=(
        Check(
            id="collects_most",
            says="{percent:.0f} % of its CPU time goes to collecting garbage",
            holds=lambda suspect: suspect.share >= MOST_SHARE,
            supports=2.0,
            refutes=3.0,
            because="judged: it is what the fault consists of; a program that makes much garbage collects as well, and "
            "has most of the time for its work",
        ),
        Check(
            id="is_busy",
            says="the process does not idle meanwhile",
            holds=lambda suspect: suspect.wanted >= TAKES_CPUS,
            supports=0.0,
            refutes=4.0,
            because="judged: of a process that does next to nothing, the rounds of its collector are most",
        ),
        Check(
            id="collected_less_before",
            says="the collector took less than half of that before",
            holds=lambda suspect: (
                None if suspect.share_before is None else suspect.share >= MORE * suspect.share_before
            ),
            supports=1.0,
            refutes=1.5,
            because="judged: a runtime that has always collected so much is made for it, or was in trouble before",
        ),
        Check(
            id="memory_stays",
            says="the memory of the process stays as large as it is",
            holds=lambda suspect: None if suspect.memory_change is None else suspect.memory_change <= FLAT_SHARE,
            supports=0.5,
            refutes=2.5,
            because="judged: a heap at its limit does not grow; while it grows, the runtime has room",
        ),
        Check(
            id="clients_wait_longer",
            says="its clients wait several times as long as before, or get no answer at all",
            holds=lambda suspect: (
                True if suspect.stuck else None if suspect.times_longer is None else suspect.times_longer >= SLOWER
            ),
            supports=1.5,
            refutes=4.0,
            because="judged: nobody is harmed by a collector that runs often beside a program that answers in time",
        ),
        Check(
            id="no_quota",
            says="no quota holds it back",
            holds=lambda suspect: not suspect.held_back,
            supports=0.0,
            refutes=6.0,
            because="judged: the threads of a collector that a quota stops wait for each other and spin, which is the "
            "quota's doing (`cpu_throttling`)",
        ),
        LASTS,
    ),
    explain=explain,
)
