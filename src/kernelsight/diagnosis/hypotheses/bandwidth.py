"""Interfaces that carry all that they can."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.hypothesis import hypothesis
from kernelsight.diagnosis.model import Entity, Proposal
from kernelsight.diagnosis.packets import FullQueue, full_queues, interface_of, owners, sent_again
from kernelsight.diagnosis.scene import Row, Scene, samples_of

_LEAST_DROPPED = 10
"""Packets: fewer are an accident."""
_FULL_SHARE = 0.5
"""Of the samples, in which something must wait in a queue for it to be the interface that is too slow."""
_PLATEAU = 0.25
"""Standard deviation over mean of what a saturated interface carries from second to second, at most."""


@hypothesis("bandwidth_saturation")
def an_interface_is_full(scene: Scene) -> Iterable[Candidate]:
    """An interface carries all that it can or may, while packets wait or are dropped in the queue in front of it."""
    for queue in scene.once(full_queues):
        sender, *others = _senders(scene, queue) or [interface_of(queue.interface)]
        candidate = Candidate("bandwidth_saturation", sender, scene.at(queue.run.first), tuple(others[:5]))
        full = queue.waits >= _FULL_SHARE or queue.dropped >= _LEAST_DROPPED
        candidate.check("packets wait in front of it most of the time, or do not fit", full, 2.5, 4.0)
        if queue.changes:
            candidate.check(
                "it carries as much from second to second, or what it is shaped to", _level(queue), 1.5, 1.0
            )
        candidate.check("it is known who sends", sender.kind == "process", 0.5, 0.0)
        _show_senders(scene, candidate, queue)
        _show_level(scene, candidate, queue)
        candidate.refuted_by = f"the queue in front of {queue.interface} is as long when {sender.name} sends less"
        candidate.outlook = f"all that goes by {queue.interface} waits or is lost"
        candidate.actions = (
            Proposal("look", sender, f"let {sender.name} send less, or later"),
            Proposal("look", interface_of(queue.interface), f"raise the rate of {queue.interface}, if it is shaped"),
        )
        yield candidate


def _level(queue: FullQueue) -> bool:
    """Whether the interface carried the same from second to second; the first and the last are not whole."""
    rates = queue.rates[1:-1] or queue.rates
    mean = statistics.fmean(rates)
    if queue.limit and mean >= 0.8 * queue.limit:
        return True
    return mean > 0 and statistics.pstdev(rates) <= _PLATEAU * mean


def _senders(scene: Scene, queue: FullQueue) -> list[Entity]:
    """Who sends by the interface, the most first: whose packets do not fit, are sent again, or wait to be sent."""
    found: dict[int, Entity] = {}
    again = [row for row in _again(scene, queue) if row["pid"]]
    waiting = [row for row in scene.within(scene.rows("socket_owner"), queue.run) if row["send_queue_bytes"]]
    for rows, what in ((queue.drops, "count"), (again, "segments"), (waiting, "send_queue_bytes")):
        for pid, comm, _ in owners(rows, what):
            found.setdefault(pid, Entity("process", str(pid), comm))
    return list(found.values())


def _again(scene: Scene, queue: FullQueue) -> list[Row]:
    rows = scene.within(scene.once(sent_again), queue.run)
    return [row for row in rows if row["interface_name"] == queue.interface]


def _show_senders(scene: Scene, candidate: Candidate, queue: FullQueue) -> None:
    pid = candidate.culprit.id
    dropped = [row for row in queue.drops if str(row["pid"]) == pid]
    again = [row for row in _again(scene, queue) if str(row["pid"]) == pid]
    waiting = [row for row in scene.within(scene.rows("socket_owner"), queue.run) if str(row["pid"]) == pid]
    name = candidate.culprit.name
    candidate.step(
        f"packets of {name} did not fit into the queue in front of {queue.interface}",
        scene.evidence("packet_drop", dropped, "count", "sum"),
    )
    candidate.step(
        f"{name} had to send segments by {queue.interface} again",
        scene.evidence("tcp_retransmit_event", again, "segments", "sum"),
    )
    candidate.step(
        f"{name} waits to get rid of what it has sent",
        scene.evidence("socket_owner", waiting, "send_queue_bytes", "max"),
    )


def _show_level(scene: Scene, candidate: Candidate, queue: FullQueue) -> None:
    rows = samples_of(queue.changes)
    if not rows:
        candidate.step(
            f"{queue.dropped:.0f} packets did not fit into the queue in front of {queue.interface}, "
            "which is in another network namespace",
            scene.evidence("packet_drop", queue.drops, "count", "sum"),
        )
        return
    candidate.step(
        f"something waited in front of {queue.interface} in {100 * queue.waits:.0f} % of the samples, "
        f"and {queue.dropped:.0f} packets did not fit",
        scene.evidence("qdisc", rows, "backlog_bytes", "mean"),
        scene.evidence("qdisc", rows, "drops", "increase"),
    )
    limit = f", of {queue.limit * 8 / 1e6:.1f} that it may" if queue.limit else ""
    mean = statistics.fmean(queue.rates) * 8 / 1e6
    candidate.step(
        f"{queue.interface} carried {mean:.1f} Mbit/s{limit}", scene.evidence("qdisc", rows, "sent_bytes", "increase")
    )
