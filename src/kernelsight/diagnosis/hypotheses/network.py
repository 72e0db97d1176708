"""Packets that do not arrive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.connection_table import DROPPED_BY_A_HOOK, full_table
from kernelsight.diagnosis.hypothesis import hypothesis
from kernelsight.diagnosis.model import Entity, Proposal
from kernelsight.diagnosis.packets import (
    LASTS_S,
    carried,
    drops,
    full_queues,
    interface_of,
    owners,
    packets,
    segments_sent,
    sent_again,
    stretches,
)
from kernelsight.diagnosis.scene import NS_PER_S, Change, Row, Run, Scene, grouped, runs, samples_of
from kernelsight.linux.drop_reasons import ARRIVED, DropClass

LOST_SHARE = 0.005
"""Of the packets, from which on losing them slows a connection: at 0.5 % and 100 ms TCP gets 2 Mbit/s by
MSS / RTT x 1.2 / sqrt(p) (Mathis et al., "The macroscopic behavior of the TCP congestion avoidance
algorithm", CCR 27, 1997)."""
_LEAST_LOST = 10
"""Packets: fewer are an accident."""
_MISSED_SHARE = 0.1
"""Of what is dropped, what must be sent again for it to be missed: acknowledgements never are, data always is."""
_TRIES_APART_S = 3
"""Between two tries of one connection: the timer doubles with each in vain (RFC 6298, 5.5) and begins with a second
at most, so that others before have been in vain as well."""
_LEAST_TRIES = 3
_FULL_LISTENER = "TCP_LISTEN_OVERFLOW"
"""What such a listener drops is its own fault (`listen_overflow`), however often it is tried."""
_NOT_FOR_LISTENERS = "they were not for a listener whose queue is full"
_ALIKE = 0.05
"""How much the mean sizes of packets that belong together may differ."""
_ETHERNET_HEADER_BYTES = 14
"""Counted by the interface, and taken off before a rule sees the packet."""
_LEAST_ERRORS_PER_S = 10.0
"""Drops a second that an interface counts: what nobody wanted (unknown protocols) is counted too, and is less."""


@hypothesis("packet_loss")
def packets_do_not_arrive(scene: Scene) -> Iterable[Candidate]:
    """Packets are dropped by a rule, a slow reader or a faulty link, or many segments have to be sent again."""
    by_rule = [*_dropped_on_the_way(scene), *_nothing_gets_through(scene)]
    yield from by_rule
    yield from _not_read(scene)
    yield from _counted_by_interfaces(scene)
    yield from _sent_again(scene, explained=bool(by_rule))


def _dropped_on_the_way(scene: Scene) -> Iterator[Candidate]:
    """Where the kernel itself drops packets, by a rule or because they are damaged."""
    causes: tuple[DropClass, DropClass] = ("rule", "damage")
    for (cause, interface), rows in scene.once(drops).items():
        for run in stretches(scene, rows, "count") if cause in causes else ():
            within = scene.within(rows, run)
            lost = sum(row["count"] or 0 for row in within)
            again = _asked_again(scene, run)
            # What is dropped before it leaves is not sent again but tried again, and its sender waits or is told.
            own = interface == "lo" or any(row["origin"] == "local" or row["pid"] for row in within)
            missed = len({scene.second(row) for row in again}) >= LASTS_S and len(again) >= _MISSED_SHARE * lost
            candidate = Candidate(
                "packet_loss", interface_of(interface), int(within[0]["timestamp"]), _victims(again, within)
            )
            candidate.check(f"more than {_LEAST_LOST} packets are lost", lost >= _LEAST_LOST, 0.5, 3.0)
            _check_share(scene, candidate, interface, run, lost)
            candidate.check(
                "somebody misses them: a program here, or who sends again",
                own or missed or _like_the_others(carried(scene, interface, run), within),
                2.5,
                2.0,
            )
            table = scene.once(full_table)
            if table is not None and table.explains and any(row["location"] == DROPPED_BY_A_HOOK for row in within):
                candidate.check("the table of connections has room, so that it is a rule", False, 0.0, 5.0)
            _show_sent_again(scene, candidate, again)
            reasons = ", ".join(sorted({f"{row['reason'] or '?'} in {row['location'] or '?'}" for row in within}))
            candidate.step(
                f"{lost} packets were dropped at {interface} in {run.seconds} s: {reasons}",
                scene.evidence("packet_drop", within, "count", "sum"),
            )
            what = "the rule" if cause == "rule" else "what damages the packets"
            candidate.refuted_by = f"as much is sent again without {what} at {interface}"
            candidate.outlook = "connections over it stay slow, and what is not sent again stays lost"
            candidate.actions = (
                Proposal("look", candidate.culprit, f"look for {what} that drops packets of {interface}"),
            )
            yield candidate


def _nothing_gets_through(scene: Scene) -> Iterator[Candidate]:
    """Where every try of connections that are cut off is dropped: ever fewer, as they wait twice as long each time."""
    tries = [row for rows in _cut_off(scene) for row in rows]
    if len(tries) < _LEAST_TRIES:
        return
    seconds = {scene.second(row) for row in tries}
    # A count of drops is stamped with the end of its second, a try with its own time.
    near = [row for row in scene.rows("packet_drop") if {scene.second(row), scene.second(row) - 1} & seconds]
    for (interface, reason, place), rows in grouped(near, "interface_name", "reason", "location").items():
        dropped = sum(row["count"] or 0 for row in rows)
        when = {scene.second(row) for row in rows}
        if (
            reason == _FULL_LISTENER
            or reason in ARRIVED
            or not interface
            or dropped > 2 * len(tries)
            or not all({second, second + 1} & when for second in seconds)
        ):
            continue
        candidate = Candidate("packet_loss", interface_of(interface), int(tries[0]["timestamp"]), _victims(tries, rows))
        candidate.check("nothing of a connection gets through, try after try", True, 2.0, 0.0)
        candidate.check("as much is dropped here at the same time", dropped >= len(tries), 1.5, 4.0)
        _show_sent_again(scene, candidate, tries)
        candidate.step(
            f"{dropped} packets were dropped at {interface} meanwhile: {reason or '?'} in {place or '?'}",
            scene.evidence("packet_drop", rows, "count", "sum"),
        )
        candidate.refuted_by = f"they are cut off as well when nothing is dropped at {interface}"
        candidate.outlook = "these connections end with a timeout, and new ones may not be made"
        candidate.actions = (
            Proposal("look", candidate.culprit, f"see why {interface} drops all of them: a rule, a route, an address"),
        )
        yield candidate


def _cut_off(scene: Scene) -> list[list[Row]]:
    """What was sent again of each connection that waits ever longer before it tries again."""
    found = []
    for rows in grouped(scene.once(sent_again), "daddr", "dport", "sport").values():
        gaps = [after["timestamp"] - before["timestamp"] for before, after in pairwise(rows)]
        if gaps and max(gaps) >= _TRIES_APART_S * NS_PER_S:
            found.append(rows)
    return found


def _asked_again(scene: Scene, run: Run) -> list[Row]:
    """Data and requests for connections that were sent again within a stretch, and not because a queue is full."""
    full = {queue.interface for queue in scene.once(full_queues) if queue.run.overlaps(run)}
    return [
        row
        for row in scene.within(scene.rows("tcp_retransmit_event"), run)
        if row["state"] != "syn_recv" and row["interface_name"] not in full
    ]


def _like_the_others(changes: Sequence[Change], dropped: Sequence[Row]) -> bool:
    """Whether what is dropped as it comes in is a part of what else comes in: as large, and most of it passes.

    Strangers that a firewall turns away send what nobody else sends, and all of that is dropped.
    """
    count, size = (sum(row[what] or 0 for row in dropped) for what in ("count", "bytes"))
    came = packets(changes, "rx")
    if not count or not came or count > came / 2:
        return False
    usual = sum(change.of("rx_bytes") for change in changes) / came - _ETHERNET_HEADER_BYTES
    return bool(abs(size / count - usual) <= _ALIKE * usual)


def _check_share(scene: Scene, candidate: Candidate, interface: str, run: Run, lost: float) -> None:
    changes = carried(scene, interface, run)
    if changes:
        most = max(packets(changes, "rx"), packets(changes, "tx"))
        candidate.check(f"they are a good part of what {interface} carries", lost >= LOST_SHARE * most, 1.0, 3.0)


def _not_read(scene: Scene) -> Iterator[Candidate]:
    """Whose socket overflows because it is read too slowly."""
    by_reader: dict[Entity, list[Row]] = {}
    for (cause, interface), rows in scene.once(drops).items():
        for row in rows if cause == "reader" else ():
            reader = Entity("process", str(row["pid"]), str(row["comm"])) if row["pid"] else interface_of(interface)
            by_reader.setdefault(reader, []).append(row)
    for reader, rows in by_reader.items():
        for run in stretches(scene, rows, "count"):
            within = scene.within(rows, run)
            lost = sum(row["count"] or 0 for row in within)
            candidate = _slow_reader(reader, int(within[0]["timestamp"]), lost)
            candidate.step(
                f"{lost} packets for {reader.name} did not fit into its socket in {run.seconds} s",
                scene.evidence("packet_drop", within, "count", "sum"),
            )
            _show_queue(scene, candidate, [row for row in scene.rows("udp_socket") if str(row["pid"]) == reader.id])
            yield candidate
    if by_reader:
        return
    for (address, port, _), changes in scene.changes("udp_socket").items():
        counts = {scene.second(change.after): change.of("drops") for change in changes}
        for run in runs(counts, lambda count: count > 0, least=LASTS_S, gap=2):
            part = scene.during(changes, run)
            place, last = f"{address}:{port}", part[-1].after
            named = Entity("process", str(last["pid"]), str(last["comm"])) if last["pid"] else None
            lost = sum(change.of("drops") for change in part)
            candidate = _slow_reader(named or Entity("listener", place, place), int(part[0].after["timestamp"]), lost)
            candidate.step(
                f"{lost:.0f} datagrams for {place} did not fit into its socket in {run.seconds} s",
                scene.evidence("udp_socket", samples_of(part), "drops", "increase"),
            )
            _show_queue(scene, candidate, samples_of(part))
            yield candidate


def _slow_reader(reader: Entity, onset: int, lost: float) -> Candidate:
    candidate = Candidate("packet_loss", reader, onset, (reader,) if reader.kind == "process" else ())
    candidate.check(f"more than {_LEAST_LOST} packets are lost", lost >= _LEAST_LOST, 1.5, 3.0)
    candidate.check("it is known who should read them", reader.kind != "interface", 1.5, 0.5)
    candidate.refuted_by = f"as much is lost when {reader.name} reads as fast as it can"
    candidate.outlook = "what does not fit is lost"
    candidate.actions = (
        Proposal("look", reader, f"see why {reader.name} reads so slowly; a larger receive buffer covers bursts only"),
    )
    return candidate


def _show_queue(scene: Scene, candidate: Candidate, sockets: Sequence[Row]) -> None:
    limit = max((row["receive_buffer_bytes"] or 0 for row in sockets), default=0)
    most = max((row["receive_queue_bytes"] or 0 for row in sockets), default=0)
    if most:
        candidate.check("its queue is nearly full", not limit or most >= limit / 2, 1.0, 2.0)
        candidate.step(
            f"up to {most} B waited in it" + (f", of {limit} B that may" if limit else ""),
            scene.evidence("udp_socket", sockets, "receive_queue_bytes", "max"),
        )


def _counted_by_interfaces(scene: Scene) -> Iterator[Candidate]:
    """Where an interface itself says that it loses packets: bad frames, a ring that is not emptied in time."""
    for (interface,), changes in scene.changes("network").items():
        for metric in ("rx_errors", "tx_errors", "rx_drops", "tx_drops"):
            counts = {scene.second(change.after): change.of(metric) / change.seconds for change in changes}
            for run in runs(counts, lambda count: count >= _LEAST_ERRORS_PER_S, least=LASTS_S, gap=2):
                part = carried(scene, str(interface), run)
                lost = sum(change.of(metric) for change in part)
                all_of_it = packets(part, "rx" if metric.startswith("rx") else "tx")
                again = scene.within(scene.once(sent_again), run)
                seen = [rows for (_, name), rows in scene.once(drops).items() if name == interface]
                candidate = Candidate(
                    "packet_loss", interface_of(str(interface)), scene.at(run.first), _victims(again, ())
                )
                candidate.check("they are a good part of what it carries", lost >= 2 * LOST_SHARE * all_of_it, 1.5, 4.0)
                candidate.check(
                    "they are errors, or missed by somebody", metric.endswith("errors") or bool(again), 1.0, 1.0
                )
                candidate.check("the kernel names no other cause for it", not seen, 0.5, 3.0)
                _show_sent_again(scene, candidate, again)
                candidate.step(
                    f"{interface} counted {lost:.0f} {metric} in {run.seconds} s, beside {all_of_it:.0f} packets",
                    scene.evidence("network", samples_of(part), metric, "increase"),
                )
                candidate.refuted_by = f"the counters of {interface} stand still and as much is lost"
                candidate.actions = (
                    Proposal("look", candidate.culprit, f"check the cable, the driver and the rings of {interface}"),
                )
                yield candidate


def _sent_again(scene: Scene, *, explained: bool) -> Iterator[Candidate]:
    """Where nothing here is seen to drop anything, and TCP has to send again all the same."""
    by_interface = grouped(scene.once(sent_again), "interface_name")
    for (interface,), rows in by_interface.items():
        for run in stretches(scene, rows, "segments") if interface else ():
            within = scene.within(rows, run)
            segments = sum(row["segments"] or 1 for row in within)
            sent = segments_sent(carried(scene, interface, run), interface)
            candidate = Candidate(
                "packet_loss", interface_of(interface), int(within[0]["timestamp"]), _victims(within, ())
            )
            candidate.check("it goes on", len({scene.second(row) for row in within}) >= 0.5 * run.seconds, 1.0, 2.0)
            much = segments >= max(_LEAST_LOST, 2 * LOST_SHARE * sent)
            candidate.check("a good part of what is sent is sent again", much, 1.5, 4.0)
            _check_other_causes(scene, candidate, run, interface, explained=explained)
            _check_listeners(scene, candidate, run, segments)
            _check_wire(scene, candidate, interface, run)
            peers = ", ".join(sorted({str(row["daddr"]) for row in within})[:3])
            candidate.step(
                f"{segments} segments to {peers} had to be sent again by {interface} in {run.seconds} s",
                scene.evidence("tcp_retransmit_event", within, "segments", "sum"),
            )
            _explain_unseen(candidate, interface)
            yield candidate
    if not scene.rows("tcp_retransmit_event"):
        yield from _counted_by_tcp(scene, explained=explained)


def _counted_by_tcp(scene: Scene, *, explained: bool) -> Iterator[Candidate]:
    """The same by the machine's counters, where no tracer runs; the interface can only be guessed."""
    changes = [change for all_of_one in scene.changes("tcp_retransmit").values() for change in all_of_one]
    counts = {scene.second(change.after): change.of("retrans_segs") - change.of("syn_retrans") for change in changes}
    for run in runs(counts, lambda count: count > 0, least=LASTS_S, gap=2):
        part = scene.during(changes, run)
        again, requests, sent = (
            sum(change.of(metric) for change in part) for metric in ("retrans_segs", "syn_retrans", "out_segs")
        )
        data = again - requests
        interface = _busiest(scene, run)
        if interface is None:
            continue
        candidate = Candidate("packet_loss", interface_of(interface), scene.at(run.first))
        much = data >= max(_LEAST_LOST, 2 * LOST_SHARE * sent)
        candidate.check("a good part of what is sent is sent again", much, 2.5, 4.0)
        _check_other_causes(scene, candidate, run, None, explained=explained)
        refused = sum(max(change.of("listen_overflows"), change.of("listen_drops")) for change in part)
        candidate.check(_NOT_FOR_LISTENERS, refused < data / 2, 0.0, 4.0)
        _check_wire(scene, candidate, interface, run)
        candidate.step(
            f"{again:.0f} of {sent:.0f} segments had to be sent again in {run.seconds} s, {requests:.0f} of "
            "them to ask for connections",
            scene.evidence("tcp_retransmit", samples_of(part), "retrans_segs", "increase"),
            scene.evidence("tcp_retransmit", samples_of(part), "syn_retrans", "increase"),
            scene.evidence("tcp_retransmit", samples_of(part), "out_segs", "increase"),
        )
        part = carried(scene, interface, run)
        candidate.step(
            f"of the interfaces, {interface} carried most of what may be lost",
            scene.evidence("network", samples_of(part), "tx_packets", "increase"),
        )
        _explain_unseen(candidate, interface)
        yield candidate


def _busiest(scene: Scene, run: Run) -> str | None:
    """The interface that sent most packets; that of loopback only where no other sent any."""
    sent = {name: packets(carried(scene, name, run), "tx") for (name,) in scene.changes("network")}
    others = {name: count for name, count in sent.items() if count and name != "lo"} or sent
    return max(others, key=lambda name: others[name], default=None)


def _check_other_causes(
    scene: Scene, candidate: Candidate, run: Run, interface: str | None, *, explained: bool
) -> None:
    """Whether what is sent again by an interface (None: by one that is not known) has another cause."""
    queues = [queue for queue in scene.once(full_queues) if interface in (None, queue.interface)]
    full = any(queue.run.overlaps(run) for queue in queues)
    unread = any(
        cause == "reader" and not str(row["location"]).startswith("udp")
        for (cause, _), rows in scene.once(drops).items()
        for row in scene.within(rows, run)
    )
    candidate.check("no queue in front of it is full", not full, 0.5, 4.0)
    candidate.check("nothing on this machine is seen to drop them", not explained and not unread, 0.5, 3.0)


def _check_listeners(scene: Scene, candidate: Candidate, run: Run, segments: float) -> None:
    """Whether a full listener is why: it drops the end of a handshake, and what follows that is sent for nothing."""
    rows = [row for row in scene.rows("packet_drop") if row["reason"] == _FULL_LISTENER]
    dropped = sum(row["count"] or 0 for row in scene.within(rows, run))
    candidate.check(_NOT_FOR_LISTENERS, dropped < segments / 2, 0.0, 4.0)


def _check_wire(scene: Scene, candidate: Candidate, interface: str, run: Run) -> None:
    """Whether packets can be lost at all: loopback hands each to its receiver, and who drops it there is seen."""
    if interface == "lo":
        queue = sum(one.of("drops") for one in scene.during(scene.changes("qdisc").get(("lo", "root"), ()), run))
        seen = any(scene.within(rows, run) for (_, name), rows in scene.once(drops).items() if name == interface)
        candidate.check("packets of loopback, which has no wire, are seen to be dropped", seen or queue > 0, 0.0, 8.0)


def _explain_unseen(candidate: Candidate, interface: str) -> None:
    candidate.refuted_by = "the segments had arrived and only their acknowledgements were late"
    candidate.outlook = "connections over it stay slow"
    candidate.actions = (
        Proposal("look", candidate.culprit, f"look behind {interface}: nothing here says where the packets are lost"),
    )


def _show_sent_again(scene: Scene, candidate: Candidate, again: Sequence[Row]) -> None:
    if again:
        names = ", ".join(comm for _, comm, _ in owners(again, "segments")[:3]) or "somebody"
        candidate.step(
            f"{names} had to send {sum(row['segments'] or 1 for row in again)} segments again",
            scene.evidence("tcp_retransmit_event", again, "segments", "sum"),
        )


def _victims(again: Sequence[Row], dropped: Sequence[Row]) -> tuple[Entity, ...]:
    """Who sends again, and whose packets were dropped."""
    named = [*owners(again, "segments"), *owners(dropped, "count")]
    return tuple(dict.fromkeys(Entity("process", str(pid), comm) for pid, comm, _ in named))[:5]
