"""Limits of the kernel that are met: calls fail, or packets are dropped, though nothing is broken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.connection_table import FullTable, full_table
from kernelsight.diagnosis.hypothesis import hypothesis
from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.limit_use import Holding, LimitUse, largest_holder, near_own_limit, uid_of, use_of
from kernelsight.diagnosis.limits import CONNECTION_TABLE, NOT_CALLED, SYSCTLS, TCP_MEMORY, KernelLimit, limits_of
from kernelsight.diagnosis.memory_use import machine
from kernelsight.diagnosis.model import Entity, Proposal
from kernelsight.diagnosis.processes import processes
from kernelsight.diagnosis.scene import CounterDelta, Scene, grouped, samples_of
from kernelsight.events.network import PacketDrop, TcpRetransmit, TcpRetransmitEvent
from kernelsight.events.process import Process, SocketOwner
from kernelsight.events.syscalls import SyscallError

AGAIN = 3
"""Calls that fail from which on it is no single try: programs ask for more than they need, and do without."""
MEMORY_LEFT_SHARE = 0.05
"""Of the machine's memory, what is available at least when ENOMEM does not mean that memory has run out."""
_MOST_VICTIMS = 5


@dataclass(frozen=True, slots=True)
class Refused:
    """Calls that one limit refused to those who are counted together."""

    limit: KernelLimit
    uid: int | None
    """The user who is counted, where one is and it is known."""
    rows: Sequence[SyscallError]
    """Of the kind `syscall_error`, by time."""
    use: LimitUse
    holder: Holding | None

    @property
    def count(self) -> int:
        """Calls that failed."""
        return sum(row.count or 0 for row in self.rows)

    @property
    def callers(self) -> tuple[Entity, ...]:
        """Whose calls failed, those of whom most did first."""
        counts: dict[Entity, int] = {}
        for row in self.rows:
            caller = process_entity(row.pid, row.comm)
            counts[caller] = counts.get(caller, 0) + (row.count or 0)
        return tuple(sorted(counts, key=lambda caller: (-counts[caller], caller.id)))


@hypothesis("kernel_limit")
def refused_at_a_limit(scene: Scene) -> Iterable[Candidate]:
    """Calls fail, or packets are dropped, because as many objects of one kind exist as the kernel allows."""
    for refused in _refused(scene):
        yield _of_calls(scene, refused)
    table = scene.once(full_table)
    if table is not None:
        yield _of_connections(scene, table)
    yield from _of_tcp_memory(scene)


def _refused(scene: Scene) -> Iterator[Refused]:
    """The failed calls by the limit that they met, and by who is counted together."""
    by_limit: dict[tuple[KernelLimit, int | None, int | None], list[SyscallError]] = {}
    for row in scene.rows(SyscallError):
        for limit in limits_of(row.syscall_name, row.error):
            if row.error == "EMFILE" and near_own_limit(scene, row.pid or 0):
                continue  # its own limit of descriptors says the same, and is met (`fd_leak`)
            uid = uid_of(scene, row.pid or 0) if limit.counted_by == "user" else None
            pid = row.pid if limit.counted_by == "process" else None
            by_limit.setdefault((limit, uid, pid), []).append(row)
    for (limit, uid, _), rows in by_limit.items():
        use = use_of(scene, limit.name, uid)
        holder = None if limit.counted_by == "process" else largest_holder(scene, limit, uid, use)
        yield Refused(limit, uid, rows, use, holder)


def _of_calls(scene: Scene, refused: Refused) -> Candidate:
    limit, callers = refused.limit, refused.callers
    culprit = refused.holder.entity if refused.holder else _of_limit(limit)
    if limit.counted_by == "process":
        culprit = callers[0]
    candidate = Candidate("kernel_limit", culprit, int(refused.rows[0].timestamp), callers[:_MOST_VICTIMS])
    error = refused.rows[-1].error
    calls = ", ".join(sorted({str(row.syscall_name) for row in refused.rows}))
    candidate.check(f"{error} of {calls} means this limit ({limit.source})", True, limit.meaning, 0.0)
    candidate.check("it fails again and again", refused.count >= AGAIN, 1.0, 2.0)
    if refused.use.is_met is not None:
        # Who fails may be in other namespaces than the collector, whose use is not seen.
        candidate.check(f"{limit.name} is seen to be met", refused.use.is_met, 1.5, 1.0)
    if limit.takes_memory:
        candidate.check("there is memory left, so that it is not memory that is missing", _memory_left(scene), 1.0, 4.0)
    candidate.step(
        f"{refused.count} calls of {_names(callers)} ({calls}) failed with {error}: {limit.name} is met",
        scene.evidence(refused.rows, SyscallError.count, "sum"),
    )
    if error == "EMFILE":
        _show_descriptors(scene, candidate, callers[0])
    _show_use(scene, candidate, limit, refused.use)
    if refused.holder:
        _show_holder(candidate, limit, refused.holder)
    return _concluded(candidate, limit, refused.use)


def _of_connections(scene: Scene, table: FullTable) -> Candidate:
    limit = NOT_CALLED[CONNECTION_TABLE]
    candidate = Candidate("kernel_limit", _of_limit(limit), table.onset_ns, table.victims)
    for check in table.checks():
        candidate.check(*check)
    known = table.use.is_met is not None
    rule = "" if known else ", or a rule of iptables drops them: how full the table is was not recorded"
    candidate.step(
        f"netfilter dropped {table.lost} packets at {', '.join(table.interfaces)} in {table.seconds} s: the table of "
        f"connections is full{rule}",
        scene.evidence(table.drops, PacketDrop.count, "sum"),
    )
    if table.tries:
        candidate.step(
            f"{table.tries:.0f} times a connection was asked for again meanwhile",
            scene.evidence(table.requests, TcpRetransmitEvent.segments, "count")
            or scene.evidence(samples_of(table.asked_again), TcpRetransmit.syn_retrans, "increase"),
        )
    _show_use(scene, candidate, limit, table.use)
    _concluded(candidate, limit, table.use)
    candidate.refuted_by = f"as many packets are dropped with a larger limit ({limit.name}): then it is a rule"
    candidate.outlook = "no new connection is made, while those that there are go on"
    return candidate


