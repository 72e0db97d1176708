"""How something that changed touches what a finding is about: it is the same thing, or belongs to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from kernelsight.diagnosis.fault import FaultClass
from kernelsight.diagnosis.model import Change, Entity, Finding
from kernelsight.diagnosis.processes import processes
from kernelsight.diagnosis.registry import fault_classes
from kernelsight.diagnosis.window import Window


class Touch(NamedTuple):
    """A way from a change to the path of a finding."""

    strength: int
    """3: it is what the finding blames; 2: it belongs to that, or governs the mechanism; 1: to who suffers."""
    text: str
    """The way, such as "it is in the group of the culprit"."""


@dataclass(frozen=True, slots=True)
class Member:
    """A process or another thing that a finding names."""

    entity: Entity
    group: str | None
    """Path of its control group, where that is known."""
    executable: str
    role: str
    """`the culprit`, or `who suffers`."""
    strength: int


@dataclass(frozen=True, slots=True)
class Places:
    """What a finding is about."""

    fault: FaultClass
    members: tuple[Member, ...]


def places(window: Window, finding: Finding) -> Places:
    """What a finding names, with the control groups of its processes."""
    roles = [(finding.culprit, "the culprit", 3), *((victim, "who suffers", 1) for victim in finding.victims)]
    roles += [(proposal.target, "the culprit", 2) for proposal in finding.actions]
    known = window.once(processes)
    members: dict[tuple[str, str], Member] = {}
    for entity, role, strength in roles:
        process = known.get(int(entity.id)) if entity.kind == "process" and entity.id.isdecimal() else None
        group = entity.id if entity.kind == "cgroup" else process.group if process else None
        members.setdefault(
            (entity.kind, entity.id), Member(entity, group, process.executable if process else "", role, strength)
        )
    return Places(fault_classes()[finding.fault], tuple(members.values()))


def touched(change: Change, its: Places) -> Touch | None:
    """The closest way from what a change is about to what a finding names."""
    ways = (
        way
        for about in change.about
        for member in its.members
        for meets in _MEETINGS
        if (way := meets(about, member)) is not None
    )
    return closest(ways)


def closest(ways: Iterable[Touch]) -> Touch | None:
    """The way of most strength; of several the first in the alphabet."""
    return min(ways, key=lambda way: (-way.strength, way.text), default=None)


def _the_same(about: Entity, member: Member) -> Touch | None:
    if about.kind == member.entity.kind and about.id == member.entity.id:
        return Touch(member.strength, f"it is {_told(member)}")
    return None


def _program(about: Entity, member: Member) -> Touch | None:
    """A program by its name or by the file that it runs."""
    if about.kind != "program":
        return None
    file = member.executable.removesuffix(" (deleted)")
    names = {file, file.rpartition("/")[2]} if file else {member.entity.name}
    if member.entity.kind in {"process", "program", "listener"} and (about.name in names or about.id in names):
        return Touch(member.strength, f"it is the program of {_told(member)}")
    return None


def _group(about: Entity, member: Member) -> Touch | None:
    """A control group that a process is in, or one above that."""
    if about.kind != "cgroup" or member.group is None or about.id in {"", "/"}:
        return None
    if f"{member.group}/".startswith(f"{about.id.rstrip('/')}/"):
        return Touch(max(member.strength - 1, 1), f"{_told(member)} is in it")
    return None


def _place(about: Entity, member: Member) -> Touch | None:
    """A device or a mount that is called alike: `/dev/sda` and `sda`."""
    kinds = {"device", "mount", "interface"}
    if about.kind in kinds and member.entity.kind in kinds:
        names = {text.removeprefix("/dev/") for text in (member.entity.id, member.entity.name)}
        if {text.removeprefix("/dev/") for text in (about.id, about.name)} & names:
            return Touch(member.strength, f"it is {_told(member)}")
    return None


_MEETINGS: tuple[Callable[[Entity, Member], Touch | None], ...] = (_the_same, _program, _group, _place)


def _told(member: Member) -> str:
    entity = member.entity
    return (
        f"{member.role}, {entity.name}" if entity.id == entity.name else f"{member.role}, {entity.name} ({entity.id})"
    )
