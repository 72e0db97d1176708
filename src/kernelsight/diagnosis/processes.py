"""Who the processes of a window are: names, parents, control groups, from whichever rows name them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.identity import UNKNOWN, ProgramId, process_entity, program_id
from kernelsight.diagnosis.model import Entity, Identity
from kernelsight.diagnosis.shell import Controller
from kernelsight.diagnosis.window import Window, moment
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.process import Process as ProcessSample
from kernelsight.events.scheduler import BlockedTask, SchedProcess, Wait
from kernelsight.linux.services import Service, service_of

_INIT = 1
_KTHREADD = 2
"""Parent of all kernel threads."""


@dataclass(slots=True)
class Process:
    """One process, as far as the window tells."""

    pid: int
    comm: str
    samples: Sequence[ProcessSample] = ()
    """Its rows of the kind `process`, by time; none where it came and went between two samples."""
    group_id: int | None = None
    """Id of its control group (v2)."""

    @property
    def entity(self) -> Entity:
        """It, as a finding names it."""
        return process_entity(self.pid, self.comm)

    @property
    def parent(self) -> int | None:
        """Pid of its parent; None where that is not known."""
        return self.samples[-1].ppid if self.samples else None

    @property
    def group(self) -> str | None:
        """Path of its control group; None where that is not known."""
        return self.samples[-1].cgroup if self.samples else None

    def group_for(self, controller: Controller) -> str | None:
        """Path of the control group in which a controller limits it; None where that is not known."""
        if not self.samples:
            return None
        last = self.samples[-1]
        return {"memory": last.memory_cgroup, "io": last.io_cgroup}.get(controller) or last.cgroup

    @property
    def executable(self) -> str:
        """Path of the file that it runs, as the last row that says it has it; empty where none does."""
        # Another program may have stored anything.
        return next((row.exe for row in reversed(self.samples) if isinstance(row.exe, str)), "")

    @property
    def nice(self) -> int:
        """Its nice value; 0 where that is not known."""
        return (self.samples[-1].nice or 0) if self.samples else 0

    @property
    def is_kernel_thread(self) -> bool:
        """Whether it is a thread of the kernel, known by its parent."""
        return _KTHREADD in (self.pid, self.parent)


def processes(window: Window) -> Mapping[int, Process]:
    """The processes of a window by pid; use with :meth:`Window.once`.

    A pid that was used twice is the last process that had it.
    """
    known: dict[int, Process] = {}
    # Kinds that name processes too short-lived for a sample, least trusted first.
    _name(known, window.rows(BlockedTask))
    for wait in {wait.waker_pid: wait for wait in window.rows(Wait) if wait.waker_comm}.values():
        if wait.waker_pid:
            known.setdefault(wait.waker_pid, Process(wait.waker_pid, UNKNOWN)).comm = str(wait.waker_comm)
    _name(known, window.rows(Wait))
    _name(known, window.rows(SchedProcess))
    for (pid, _), samples in window.series(ProcessSample).items():
        if pid is not None:
            process = known.setdefault(pid, Process(pid, UNKNOWN))
            if not process.samples or moment(process.samples[-1]) <= moment(samples[-1]):
                process.samples = samples
                process.comm = next((row.comm for row in reversed(samples) if row.comm), process.comm)
                groups = (row.cgroup_id for row in reversed(samples) if row.cgroup_id is not None)
                process.group_id = next(groups, process.group_id)
    return known


def _name(known: dict[int, Process], rows: Sequence[BlockedTask | Wait | SchedProcess]) -> None:
    """Take the latest name and control group of each process from rows that have them."""
    for row in {row.pid: row for row in rows if row.comm}.values():
        if row.pid:
            process = known.setdefault(row.pid, Process(row.pid, UNKNOWN))
            process.comm, process.group_id = str(row.comm), row.cgroup_id


def named(window: Window, pid: int, otherwise: str | None = None) -> Entity:
    """A process as a finding names it, even if nothing but its pid is known.

    Args:
        window: where to look.
        pid: the process.
        otherwise: its name where no row about it says one.
    """
    process = window.once(processes).get(pid)
    return process.entity if process and process.comm != UNKNOWN else process_entity(pid, otherwise)


def program_of(window: Window, pid: int, otherwise: str | None = None) -> ProgramId:
    """The program that a process belongs to; without anything about the process that of a name."""
    process = window.once(processes).get(pid)
    return (
        program_id(window, process.comm, process.group or process.group_id)
        if process
        else ProgramId(otherwise or UNKNOWN, None)
    )


def identity_of(window: Window, entity: Entity) -> Identity | None:
    """Who a process is that a finding names; None where no sample is of it.

    A pid that was used twice is the last process that had it: of one with another name nothing is said.
    """
    process = window.once(_by_id).get(entity.id) if entity.kind == "process" else None
    if process is None or not process.samples or process.comm != entity.name:
        return None
    group = program_id(window, process.comm, process.group or process.group_id).group
    path = group if isinstance(group, str) else ""
    service = service_of(path) or Service()
    return Identity(
        entity,
        executable=process.executable,
        unit=service.unit or "",
        container=service.container or "",
        pod=service.pod or "",
        cgroup=path,
        uid=process.samples[-1].uid,
        parents=tuple(_parents(window, process)),
        is_kernel_thread=process.is_kernel_thread,
    )


def _by_id(window: Window) -> Mapping[str, Process]:
    return {str(pid): process for pid, process in window.once(processes).items()}


def _parents(window: Window, process: Process) -> Iterator[Entity]:
    """The parents of a process up to the first process, or to one of which the window only has the pid."""
    seen: set[int] = set()
    while process.parent and process.pid not in seen:
        seen.add(process.pid)
        parent = _parent_of(window, process)
        if parent is None:
            yield process_entity(process.parent, None)
            return
        yield parent.entity
        process = parent


def _parent_of(window: Window, process: Process) -> Process | None:
    """The parent of a process; None where the window does not have it.

    A process that started after its child is not the parent: the parent has ended, and its pid was used again.
    """
    parent = window.once(processes).get(process.parent) if process.parent else None
    return None if parent is None or 0 < _started(process) < _started(parent) else parent


def _started(process: Process) -> int:
    """When it started (ticks since boot); 0 where that is not known."""
    ticks = process.samples[-1].start_ticks if process.samples else None
    return ticks if isinstance(ticks, int) else 0  # another program may have stored anything


def ancestors(window: Window, pid: int) -> Iterator[Process]:
    """The parent of a process, its parent, and so on, as far as they are known; without pid 1."""
    process = window.once(processes).get(pid)
    seen = {pid}
    while process is not None and (parent := _parent_of(window, process)) is not None:
        if parent.pid in {_INIT, *seen}:
            return
        seen.add(parent.pid)
        yield parent
        process = parent


def is_within(group: str | None, path: str) -> bool:
    """Whether a control group is this one or below it."""
    return group is not None and (group == path or group.startswith(f"{path.rstrip('/')}/"))


def members(window: Window, group: Cgroup) -> list[Process]:
    """The processes of a control group (a row of the kind `cgroup`) and of the groups below it."""
    path = str(group.cgroup)
    return [
        one
        for one in window.once(processes).values()
        if is_within(one.group, path)
        or (one.group is None and one.group_id is not None and one.group_id == group.cgroup_id)
    ]
