"""Descriptors and sockets that are opened and not given back, ports that run out."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.errors import Failures, failures
from kernelsight.diagnosis.hypothesis import hypothesis
from kernelsight.diagnosis.limit_use import near_own_limit
from kernelsight.diagnosis.limits import DESCRIPTOR_CALLS, OTHER_DESCRIPTOR_CALLS
from kernelsight.diagnosis.model import Entity, Proposal
from kernelsight.diagnosis.scene import NS_PER_S, Scene
from kernelsight.diagnosis.trend import trend
from kernelsight.events.network import Tcp
from kernelsight.events.process import Process, SocketOwner

HORIZON_S = 900.0
"""A limit that will be met later than this is nobody's trouble yet."""
FORESIGHT = 40.0
"""How many times as long as it has been seen, growth without a step back may be expected to go on."""
AGAIN = 3
"""Calls that fail from which on it is no single try of a program that asks how much it may have."""
_LEAST_GROWTH = 20
_MANY_PORTS = 100
"""In TIME_WAIT at once: more than a machine has whose connections last."""
_LEAST_STUCK = 10
"""Connections that wait to be closed before their owner can be said to leak them."""


@hypothesis("fd_leak")
def descriptors_not_closed(scene: Scene) -> Iterable[Candidate]:
    """The descriptors of one process grow steadily towards its limit, or there are none left."""
    failed = {one.entity.id: one for one in failures(scene, {errno.EMFILE}, DESCRIPTOR_CALLS | OTHER_DESCRIPTOR_CALLS)}
    stuck = {str(pid) for (pid,), rows in scene.series(SocketOwner).items() if _stuck(rows)}
    for rows in scene.series(Process).values():
        last = rows[-1]
        going = trend(rows, "fds", up=True)
        limit = last.fd_limit
        until = going.seconds_to(float(limit)) if going and limit else None
        reaches = (
            going is not None
            and until is not None
            and until <= min(HORIZON_S, FORESIGHT * going.seconds)
            and not going.has_stopped
        )
        fails = failed.get(str(last.pid))
        if fails is not None and not _is_refused_descriptors(scene, last.pid or 0, fails):
            fails = None  # another limit is met (`kernel_limit`)
        if fails is None and not (reaches and going and going.last - going.first >= _LEAST_GROWTH):
            continue
        culprit = Entity("process", str(last.pid), str(last.comm))
        onset = min(one for one in (going.onset_ns if going else None, fails.first_ns if fails else None) if one)
        candidate = Candidate("fd_leak", culprit, onset, (culprit,))
        near = None
        candidate.check("it opens descriptors and does not close them", going is not None, 1.5, 0.5)
        if fails is not None and not reaches:
            near = near_own_limit(scene, last.pid or 0)
            # EMFILE of these calls means nothing else. The samples show one moment of each second and the first
            # thread's table: programs reach a limit in between, change it, and try out once how much they may have.
            says = "it has nearly as many descriptors open as it may have"
            candidate.check(says, near is not False, 0.0, 1.0 if fails.count >= AGAIN else 4.0)
        candidate.check("it meets its limit soon, or has met it", reaches or fails is not None, 2.0, 4.0)
        candidate.check("they are not connections that wait to be closed", culprit.id not in stuck, 1.0, 4.0)
        if fails:
            candidate.step(f"{fails.count} calls of {culprit.name} failed with {fails.error}", fails.evidence)
        between = "; it met the limit between two samples, or another limit held then" if near is False else ""
        shown = going.rows if going else rows
        grew = (
            f"its open descriptors grew from {going.first:.0f} to {going.last:.0f}, {going.per_second:.1f} a second"
            if going
            else f"it has {last['fds']} descriptors open"
        )
        candidate.step(
            f"{grew}, of {limit} that it may have{between}",
            scene.evidence(shown, Process.fds, "last"),
            scene.evidence(shown, Process.fds, "slope"),
        )
        candidate.refuted_by = f"the descriptors of {culprit.name} go back by themselves"
        candidate.outlook = "it can open nothing, accept nothing and start nothing" + (
            f" in {until:.0f} s" if until and fails is None else ""
        )
        candidate.actions = (
            Proposal("raise_limit", culprit, f"raise the limit of open files of {culprit.name}, to gain time"),
            Proposal("restart", culprit, f"restart {culprit.name}"),
        )
        yield candidate


