"""Who used the CPUs and who waited for one, second by second, from the best source that there is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from kernelsight.diagnosis.identity import ProgramId, process_entity, program_id
from kernelsight.diagnosis.mechanism import Check
from kernelsight.diagnosis.model import Entity, Evidence
from kernelsight.diagnosis.processes import is_within, processes
from kernelsight.diagnosis.seconds import Seconds
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import CounterDelta, Interval, Window
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.fields import Metric
from kernelsight.events.process import Process
from kernelsight.events.scheduler import SchedProcess

_WORKERS = ("kworker", "ksoftirqd", "migration", "rcu_", "swapper", "kcompactd", "khugepaged")
_LONGEST_SPREAD_S = 3600
"""When something was done in a longer time without a sample is not known; the clock may be set ahead by years."""


NEVER_SLEEPS_SHARE = Threshold(
    0.8,
    "share of the time",
    because="judged: a task that wants a CPU for so much of it does nothing else; the rest is for what it starts with",
)
SLICE_S = Threshold(
    0.003,
    "s",
    because="the longest slice that the kernel gives a task before others have their turn, unless told otherwise "
    "(sysctl_sched_base_slice, kernel/sched/fair.c)",
)

SWITCH_S = Threshold(
    4e-6,
    "s",
    because="a switch costs 3.8 µs over a pipe, with warm caches (Li, Ding, Shen: Quantifying the Cost of Context "
    "Switch, ExpCS 2007)",
)
SHORT_SLICE_S = Threshold(
    4 * SWITCH_S,
    "s on a CPU between two switches",
    because="calculated: at four times what a switch costs, a fifth of the time is the switch",
)

LONGEST_S = Threshold(
    2.0,
    "s",
    because="readings are a second apart and seldom late, so a thread can have waited for no longer between two; "
    "kernels that put off the dequeuing of who sleeps (6.12 on) at times count a sleep of many seconds as a wait for "
    "a CPU",
)


@dataclass(slots=True)
class Use:
    """One process: seconds of CPU, and seconds that its threads were runnable without one, by second."""

    pid: int
    comm: str
    group: int | str | None
    """Its control group: the path, or the id where that is all that is known."""
    ran: Seconds = field(default_factory=Seconds)
    queued: Seconds = field(default_factory=Seconds)
    slept: Seconds = field(default_factory=Seconds)
    """Times that its threads went to sleep."""
    displaced: Seconds = field(default_factory=Seconds)
    """Times that its threads were taken off a CPU that they wanted to keep."""
    rows: list[SchedProcess | Process] = field(default_factory=list)
    """What says so, of one of the two kinds."""

    def add(self, second: int, ran: float, queued: float, slept: float, displaced: float) -> None:
        """Add what it did in a second."""
        self.ran.add(second, ran)
        if queued:
            self.queued.add(second, queued)
        if slept:
            self.slept.add(second, slept)
        if displaced:
            self.displaced.add(second, displaced)

    def ran_in(self, run: Interval) -> float:
        """Seconds of CPU within a stretch."""
        return self.ran.within(run)

    def queued_in(self, run: Interval) -> float:
        """Seconds of waiting for a CPU within a stretch."""
        return self.queued.within(run)

    def wanted_in(self, run: Interval) -> float:
        """Seconds within a stretch in which its threads wanted a CPU, whether they had one or not."""
        return self.ran_in(run) + self.queued_in(run)

    def switches_in(self, run: Interval) -> float:
        """Times within a stretch that its threads left a CPU."""
        return self.slept.within(run) + self.displaced.within(run)

    def seen_in(self, run: Interval) -> int:
        """Seconds of a stretch in which anything is known of it."""
        return self.ran.known(run)

    def never_sleeps_in(self, run: Interval) -> bool:
        """Whether it wants a CPU all the time, as a loop does and a server does not, however busy it is.

        Who sleeps before its slice is over gives way by itself. Where several threads share the wish, each may
        sleep often; of threads that want to go on, the kernel takes the CPU more often than they leave it.
        """
        wants = self.wanted_in(run) / max(self.seen_in(run), 1)
        slept = self.slept.within(run)
        keeps = slept <= self.ran_in(run) / SLICE_S or slept <= self.displaced.within(run)
        return wants >= NEVER_SLEEPS_SHARE and keeps

    def is_in(self, group: Cgroup) -> bool:
        """Whether it belongs to a control group (a row of the kind `cgroup`) or to one below it."""
        if isinstance(self.group, str):
            return is_within(self.group, str(group.cgroup))
        return self.group is not None and self.group == group.cgroup_id

    def lasts_in(self, run: Interval) -> bool:
        """Whether it was there for most of a stretch, unlike the jobs of a compiler."""
        return self.seen_in(run) > run.seconds / 2

    @property
    def program(self) -> ProgramId:
        """What it is one process of."""
        return ProgramId(self.comm, self.group)

    @property
    def entity(self) -> Entity:
        """It, as a finding names it."""
        return process_entity(self.pid, self.comm)

    @property
    def is_kernel_worker(self) -> bool:
        """Whether it is a thread of the kernel that works on behalf of others."""
        return self.comm.startswith(_WORKERS)


def cpu_use(window: Window) -> list[Use]:
    """Every process that ran or waited: from the scheduler's own account, else from samples of processes."""
    return _scheduled(window) or _sampled(window)


