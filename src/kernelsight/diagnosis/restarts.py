"""Programs that one parent starts again and again, and how they end."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.duration import Duration, duration_of
from kernelsight.diagnosis.kernel_log import messages
from kernelsight.diagnosis.processes import Process as SampledProcess
from kernelsight.diagnosis.processes import processes
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.waiting import waiting
from kernelsight.diagnosis.window import NS_PER_S, Interval, Window, grouped_by
from kernelsight.events.kernel_message import KernelMessage
from kernelsight.events.memory import Memory, OomKill
from kernelsight.events.packet_drop import PacketDrop
from kernelsight.events.process import Process
from kernelsight.events.process_exit import ProcessExit
from kernelsight.events.service import Service
from kernelsight.events.syscalls import SyscallError
from kernelsight.linux.shells import is_shell
from kernelsight.linux.supervisors import (
    CANNOT_RUN,
    DEFECTS,
    ended_from_outside,
    is_supervisor,
    runs_containers,
    signal_name,
)
from kernelsight.linux.syscalls import POLLS, READS

LEAST_ENDS = Threshold(
    3, "ends", because="judged: a service that is restarted by intention ends once, and once more where that failed"
)
RAN_LONG_S = Threshold(30, "s", because="judged: a program that ran for so long is none that only asks something")
REFUSED_PER_END = Threshold(
    4.0,
    "refused packets per end",
    because="calculated: a program that itself asks a port in vain at each start is refused twice, over IPv4 and IPv6, "
    "each once more where it tries again",
)
REFUSED_MORE = Threshold(
    5.0, "times as many refused packets as before", because="judged: clients that were served before are refused now"
)
LEAST_BEFORE_S = Threshold(3, "s", because="judged: less says little of what is usual")
_ASKS_AGAIN = "EAGAIN"
"""Error of calls that found nothing yet, or a lock taken: no reason to fail."""
_PAUSES = ("sleep", "usleep")
"""What a script starts to wait before the next try."""
_TICKS_PER_S = 100
_INPUT = READS | POLLS
_ROOT_GROUP = 1
"""Id of the root of all control groups, in which everything is where the first version of them is used."""


@dataclass(frozen=True, slots=True)
class Restarts:
    """One program that one parent started again and again."""

    comm: str
    parent_pid: int
    parent_comm: str
    rows: Sequence[ProcessExit]
    """Its ends, by time."""
    others: int
    """Programs of other names that ended as children of the same parent meanwhile; pauses do not count."""
    duration: Duration
    seconds: float
    """From the first end to the last."""
    ran_long_s: float
    """How long a process of this name had run that was there before; 0: none was seen."""
    in_living_container: bool | None
    """Whether a container's runtime started all of them in one control group; None: another parent, or not known."""
    came_up: bool
    """Whether one of it was there after the last end."""
    serves: bool
    """Whether a process of this name listened for clients."""
    refused: Sequence[PacketDrop]
    """Packets that found nobody who listens."""
    refused_before_per_s: float | None
    """As many a second, before the first failure; None: too little was recorded before."""
    errors: Sequence[SyscallError]
    """Calls that failed in it for want of something."""
    segfaults: Sequence[KernelMessage]
    """What the kernel said of its faults."""
    typed: bool
    """Whether its parent is a shell that waits for input between the ends: somebody types the commands."""

    @property
    def ends(self) -> int:
        """Processes that ended."""
        return sum(row.count or 0 for row in self.rows)

    @property
    def failed(self) -> int:
        """Of these, those that failed."""
        return sum(row.failed or 0 for row in self.failures)

    @property
    def failures(self) -> Sequence[ProcessExit]:
        """The rows of those that failed."""
        return [row for row in self.rows if _has_failed(row)]

    @property
    def failed_share(self) -> float:
        """Share of the ends that were failures."""
        return self.failed / max(self.ends, 1)

    @property
    def life_s(self) -> float:
        """How long one lived, on average."""
        return sum(row.lifetime_ms or 0 for row in self.rows) / 1000 / max(self.ends, 1)

    @property
    def per_s(self) -> float:
        """Ends a second."""
        return self.ends / max(self.seconds, 1.0)

    @property
    def at_once(self) -> float:
        """How many of them there were at a time, on average."""
        return self.life_s * self.ends / max(self.seconds + self.life_s, self.life_s, 0.001)

    @property
    def refused_packets(self) -> int:
        """Packets of clients that found nobody who listens."""
        return sum(row.count or 0 for row in self.refused)

    @property
    def pause_s(self) -> float:
        """From one end to the next start, on average."""
        return max(self.seconds / max(self.ends - 1, 1) - self.life_s, 0.0)

    @property
    def refuses_clients(self) -> bool:
        """Whether clients find nobody who listens since it fails: more than it may itself be refused."""
        if self.refused_before_per_s is None or self.refused_packets < REFUSED_PER_END * self.ends:
            return False
        return self.refused_packets / max(self.seconds, 1.0) >= REFUSED_MORE * self.refused_before_per_s

    @property
    def was_up(self) -> bool:
        """Whether it did its work before, or clients want it: it listened, had run for long, or is missed."""
        return self.serves or self.ran_long_s >= RAN_LONG_S or self.refuses_clients

    @property
    def alike_share(self) -> float:
        """Share of the failures that ended alike."""
        return max(self._ways().values(), default=0) / max(self.failed, 1)

    @property
    def how(self) -> str:
        """How most of them ended."""
        return self._ways().most_common(1)[0][0]

    def _ways(self) -> Counter[str]:
        ways: Counter[str] = Counter()
        for row in self.failures:
            by = signal_name(row.exit_signal) if row.exit_signal else f"status {row.exit_status}"
            ways[by] += row.failed or 0
        return ways

    @property
    def shows_defect(self) -> bool:
        """Whether it ended by a signal for what it did itself, or could not be executed."""
        return any(row.exit_signal in DEFECTS or row.exit_status in CANNOT_RUN for row in self.rows)

    @property
    def is_contained(self) -> bool:
        """Whether its parent is the supervisor of a container."""
        return runs_containers(self.parent_comm)

    @property
    def is_supervised(self) -> bool:
        """Whether its parent is a program that starts services again."""
        return is_supervisor(self.parent_comm)


