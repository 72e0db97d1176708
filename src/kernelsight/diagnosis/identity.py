"""Which program a process belongs to, and the one way from a pid to what a finding names.

Processes of one name in one control group are one program: a name alone is that of every worker of every service
(`python3`), a group alone that of all that a service starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol, TypeVar

from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.window import Window
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.process import Process

UNKNOWN = "?"
"""Name of a process of which no row says the name."""


class ProgramId(NamedTuple):
    """What tells a program from others."""

    comm: str
    group: str | int | None
    """Path of its control group; its id (v2) where no row says the path; None where nothing is known of it."""


def process_entity(pid: int | str | None, comm: str | None) -> Entity:
    """A process as a finding names it, by the name that a row has for it."""
    return Entity("process", str(pid), comm or UNKNOWN)


def program_id(window: Window, comm: str | None, group: str | int | None) -> ProgramId:
    """The program of a name and a control group; an id of a group becomes its path where a row says that."""
    path = window.once(_paths).get(group) if isinstance(group, int) else group
    return ProgramId(comm or UNKNOWN, path or group)


def _paths(window: Window) -> Mapping[int, str]:
    """Path of each control group by its id."""
    rows: list[Cgroup | Process] = [*window.rows(Cgroup), *window.rows(Process)]
    return {row.cgroup_id: row.cgroup for row in rows if row.cgroup_id is not None and row.cgroup is not None}


class _OfProgram(Protocol):
    @property
    def comm(self) -> str | None: ...
    @property
    def cgroup_id(self) -> int | None: ...


R = TypeVar("R", bound=_OfProgram)


def by_program(window: Window, rows: Iterable[R]) -> dict[ProgramId, list[R]]:
    """Rows that say a name and a control group by the program that they are about, in their order."""
    found: dict[ProgramId, list[R]] = {}
    known: dict[tuple[str | None, int | None], ProgramId] = {}
    for row in rows:
        key = row.comm, row.cgroup_id
        if key not in known:
            known[key] = program_id(window, *key)
        found.setdefault(known[key], []).append(row)
    return found