_Amounts = dict[int, float]


def _scheduled(window: Window) -> list[Use]:
    """The processes by the scheduler's own account.

    Rows are many, and lie in memory in their order: they are gone through once, and not process by process.
    """
    by_pid: dict[int, tuple[list[SchedProcess | Process], _Amounts, _Amounts, _Amounts, _Amounts]] = {}
    rows = window.rows(SchedProcess)
    for row, second in zip(rows, window.seconds(rows), strict=True):
        if row.pid is None:
            continue
        account = by_pid.get(row.pid)
        if account is None:
            account = by_pid[row.pid] = ([], {}, {}, {}, {})
        its_rows, ran, queued, slept, displaced = account
        its_rows.append(row)
        ran[second] = ran.get(second, 0.0) + (row.cpu_time_ms or 0) / 1e3
        if row.runqueue_ms:
            queued[second] = queued.get(second, 0.0) + _waited_s(row)
        if row.voluntary_switches:
            slept[second] = slept.get(second, 0.0) + row.voluntary_switches
        if row.involuntary_switches:
            displaced[second] = displaced.get(second, 0.0) + row.involuntary_switches
    known = window.once(processes)
    uses = []
    for pid, (its_rows, ran, queued, slept, displaced) in by_pid.items():
        process, first = known.get(pid), its_rows[0]
        program = program_id(window, first.comm, (process.group if process else None) or first.cgroup_id)
        uses.append(Use(pid, *program, Seconds(ran), Seconds(queued), Seconds(slept), Seconds(displaced), its_rows))
    return uses


def _sampled(window: Window) -> list[Use]:
    """The processes by their samples, which everybody may take."""
    suspect: dict[int, Use] = {}
    for (pid, _), deltas in window.deltas(Process).items():
        for delta in deltas if pid is not None else ():
            row = delta.after
            use = suspect.get(pid)
            if use is None:
                use = suspect[pid] = Use(pid, *program_id(window, row.comm, row.cgroup))
            use.rows.append(row)
            _spread(window, use, delta, (delta.of(Process.utime_ms) + delta.of(Process.stime_ms)) / 1e3)
    return list(suspect.values())


def _waited_s(row: SchedProcess) -> float:
    """What the threads of a process waited for a CPU, as far as it can be."""
    told = float(row.runqueue_ms or 0) / 1e3
    threads = row.active_threads
    return told if threads is None else min(told, LONGEST_S * max(threads, 1))


What = Literal["ran", "queued", "switched"]
_SCHEDULED: Mapping[What, Metric[SchedProcess]] = {
    "ran": SchedProcess.cpu_time_ms,
    "queued": SchedProcess.runqueue_ms,
    "switched": SchedProcess.context_switches,
}
_SAMPLED: Mapping[What, Metric[Process]] = {
    "ran": Process.utime_ms,
    "queued": Process.cpu_delay_ns,
    "switched": Process.voluntary_switches,
}


def shown(window: Window, use: Use, run: Interval, what: What) -> Evidence | None:
    """The rows that show how much a process `ran`, `queued` or `switched` within a stretch."""
    rows = window.within(use.rows, run)
    scheduled = [row for row in rows if isinstance(row, SchedProcess)]
    if scheduled:
        return window.evidence(scheduled, _SCHEDULED[what], "sum")
    return window.evidence([row for row in rows if isinstance(row, Process)], _SAMPLED[what], "increase")


def queued(uses: Iterable[Use]) -> dict[int, float]:
    """How long several processes together were runnable without a CPU, by second."""
    suspect: dict[int, float] = {}
    for use in uses:
        for second, value in use.queued.items():
            suspect[second] = suspect.get(second, 0.0) + value
    return suspect


class Working(Protocol):
    """A measurement of processes that run and leave their CPUs."""

    @property
    def ran_s(self) -> float:
        """Seconds that they ran."""
        ...

    @property
    def switches(self) -> float:
        """Times that they left a CPU."""
        ...


WORKS: Check[Working] = Check(
    id="works",
    says="they work longer than it takes to switch to them",
    holds=lambda suspect: suspect.ran_s > SHORT_SLICE_S * suspect.switches,
    supports=0.0,
    refutes=4.0,
    because="judged: nearly everything works longer, so it supports nothing; who does not mostly takes turns "
    "(`context_switch_storm`)",
)
"""For every mechanism that blames processes for the CPU time that they use."""


def _spread(window: Window, use: Use, delta: CounterDelta[Process], ran: float) -> None:
    """Samples of quiet processes may lie a minute apart: what they did is spread evenly over that time."""
    last, first = window.second(delta.after), window.second(delta.before)
    seconds = range(first + 1, last + 1) if last > first else range(last, last + 1)
    if len(seconds) > _LONGEST_SPREAD_S:
        return
    queued = delta.of(Process.cpu_delay_ns) / 1e9
    amounts = (ran, queued, delta.of(Process.voluntary_switches), delta.of(Process.involuntary_switches))
    for second in seconds:
        use.add(second, *(amount / len(seconds) for amount in amounts))
