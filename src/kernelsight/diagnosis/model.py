"""What a diagnosis says: findings, each a fault with its culprit, its victims, and a path of proven claims."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from kernelsight.events.action import Answer
from kernelsight.query.clock_notes import Note

Fault: TypeAlias = str
"""Name of a class of faults, which a module of :mod:`kernelsight.diagnosis.faults` declares."""
How = Literal["sum", "increase", "mean", "max", "min", "last", "slope", "count"]
"""How a value comes from the metric's values in the cited rows; see :mod:`kernelsight.diagnosis.measure`."""

EntityKind = Literal[
    "process", "program", "cgroup", "device", "mount", "interface", "listener", "rule", "limit", "machine",
]  # fmt: skip


class Entity(msgspec.Struct, frozen=True):
    """Something to act on, or that suffers."""

    kind: EntityKind
    id: str
    """What tells it from others of its kind: a pid, a path, a device's name."""
    name: str
    """What people call it: the name of the program, the path, the device."""

    def __post_init__(self) -> None:
        """Refuse names that are no text: any SQLite client may write a row with one.

        Raises:
            TypeError: id or name is no text.
        """
        texts: tuple[object, ...] = (self.id, self.name)
        if not all(isinstance(text, str) for text in texts):
            raise TypeError(f"{self.kind} {self.id!r} ({self.name!r}): a name that is no text")


