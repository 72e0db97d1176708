"""Calls that the kernel refuses because as many objects of one kind exist as it allows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.faults.kernel_limit import KERNEL_LIMIT
from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.limit_answers import limit_entity, raised, remedies, use_claim
from kernelsight.diagnosis.limit_use import Holding, LimitUse, largest_holder, near_own_limit, uid_of, use_of
from kernelsight.diagnosis.limits import KernelLimit, limits_of
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, Prior, claim, path
from kernelsight.diagnosis.memory_use import machine
from kernelsight.diagnosis.model import Entity, Step
from kernelsight.diagnosis.phrases import times
from kernelsight.diagnosis.processes import processes
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Window
from kernelsight.events.process import Process
from kernelsight.events.syscalls import SyscallError
from kernelsight.quantities import number

AGAIN = Threshold(
    3, "failed calls", because="judged: programs ask once or twice for more than they need, and do without"
)
MEMORY_LEFT_SHARE = Threshold(
    0.05,
    "share of the machine's memory",
    because="judged: with as much available, ENOMEM does not mean that memory has run out",
)
_MOST_VICTIMS = 5
_MOST_NAMED = 2


@dataclass(frozen=True, slots=True)
class Refused:
    """Calls that one limit refused to processes that are counted together."""

    limit: KernelLimit
    rows: Sequence[SyscallError]
    """By time."""
    use: LimitUse
    holder: Holding | None
    """Who holds much of what the limit counts, of other processes than the caller."""
    memory_is_left: bool = True
    """Whether the machine had memory left all the time."""

    @property
    def is_met(self) -> bool | None:
        """Whether it is seen to be met; None where it is not known, as in a namespace other than the collector's."""
        is_elsewhere = self.limit.counted_by == "namespace" and not self.use.is_met
        return None if is_elsewhere else self.use.is_met

    @property
    def count(self) -> int:
        """Calls that failed."""
        return sum(row.count or 0 for row in self.rows)

    @property
    def callers(self) -> tuple[Entity, ...]:
        """Whose calls failed, those of whom most did first."""
        counts: Counter[Entity] = Counter()
        for row in self.rows:
            counts[process_entity(row.pid, row.comm)] += row.count or 0
        return tuple(sorted(counts, key=lambda caller: (-counts[caller], caller.id)))

    @property
    def error(self) -> str | None:
        """With what they failed."""
        return self.rows[-1].error

    @property
    def calls(self) -> str:
        """Names of the calls."""
        return ", ".join(sorted({str(row.syscall_name) for row in self.rows}))

    @property
    def limit_name(self) -> str:
        """Name of the limit."""
        return self.limit.name

    @property
    def source(self) -> str:
        """Where it is said that these calls and this error mean the limit."""
        return self.limit.source

    @property
    def nouns(self) -> str:
        """What the limit counts."""
        return self.limit.noun


def measure(window: Window) -> Iterable[Refused]:
    """The failed calls, by the limit that they met, and by who is counted together."""
    by_limit: dict[tuple[KernelLimit, int | None, int | None], list[SyscallError]] = {}
    for row in window.rows(SyscallError):
        for limit in limits_of(row.syscall_name, row.error):
            if row.error == "EMFILE" and near_own_limit(window, row.pid or 0):
                continue  # its own limit of descriptors says the same, and is met (`fd_leak`)
            uid = uid_of(window, row.pid or 0) if limit.counted_by == "user" else None
            pid = row.pid if limit.counted_by == "process" else None
            by_limit.setdefault((limit, uid, pid), []).append(row)
    for (limit, uid, _), rows in by_limit.items():
        use = use_of(window, limit.name, uid)
        holder = None if limit.counted_by == "process" else largest_holder(window, limit, uid, use)
        yield Refused(limit, rows, use, holder, memory_is_left=_memory_is_left(window))


def _memory_is_left(window: Window) -> bool:
    domain = window.once(machine)
    if domain is None:
        return True
    known = [(row.mem_available_kb, row.mem_total_kb) for row in domain.rows]
    return all(left >= MEMORY_LEFT_SHARE * whole for left, whole in known if left is not None and whole)