def restarts(window: Window) -> Iterator[Restarts]:
    """What was started again and again, by program and parent.

    The parent of a container is another one each time: then those of one name count as one parent.
    """
    rows = [row for row in window.rows(ProcessExit) if row.comm and row.count and _is_program(row)]
    killed = {row.comm for row in window.rows(OomKill)}
    by_parent = grouped_by(rows, lambda row: (row.parent_pid, row.comm))
    alone = [family[0] for family in by_parent.values() if sum(row.count or 0 for row in family) == 1]
    families = [family for family in by_parent.values() if len(family) > 1 or family[0].count != 1]
    families += grouped_by(
        (row for row in alone if is_supervisor(row.parent_comm or "")),
        lambda row: (row.parent_comm, row.comm),
    ).values()
    for family in families:
        if sum(row.failed or 0 for row in family if _has_failed(row)) >= LEAST_ENDS and family[-1].comm not in killed:
            yield _restarts(window, family, rows)


def _has_failed(row: ProcessExit) -> bool:
    """Whether processes failed by themselves. No process kills itself; a supervisor kills what does not answer."""
    killed = row.exit_signal == signal.SIGKILL and not is_supervisor(row.parent_comm or "")
    return bool(row.failed) and not killed and not ended_from_outside(row.exit_status, row.exit_signal)


def _is_program(row: ProcessExit) -> bool:
    """Whether what ended had a program of its own, or should have had one; no part of a script that forked."""
    before_it_executes = (row.comm or "").startswith("(")  # as systemd calls it
    return bool(row.executed) or row.exit_status in CANNOT_RUN or before_it_executes