class Identity(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who a process is, as far as the rows of the window tell; what they do not tell is left out."""

    process: Entity
    executable: str = ""
    """Path of the file that it runs, as the kernel says it: with ` (deleted)` where that was removed or replaced."""
    unit: str = ""
    """Unit of systemd that it belongs to, as systemctl(1) takes it."""
    container: str = ""
    """Who runs the container that it is in, and the container's short id or its name: `docker 3f1c0a9b2d4e`."""
    pod: str = ""
    """UID of the pod that it is in."""
    cgroup: str = ""
    """Path of its control group."""
    uid: int | None = None
    """Its effective user."""
    parents: tuple[Entity, ...] = ()
    """Its parent, the parent of that, and so on up to the first process, or as far as they are known."""
    is_kernel_thread: bool = False
    """Whether it is a thread of the kernel."""


class Evidence(msgspec.Struct, frozen=True):
    """A number, and the rows of the store that it comes from."""

    table: str
    start_ns: int
    end_ns: int
    metric: str
    how: How
    value: float
    row_ids: tuple[int, ...]
    baseline: float | None = None
    """The same number of the same series before, where anything is known of it; of what adds up, for as long a time."""


class Step(msgspec.Struct, frozen=True):
    """One claim, with what shows it."""

    claim: str
    evidence: tuple[Evidence, ...]


class Parameter(msgspec.Struct, frozen=True):
    """A parameter of a remedy, such as the name or the value of a kernel parameter."""

    name: str
    value: str


class Proposal(msgspec.Struct, frozen=True):
    """Something that can be done about it."""

    action: str
    """The kind of remedy, such as `renice`, that :mod:`kernelsight.diagnosis.remedies` declares; `look` where a person
    must find out what is to be done."""
    target: Entity
    text: str
    parameters: tuple[Parameter, ...] = ()
    cgroup: str = ""
    """Path of the control group that the target is in, in the hierarchy that the remedy acts on; empty where it is not
    known, or where that does not matter."""


class Alternative(msgspec.Struct, frozen=True):
    """Another explanation of the same suffering, nearly as likely."""

    fault: Fault
    culprit: Entity
    confidence: float


class Change(msgspec.Struct, frozen=True):
    """Something of the machine that became different: what may have brought a fault about, and no proof of it."""

    subject: str
    """What sort of thing it is, such as `kernel_setting`: a module of :mod:`kernelsight.diagnosis.changes`."""
    item: str
    """Which one: the name of a setting, a path, the name of a package or a program."""
    claim: str
    """What became different, in a sentence without its time."""
    at_ns: int
    """When it was seen, or happened where :attr:`after_ns` is the same."""
    after_ns: int | None
    """The last moment at which it was known not to be so yet; None: nobody watched before."""
    evidence: tuple[Evidence, ...]
    about: tuple[Entity, ...] = ()
    """What it is about, as findings name things."""
    group: str = ""
    """Path of the control group that it happened in, where there is one."""
    other_days: int = 0
    """On so many other days the same changed at about the same hour."""
    touches: str = ""
    """How it touches the path of the finding that it is said with; empty: no way is known."""


class Watch(msgspec.Struct, frozen=True):
    """Since when changes of one subject are known."""

    subject: str
    since_ns: int | None
    """None: they are not known."""
    why_not: str = ""
    """Why they are not known, or not all of them; empty where they are."""


class Finding(msgspec.Struct, frozen=True):
    """A fault: what, who causes it, who suffers, how one leads to the other, and how sure that is."""

    fault: Fault
    culprit: Entity
    victims: tuple[Entity, ...]
    onset_ns: int
    confidence: float
    path: tuple[Step, ...]
    """From who suffers to the culprit."""
    refuted_by: str
    """What would show that this is wrong."""
    actions: tuple[Proposal, ...]
    began_before: bool = False
    """It was there at the first moment that was looked at or recorded: the onset is the first that was seen of it."""
    outlook: str = ""
    """What happens if nothing is done."""
    alternatives: tuple[Alternative, ...] = ()
    """What else it may be: nearly as likely, and not told apart by what was recorded."""
    changes: tuple[Change, ...] = ()
    """What changed shortly before and touches the path, the likeliest to matter first; never a cause by itself."""
    changes_elsewhere: int = 0
    """How many other changes there were at that time, of which no way to the path is known."""
    does: str = ""
    """What the culprit does, as a verb phrase such as `uses 1.9 CPUs`; in the plural where it has fellows."""
    detail: str = ""
    """What shows that, in a few words such as `988 of 1,024 descriptors`."""
    harm: str = ""
    """What that is to the first victim, as a verb phrase such as `waits 400 ms of every second for a CPU`."""
    fellows: tuple[Entity, ...] = ()
    """Others of the culprit's kind that do the same together with it."""


class RuledOut(msgspec.Struct, frozen=True):
    """An explanation that was considered and is less likely, and what speaks against it."""

    fault: Fault
    culprit: Entity
    confidence: float
    against: tuple[str, ...]
    effect_of: str = ""
    """The finding whose effect it is: then it is there, but it is not the cause."""


class Muted(msgspec.Struct, frozen=True):
    """A finding that somebody acknowledged: it is there, and nobody is to be woken for it."""

    finding: Finding
    mute_id: str
    reason: str
    until_ns: int
    muted_by: str


class NotExcluded(msgspec.Struct, frozen=True):
    """A class of faults that may be there: what would show it was not recorded."""

    fault: Fault
    collectors: tuple[str, ...]
    """Those that were missing; of alternatives all are named."""


class Bounds(msgspec.Struct, frozen=True):
    """The time that was looked at, both ends included."""

    start_ns: int
    end_ns: int


class Probed(msgspec.Struct, frozen=True):
    """A closer look that was taken, or would have been, after a first answer."""

    probe: str
    """Its name; :mod:`kernelsight.diagnosis.probes` has all."""
    because: str
    """Why it was wanted."""
    seconds: float = 0.0
    """For how long it ran; 0: it did not."""
    refused: str = ""
    """Why it did not run, and what it would need."""
    told: tuple[str, ...] = ()
    """What the answer says that the first one did not."""


class Diagnosis(msgspec.Struct, frozen=True):
    """The answer for one window; findings most certain first."""

    window: Bounds
    healthy: bool | None
    """None: it is not known, because of what :attr:`unknown` says."""
    findings: tuple[Finding, ...]
    ruled_out: tuple[RuledOut, ...] = ()
    unseen: tuple[str, ...] = ()
    """What could not be looked at, and why, a sentence each."""
    unknown: tuple[str, ...] = ()
    """What was not recorded, so that nothing is known of it, a sentence each; findings may be there all the same."""
    notes: tuple[Note, ...] = ()
    """What was with the machine's clock, such as that it was set."""
    not_excluded: tuple[NotExcluded, ...] = ()
    """Of what was recorded: the faults that this answer cannot exclude."""
    muted: tuple[Muted, ...] = ()
    """Findings that somebody acknowledged, and that have not changed since; they are none of :attr:`findings`."""
    identities: tuple[Identity, ...] = ()
    """Who the processes are that the findings name; of those that the window tells nothing more of there is none."""
    watched: tuple[Watch, ...] = ()
    """Since when changes are known, by subject; asked only where there are findings."""
    probes: tuple[Probed, ...] = ()
    """The closer looks that were taken for this answer."""

    @property
    def present(self) -> tuple[Finding, ...]:
        """All that is there: the findings, and those that are muted."""
        return (*self.findings, *(one.finding for one in self.muted))

    def identity(self, entity: Entity) -> Identity | None:
        """Who a process is that a finding names; None where nothing more is known of it."""
        return next((identity for identity in self.identities if identity.process == entity), None)

    @property
    def but_for(self) -> str:
        """What a sentence that calls this healthy must add: that there is something, and that it is muted."""
        return ", but for what is muted" if self.muted else ""

    @property
    def verdict(self) -> Answer:
        """Which of the three answers it is."""
        return "findings" if self.findings else "unknown" if self.healthy is None else "healthy"

    def with_findings(self, findings: tuple[Finding, ...]) -> Diagnosis:
        """The same window with other findings but those that are muted; without any, it is as healthy as is known."""
        muted = {(one.finding.fault, one.finding.culprit) for one in self.muted}
        findings = tuple(finding for finding in findings if (finding.fault, finding.culprit) not in muted)
        healthy = False if findings else None if self.unknown else True
        return msgspec.structs.replace(self, findings=findings, healthy=healthy)