def explain(window: Window, suspect: Refused) -> Explanation:
    """Who holds the objects is to be looked at; else the limit is."""
    limit, callers, holder = suspect.limit, suspect.callers, suspect.holder
    culprit = holder.entity if holder else limit_entity(limit)
    if limit.counted_by == "process":
        culprit = callers[0]
    return Explanation(
        culprit=culprit,
        onset_ns=suspect.rows[0].timestamp,
        victims=callers[:_MOST_VICTIMS],
        does=f"holds too many {limit.noun}"
        if holder
        else f"has all the {limit.noun} that it may have"
        if limit.counted_by == "process"
        else "is reached",
        detail=f"{number(holder.held)}, and {limit.name} allows no more" if holder else "",
        harm=f"gets {suspect.error} for {suspect.calls}, {times(suspect.count)}",
        suffering_s=0.0,
        path=path(
            claim(
                f"{suspect.count} calls of {_names(callers)} ({suspect.calls}) failed with {suspect.error}: "
                f"{limit.name} is "
                "met",
                window.evidence(suspect.rows, SyscallError.count, "sum"),
            ),
            _descriptors_claim(window, callers[0]) if suspect.error == "EMFILE" else None,
            use_claim(window, limit, suspect.use) if suspect.is_met is not None else None,
            claim(
                f"{holder.entity.name} ({holder.entity.id}) holds {holder.held} {limit.noun}, {holder.share:.0%} of "
                "those that are seen",
                holder.evidence,
            )
            if holder
            else None,
        ),
        refuted_by=f"the calls fail as well with a larger limit ({raised(limit)})",
        outlook=f"the kernel refuses every call that needs more {limit.noun}, whatever else the machine has left",
        actions=remedies(limit, suspect.use, culprit, caller=callers[0]),
    )


def _names(callers: Sequence[Entity]) -> str:
    shown = ", ".join(f"{caller.name} ({caller.id})" for caller in callers[:_MOST_NAMED])
    more = len(callers) - _MOST_NAMED
    return shown + (f" and {more} others" if more > 0 else "")


def _descriptors_claim(window: Window, caller: Entity) -> Step | None:
    """How many descriptors the caller has, and may have: far fewer, so it is not its own limit."""
    known = window.once(processes).get(int(caller.id))
    rows = [row for row in known.samples if row.fds is not None and row.fd_limit] if known else []
    if not rows:
        return None
    return claim(
        f"it is not the limit of descriptors of {caller.name}: it has {rows[-1].fds} of {rows[-1].fd_limit}",
        window.evidence(rows, Process.fds, "max"),
    )


MECHANISM = Mechanism[Refused](
    fault=KERNEL_LIMIT,
    summary="As many objects of one kind exist as the kernel allows one process, one user or the machine. A call that "
    "needs one more fails; which call and which error say together which limit it is.",
    measure=measure,
    prior=Prior(
        0.5,
        because="the manual page of the call says that this error means the limit; which one is declared with it in "
        "diagnosis/limits.py",
    ),
    checks=(
        Check(
            id="means_this_limit",
            says="{error} of {calls} means this limit alone ({source})",
            holds=lambda suspect: not suspect.limit.is_ambiguous,
            supports=1.5,
            refutes=0.0,
            because="judged: some errors mean several limits, such as ENOMEM of mmap(2)",
        ),
        Check(
            id="again_and_again",
            says="the calls fail again and again",
            holds=lambda suspect: suspect.count >= AGAIN,
            supports=1.0,
            refutes=2.0,
            because="judged: a program that is refused more once, and does without, has no trouble",
        ),
        Check(
            id="limit_is_met",
            says="{limit_name} is seen to be met",
            holds=lambda suspect: suspect.is_met,
            supports=1.5,
            refutes=1.0,
            because="judged: it is the limit itself that is read. Of objects that count within a namespace, the caller "
            "may be in another one than the collector, whose use is not seen",
        ),
        Check(
            id="memory_is_left",
            says="there is memory left, so that the calls do not fail for want of it",
            holds=lambda suspect: suspect.memory_is_left if suspect.limit.takes_memory else None,
            supports=1.0,
            refutes=4.0,
            because="judged: ENOMEM of these calls is also that of a machine without memory, which is told as "
            "`memory_pressure`",
        ),
        Check(
            id="holder_is_known",
            says="one process holds much of the {nouns}",
            holds=lambda suspect: suspect.holder is not None,
            supports=0.5,
            refutes=0.0,
            because="judged: what one process holds explains that the limit is met; the holders are seen in part only",
        ),
    ),
    explain=explain,
)