def _restarts(window: Window, family: Sequence[ProcessExit], everybody: Iterable[ProcessExit]) -> Restarts:
    last = family[-1]
    run = Interval(window.second(family[0]), window.second(last))
    children = _children(window, last)
    pids = {row.pid for row in family}
    ours = pids | {process.pid for process in children}
    siblings = [
        row
        for row in window.within(everybody, run)
        if row.parent_pid == last.parent_pid and row.comm != last.comm and row.comm not in _PAUSES
    ]
    refused = [row for row in window.rows(PacketDrop) if row.reason == "NO_SOCKET"]
    return Restarts(
        comm=last.comm or "",
        parent_pid=last.parent_pid or 0,
        parent_comm=last.parent_comm or "",
        rows=family,
        others=sum(row.count or 0 for row in siblings),
        duration=duration_of(window, run),
        seconds=(last.timestamp - family[0].timestamp) / NS_PER_S,
        ran_long_s=_ran_long_s(window, last, family),
        in_living_container=_in_living_container(window, family),
        came_up=any(process.pid not in pids and process.samples[-1].timestamp > last.timestamp for process in children),
        serves=any(row.pid in ours for row in window.rows(Service)),
        refused=window.within(refused, run),
        refused_before_per_s=_before_per_s(window, refused, run),
        errors=[row for row in window.rows(SyscallError) if row.pid in ours and row.error != _ASKS_AGAIN],
        segfaults=[row for row in messages(window, "segfault") if row.pid in ours],
        typed=is_shell(last.parent_comm or "") and _waits_for_input(window, last.parent_pid, run),
    )


def _waits_for_input(window: Window, pid: int | None, run: Interval) -> bool:
    edges = window.once(waiting).by_waiter.get(pid or 0, ())
    return any(edge.waits_in in _INPUT and edge.state == "interruptible" and edge.count_in(run) for edge in edges)


def _in_living_container(window: Window, family: Sequence[ProcessExit]) -> bool | None:
    """Whether all ran in one container. Where groups of the second version hold no containers, it is not known.

    Then everything is in the group of the runtime itself, or in the root.
    """
    last, groups = family[-1], {row.cgroup_id for row in family}
    parent = window.once(processes).get(last.parent_pid or 0)
    if not runs_containers(last.parent_comm or "") or parent is None or parent.group_id is None:
        return None
    return None if groups & {None, _ROOT_GROUP, parent.group_id} else len(groups) == 1


def _before_per_s(window: Window, refused: Sequence[PacketDrop], run: Interval) -> float | None:
    """Packets a second that found nobody who listens before a stretch began."""
    stamps = [window.second(row) for row in window.rows(Memory)]
    seconds = len({second for second in stamps if second < run.first})
    if seconds < LEAST_BEFORE_S:
        return None
    return sum(row.count or 0 for row in refused if window.second(row) < run.first) / seconds


def _ran_long_s(window: Window, last: ProcessExit, family: Sequence[ProcessExit]) -> float:
    """How long a process of the program under the same parent had run, by its end and by its samples."""
    longest = max((row.lifetime_ms or 0) / 1000 / (row.count or 1) for row in family)
    boot_s = window.once(_boot_s)
    if boot_s is None:
        return longest
    for process in _children(window, last):
        sample = process.samples[-1]
        if sample.start_ticks is not None and sample.timestamp <= last.timestamp:
            longest = max(longest, sample.timestamp / NS_PER_S - boot_s - sample.start_ticks / _TICKS_PER_S)
    return longest


def _children(window: Window, last: ProcessExit) -> list[SampledProcess]:
    """The processes of the program under the same parent that samples met."""
    return [
        process
        for process in window.once(processes).values()
        if process.comm == last.comm and process.samples and process.parent == last.parent_pid
    ]


def _boot_s(window: Window) -> float | None:
    """When the machine was started (s since the epoch), at the latest: the youngest process began after that."""
    stamps = [
        row.timestamp / NS_PER_S - row.start_ticks / _TICKS_PER_S
        for row in window.rows(Process)
        if row.start_ticks is not None
    ]
    return min(stamps, default=None)