def _of_tcp_memory(scene: Scene) -> Iterator[Candidate]:
    """Sockets are refused memory: segments are dropped and connections ended while all sockets use what they may."""
    limit = NOT_CALLED[TCP_MEMORY]
    use = use_of(scene, limit.name)
    if not use.is_met:
        return
    changes = [change for of in scene.deltas(TcpRetransmit).values() for change in of]
    squeezed = [change for change in changes if _squeezed(change)]
    dropped = [row for row in scene.rows(PacketDrop) if row.reason == "PROTO_MEM"]
    if not squeezed and not dropped:
        return
    owner = _most_queued(scene)
    first = min([change.after.timestamp for change in squeezed] + [row.timestamp for row in dropped])
    candidate = Candidate("kernel_limit", owner or _of_limit(limit), int(first))
    candidate.check(f"{limit.name} is seen to be met", True, 2.0, 0.0)
    candidate.check("sockets are refused memory, or squeezed for it", True, 1.5, 0.0)
    candidate.step(
        f"{sum(_squeezed(change) for change in squeezed):.0f} times queues were squeezed or connections ended for want "
        "of memory",
        scene.evidence(samples_of(squeezed), TcpRetransmit.prune_called, "increase"),
        scene.evidence(samples_of(squeezed), TcpRetransmit.abort_on_memory, "increase"),
    )
    candidate.step(
        f"{sum(row['count'] or 0 for row in dropped)} packets were dropped for want of memory of the protocol",
        scene.evidence(dropped, PacketDrop.count, "sum"),
    )
    _show_use(scene, candidate, limit, use)
    yield _concluded(candidate, limit, use)


def _squeezed(change: CounterDelta[TcpRetransmit]) -> float:
    return change.of(TcpRetransmit.prune_called) + change.of(TcpRetransmit.abort_on_memory)


def _most_queued(scene: Scene) -> Entity | None:
    """Who has most in the queues of its sockets, if that is much of all."""
    sums = {
        process_entity(pid, rows[-1].comm): sum(
            rows[-1][column] or 0 for column in ("receive_queue_bytes", "send_queue_bytes")
        )
        for (pid,), rows in grouped(scene.rows(SocketOwner), "pid").items()
    }
    most = max(sums, key=lambda owner: (sums[owner], owner.id), default=None)
    return most if most is not None and 2 * sums[most] > sum(sums.values()) else None


def _memory_left(scene: Scene) -> bool:
    domain = scene.once(machine)
    if domain is None:
        return True
    known = [(row.mem_available_kb, row.mem_total_kb) for row in domain.rows]
    return all(left >= MEMORY_LEFT_SHARE * whole for left, whole in known if left is not None and whole)


def _of_limit(limit: KernelLimit) -> Entity:
    return Entity("limit", limit.name, limit.name)


def _names(callers: Sequence[Entity]) -> str:
    shown = ", ".join(f"{caller.name} ({caller.id})" for caller in callers[:2])
    return shown + (f" and {len(callers) - 2} others" if len(callers) > 2 else "")


def _show_use(scene: Scene, candidate: Candidate, limit: KernelLimit, use: LimitUse) -> None:
    if use.is_met is None:
        return
    fullest = use.fullest
    whose = f" of user {fullest['uid']}" if fullest.uid is not None else ""
    candidate.step(f"up to {fullest['used']} of {fullest['maximum']} {limit.noun}{whose} existed", *use.shown(scene))


def _show_descriptors(scene: Scene, candidate: Candidate, caller: Entity) -> None:
    """How many descriptors the caller has, and may have: far fewer, so it is not its own limit."""
    known = scene.once(processes).get(int(caller.id))
    rows = [row for row in known.samples if row.fds is not None and row.fd_limit] if known else []
    if rows:
        candidate.step(
            f"it is not the limit of descriptors of {caller.name}: it has {rows[-1]['fds']} of {rows[-1]['fd_limit']}",
            scene.evidence(rows, Process.fds, "max"),
        )


def _show_holder(candidate: Candidate, limit: KernelLimit, holder: Holding) -> None:
    candidate.check("one process holds much of what is counted", True, 0.5, 0.0)
    candidate.step(
        f"{holder.entity.name} ({holder.entity.id}) holds {holder.held} {limit.noun}, {holder.share:.0%} of those "
        "that are seen",
        holder.evidence,
    )


def _concluded(candidate: Candidate, limit: KernelLimit, use: LimitUse) -> Candidate:
    culprit = candidate.culprit
    held_by = f"the {limit.noun} that {culprit.name} holds" if culprit.kind == "process" else f"who holds {limit.noun}"
    raised = limit.remedy or limit.name
    number = not limit.remedy and limit.name != TCP_MEMORY and use.is_met is not None
    enough = f" to {2 * use.fullest['maximum']}" if number else ""
    set_by = "sysctl" if limit.name in SYSCTLS else "raise_limit"
    candidate.refuted_by = f"it is refused as well with a larger limit ({raised})"
    candidate.outlook = f"whoever needs one more of the {limit.noun} is refused, whatever the machine has left"
    candidate.actions = (
        Proposal(set_by, _of_limit(limit), f"raise {raised}{enough}, to gain time"),
        Proposal("look", culprit, f"look for {held_by}: {limit.holders}"),
    )
    return candidate
