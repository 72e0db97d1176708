"""Processes that start threads of their own which end as soon as they have begun."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.duration import LASTS, Duration, duration_of
from kernelsight.diagnosis.faults.fork_storm import FORK_STORM
from kernelsight.diagnosis.forking import COSTLY_SHARE, concluded
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.processes import named
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Interval, Window, grouped_by, runs
from kernelsight.events.scheduler import SchedProcess
from kernelsight.quantities import number

START_THREAD_S = Threshold(
    5e-5,
    "s",
    because="measured: a C++ program that does nothing else used 13.1 s of CPU for 237,325 of them (clone, a stack, "
    "exit, and a switch to it and back)",
)
WORKS_S = Threshold(
    10 * START_THREAD_S,
    "s of CPU per thread",
    because="judged: a thread that runs ten times as long as its start takes has a job",
)


@dataclass(frozen=True, slots=True)
class Starting:
    """A process that starts threads in a stretch of seconds."""

    process: Entity
    run: Interval
    duration: Duration
    threads: int
    """That it started."""
    ran_s: float
    """What it used with all of them."""
    rows: Sequence[SchedProcess]

    @property
    def threads_per_s(self) -> float:
        """Threads a second."""
        return self.threads / self.run.seconds

    @property
    def cost_share(self) -> float:
        """Of one CPU, what starting them takes."""
        return self.threads_per_s * START_THREAD_S

    @property
    def each_us(self) -> float:
        """CPU time for each thread."""
        return 1e6 * self.ran_s / self.threads


def measure(window: Window) -> Iterable[Starting]:
    """The processes and stretches in which starting threads is costly."""
    started = [row for row in window.rows(SchedProcess) if row.threads_started]
    for rows in grouped_by(started, lambda row: row.pid).values():
        threads = window.per_second(rows, SchedProcess.threads_started)
        for run in runs(threads, lambda threads: threads * START_THREAD_S >= COSTLY_SHARE):
            within = window.within(rows, run)
            yield Starting(
                named(window, rows[0].pid or 0),
                run,
                duration_of(window, run),
                threads=sum(row.threads_started or 0 for row in within),
                ran_s=sum(row.cpu_time_ms or 0 for row in within) / 1e3,
                rows=within,
            )


def explain(window: Window, suspect: Starting) -> Explanation:
    """Starting and ending the threads takes its share of the CPUs."""
    process = suspect.process
    return concluded(
        window,
        process,
        suspect.run,
        suspect.threads * START_THREAD_S,
        claim(
            f"{process.name} ({process.id}) started {suspect.threads} threads in {suspect.run.seconds} s",
            window.evidence(suspect.rows, SchedProcess.threads_started, "sum"),
        ),
        claim(
            f"with all of them it used {suspect.ran_s:.1f} s of CPU",
            window.evidence(suspect.rows, SchedProcess.cpu_time_ms, "sum"),
        ),
        does=f"starts {number(round(suspect.threads_per_s))} threads a second that end at once",
    )


MECHANISM = Mechanism[Starting](
    fault=FORK_STORM,
    summary="A process starts threads all the time, and they end as soon as they have begun.",
    measure=measure,
    checks=(
        Check(
            id="very_many_threads",
            says="{threads_per_s:.0f} threads a second",
            holds=lambda suspect: suspect.cost_share >= COSTLY_SHARE,
            supports=2.0,
            refutes=4.0,
            because="judged: it is the harm itself; a stretch with seconds of fewer between may cost less in all",
        ),
        Check(
            id="no_time_for_a_job",
            says="{each_us:.0f} µs of CPU for each, no time for a job",
            holds=lambda suspect: suspect.ran_s <= WORKS_S * suspect.threads,
            supports=2.0,
            refutes=5.0,
            because="judged: a server with a thread for each request uses more CPU time for each of them",
        ),
        LASTS,
    ),
    explain=explain,
)
