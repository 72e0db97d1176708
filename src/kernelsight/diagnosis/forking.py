"""Programs that start others all the time: what they start, how long that lives, and who started whom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.duration import Duration, duration_of
from kernelsight.diagnosis.families import Family, families, most_children
from kernelsight.diagnosis.identity import program_id
from kernelsight.diagnosis.mechanism import Check, Explanation, claim, path
from kernelsight.diagnosis.model import Entity, Step
from kernelsight.diagnosis.processes import named, processes
from kernelsight.diagnosis.remedies import LOOK, TERMINATE
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Interval, Window, runs
from kernelsight.events.scheduler import SchedProcess
from kernelsight.events.service import ServiceStats
from kernelsight.events.syscalls import SyscallError
from kernelsight.linux.syscalls import FORKS
from kernelsight.quantities import number, quantity
from kernelsight.signals.rules.scheduler import CHILDREN_PER_S

START_S = Threshold(
    1e-3,
    "s",
    because="judged: what it takes to start a program and to end it: fork, exec, the pages of its libraries, exit",
)
COSTLY_SHARE = Threshold(
    0.1,
    "share of one CPU",
    because="judged: what starting takes when it is costly by itself, and not by what is started",
)
FORKS_PER_S = Threshold(
    CHILDREN_PER_S / 10,
    "children/s",
    because="judged: so many of one program are worth a look; a service that starts a script for a request has fewer. "
    "A tenth of what the signal `fork_storm` tells at: here it only makes a suspect",
)
RELATED_SHARE = Threshold(
    0.25,
    "share of the processes of a program that have children",
    because="judged: so many have a parent that is one of them, if they start each other",
)
MOST_SHARE = Threshold(
    0.5,
    "share of the children of a program",
    because="judged: from so many children of one process on, it is the one that starts them",
)
ASKED_SHARE = Threshold(
    0.5,
    "requests per child",
    because="judged: a service that starts a program or two for a request starts as many as its clients ask for",
)
OTHERS_SHARE = Threshold(
    0.5,
    "children of their children per child",
    because="judged: a compiler's driver starts a compiler, an assembler and a linker",
)


@dataclass(frozen=True, slots=True)
class Forking:
    """A program that starts processes in a stretch of seconds."""

    comm: str
    parent: Entity
    """Who starts them; where they start each other, the oldest of them."""
    run: Interval
    duration: Duration
    forks: int
    exits: int
    """Children that ended."""
    lived_ms: float
    """All that ended together."""
    most_forks: int
    """Children of the process that has most."""
    each_other: bool
    """Children start more of their kind, and no process starts most of them."""
    grandchildren: int
    """What short-lived processes of other programs of the same control group started."""
    asked: int
    """Requests that reached those who start them."""
    rows: Sequence[SchedProcess]
    refused: Sequence[SyscallError]
    """Calls for more of them that failed with EAGAIN, as they do at a limit."""

    @property
    def children_per_s(self) -> float:
        """Children a second."""
        return self.forks / self.run.seconds

    @property
    def most_per_s(self) -> float:
        """Children a second of the process that has most."""
        return self.most_forks / self.run.seconds

    @property
    def cost_share(self) -> float:
        """Of one CPU, what starting them takes."""
        return self.children_per_s * START_S

    @property
    def life_ms(self) -> float:
        """How long those lived that ended, on average."""
        return self.lived_ms / max(self.exits, 1)


def forking(window: Window) -> list[Forking]:
    """The programs and stretches in which very many processes are started. Use with :meth:`Window.once`."""
    return [
        _forking(window, family, run)
        for family in window.once(families)
        for run in runs(window.per_second(family.rows, SchedProcess.forks), lambda forks: forks >= FORKS_PER_S)
    ]


def _forking(window: Window, family: Family, run: Interval) -> Forking:
    rows: list[SchedProcess] = window.within(family.rows, run)
    pid, most = most_children(rows)
    forks = sum(row.forks or 0 for row in rows)
    # Other shells of the machine may have started each other, and have no part in what one of them does.
    each_other = most < MOST_SHARE * forks and _are_related(window, rows)
    first = _oldest(window, family, pid) if each_other else pid
    return Forking(
        family.program.comm,
        named(window, first, family.program.comm),
        run,
        duration_of(window, run),
        forks=forks,
        exits=sum(row.exits or 0 for row in rows),
        lived_ms=sum(row.child_lifetime_ms or 0 for row in rows),
        most_forks=most,
        each_other=each_other,
        grandchildren=_started_by_others(window, family, run),
        asked=_asked(window, {row.pid for row in rows if row.forks}, run),
        rows=rows,
        refused=[
            row
            for row in window.within(window.rows(SyscallError), run)
            if row.comm == family.program.comm and row.error == "EAGAIN" and row.syscall_name in FORKS
        ],
    )


def _asked(window: Window, pids: set[int | None], run: Interval) -> int:
    """Requests that reached processes in a stretch, as counted at their sockets."""
    return sum(row.requests or 0 for row in window.within(window.rows(ServiceStats), run) if row.pid in pids)


def _are_related(window: Window, rows: Iterable[SchedProcess]) -> bool:
    """Whether those who have children are each other's children; one whose parent has ended is init's by then."""
    known = window.once(processes)
    pids = {row.pid for row in rows}
    sampled = [process for pid in pids if (process := known.get(pid or 0)) and process.samples]
    related = [one for one in sampled if one.parent in pids or (one.parent == 1 and len(one.samples) == 1)]
    return len(related) > 1 and len(related) >= RELATED_SHARE * len(sampled)


def _oldest(window: Window, family: Family, pid: int) -> int:
    """Where children have children: the one of the program that they all come from."""
    of_program = [
        one
        for one in window.once(processes).values()
        if one.samples and program_id(window, one.comm, one.group_id) == family.program
    ]
    return min(of_program, key=lambda one: (one.samples[0].start_ticks or 0, one.pid)).pid if of_program else pid


def _started_by_others(window: Window, family: Family, run: Interval) -> int:
    """What short-lived processes of other programs of the same control group started."""
    known = window.once(processes)
    rows: list[SchedProcess] = [
        row
        for other in window.once(families)
        if other.program.group == family.program.group and other.program != family.program
        for row in window.within(other.rows, run)
        if (process := known.get(row.pid or 0)) is None or len(process.samples) <= 1
    ]
    return sum(row.forks or 0 for row in rows)


OFTEN: Check[Forking] = Check(
    id="very_many_children",
    says="{children_per_s:.0f} children a second",
    holds=lambda suspect: suspect.children_per_s >= FORKS_PER_S,
    supports=1.5,
    refutes=4.0,
    because="judged: it is what the fault consists of; a stretch with seconds of fewer between may have fewer in all",
)
COSTLY: Check[Forking] = Check(
    id="costly",
    says="starting them is costly by itself",
    holds=lambda suspect: suspect.cost_share >= COSTLY_SHARE,
    supports=1.0,
    refutes=1.0,
    because="judged: some starts cost less than is assumed here, and some more, so it decides nothing by itself",
)
NO_OTHER_PROGRAMS: Check[Forking] = Check(
    id="no_other_programs",
    says="they start no other programs, as a compiler does",
    holds=lambda suspect: suspect.grandchildren <= OTHERS_SHARE * suspect.forks,
    supports=0.5,
    refutes=2.5,
    because="judged: what starts other programs has a job: a build, a test suite, a package's scripts",
)
NOT_ASKED: Check[Forking] = Check(
    id="not_asked",
    says="no requests ask for them",
    holds=lambda suspect: suspect.asked < ASKED_SHARE * suspect.forks,
    supports=0.0,
    refutes=5.0,
    because="judged: a server that runs a program for each request (CGI) does what it is there for",
)
REFUSED: Check[Forking] = Check(
    id="refused_more",
    says="a limit refuses it more of them",
    holds=lambda suspect: bool(suspect.refused),
    supports=2.0,
    refutes=0.0,
    because="judged: who starts so many that a limit stops it has lost control of it; most storms meet no limit",
)


def explain(window: Window, suspect: Forking) -> Explanation:
    """Starting and ending them takes its share of the CPUs."""
    return concluded(
        window,
        suspect.parent,
        suspect.run,
        suspect.forks * START_S,
        claim(
            f"{suspect.comm} started {suspect.forks} processes in {suspect.run.seconds} s",
            window.evidence(suspect.rows, SchedProcess.forks, "sum"),
        ),
        claim(
            f"{suspect.exits} of them ended, after {suspect.life_ms:.1f} ms on average",
            window.evidence(suspect.rows, SchedProcess.exits, "sum"),
            window.evidence(suspect.rows, SchedProcess.child_lifetime_ms, "sum"),
        ),
        claim(
            "it wanted more than a limit allows: fork failed with EAGAIN",
            window.evidence(suspect.refused, SyscallError.count, "sum"),
        ),
        does=f"starts {number(round(suspect.forks / suspect.run.seconds))} processes a second",
        detail=f"they live for {quantity(suspect.life_ms, 'ms')}" if suspect.exits else "",
    )


def concluded(  # noqa: PLR0913 - what differs from one storm to the next, by keyword
    window: Window,
    parent: Entity,
    run: Interval,
    suffering_s: float,
    *steps: Step | None,
    does: str,
    detail: str = "",
) -> Explanation:
    """What is to be said and done about any storm of new processes or threads; `does` is what the parent does."""
    return Explanation(
        culprit=parent,
        onset_ns=window.at(run.first),
        victims=(parent,),
        does=does,
        detail=detail,
        harm="",
        suffering_s=suffering_s,
        path=path(*steps),
        refuted_by=f"as many processes begin without {parent.name}",
        outlook="starting and ending processes goes on taking its share of the CPUs",
        actions=(
            TERMINATE.on(parent, f"end {parent.name}, or let it wait between two children"),
            LOOK.on(parent, f"see why what {parent.name} starts ends at once"),
        ),
    )