def _is_refused_descriptors(scene: Scene, pid: int, fails: Failures) -> bool:
    """Whether calls failed that have no other limit, or whose process is at its own limit of descriptors."""
    return bool(DESCRIPTOR_CALLS & {*fails.calls}) or near_own_limit(scene, pid) is True


@hypothesis("connection_leak")
def connections_not_closed(scene: Scene) -> Iterable[Candidate]:
    """Connections that the other side has closed pile up with an owner that does not close them."""
    machine = trend(scene.rows(Tcp), "close_wait", up=True)
    for rows in scene.series(SocketOwner).values():
        if not _stuck(rows):
            continue
        last = rows[-1]
        culprit = Entity("process", str(last.pid), str(last.comm))
        own = trend(rows, "close_wait", up=True)
        first = next(row for row in rows if (row.close_wait or 0) > 0)
        onset = machine.onset_ns if machine else int(first.timestamp)
        candidate = Candidate("connection_leak", culprit, onset, (culprit,))
        candidate.check("connections wait for it to close them", True, 1.5, 0.0)
        candidate.check("and become more", own is not None or machine is not None, 2.0, 2.0)
        candidate.check("most of its connections are such", _most_stuck(last), 1.0, 1.0)
        candidate.step(
            f"{last['close_wait']} connections of {culprit.name} were closed by the other side and not by it",
            scene.evidence(rows, SocketOwner.close_wait, "last"),
        )
        candidate.step(
            "such connections of the machine became more",
            scene.evidence(machine.rows, Tcp.close_wait, "slope") if machine else None,
        )
        candidate.refuted_by = f"the connections of {culprit.name} in CLOSE_WAIT go away by themselves"
        candidate.outlook = "it runs out of descriptors"
        candidate.actions = (
            Proposal("restart", culprit, f"restart {culprit.name}; it must close what it has read to the end"),
        )
        yield candidate


@hypothesis("port_exhaustion")
def no_port_left(scene: Scene) -> Iterable[Candidate]:
    """Connections cannot be made because every local port to that destination is taken, most by ones in TIME_WAIT."""
    waiting = scene.rows(Tcp)
    most = max((row.time_wait or 0 for row in waiting), default=0)
    for one in failures(scene, {errno.EADDRNOTAVAIL}):
        candidate = Candidate("port_exhaustion", one.entity, one.first_ns, (one.entity,))
        candidate.check(
            "connect or bind fails for want of an address", bool({"connect", "bind"} & {*one.calls}), 4.0, 4.0
        )
        candidate.check("it fails again and again", one.count >= 3, 1.5, 2.0)
        # They may be held by connections that are in use, or lie in another network namespace.
        candidate.check("many ports are held by connections in TIME_WAIT", most >= _MANY_PORTS, 1.0, 0.0)
        candidate.step(
            f"{one.count} calls of {one.entity.name} ({', '.join(one.calls)}) failed with {one.error}", one.evidence
        )
        if most >= _MANY_PORTS:
            shown = scene.evidence(waiting, Tcp.time_wait, "max")
            candidate.step(f"up to {most} connections are in TIME_WAIT", shown)
        candidate.refuted_by = "it fails as well with a larger net.ipv4.ip_local_port_range"
        candidate.outlook = "it can make no new connection to that destination"
        candidate.actions = (
            Proposal("sysctl", one.entity, "widen net.ipv4.ip_local_port_range, or set net.ipv4.tcp_tw_reuse"),
            Proposal("look", one.entity, f"let {one.entity.name} keep its connections open"),
        )
        yield candidate


def _stuck(rows: Sequence[SocketOwner]) -> bool:
    """Whether connections pile up: many wait to be closed, and have for longer than closing takes."""
    many = [row for row in rows if (row.close_wait or 0) >= _LEAST_STUCK]
    return bool(many) and many[-1] is rows[-1] and (len(rows) == 1 or _lasted(rows))


def _lasted(rows: Sequence[SocketOwner]) -> bool:
    first = next(row for row in rows if (row.close_wait or 0) > 0)
    return bool(rows[-1].timestamp - first.timestamp >= 2 * NS_PER_S)


def _most_stuck(row: SocketOwner) -> bool:
    return bool((row.close_wait or 0) >= (row.established or 0))
