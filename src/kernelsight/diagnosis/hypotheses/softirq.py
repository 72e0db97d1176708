"""CPUs that only carry packets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kernelsight.diagnosis.contention import CPU_TIMES
from kernelsight.diagnosis.hypothesis import Candidate, hypothesis
from kernelsight.diagnosis.model import Entity, Proposal
from kernelsight.diagnosis.packets import carried, packets
from kernelsight.diagnosis.scene import Change, Row, Run, Scene, runs, samples_of

SOFTIRQ_SHARE = 0.25
"""Of one CPU's time, from which on interrupts for packets keep programs from it."""
MOST_OF_A_CPU = 0.4
"""Share from which on that alone is too much; below it packets must be seen to go to waste."""
_LEAST_PACKETS_PER_S = 20_000
"""A packet costs one to three microseconds of softirq: fewer than these cannot be what a quarter of a CPU goes to."""
_SMALL_BYTES = 300
"""Mean size below which the packets, and not the data, are the load: a fifth of an Ethernet frame."""
_SENDER_SHARE = 0.2
"""Of a CPU, in system calls, from which on a process may be who sends so many."""


@hypothesis("softirq_load", needs=("cpu",))
def packets_take_the_cpu(scene: Scene) -> Iterable[Candidate]:
    """A large part of a CPU's time goes to handling very many small packets."""
    for (cpu,), changes in scene.changes("cpu").items():
        shares = {scene.second(change.after): _share(change) for change in changes} if (cpu or 0) >= 0 else {}
        for run in runs(shares, lambda share: share >= SOFTIRQ_SHARE):
            within = scene.during(changes, run)
            share = sum(map(_share, within)) / len(within)
            wasted = _wasted(scene, run)
            lost = sum(row["count"] or 0 for row in wasted)
            interface, traffic = _busiest(scene, run)
            count = packets(traffic, "rx") + packets(traffic, "tx")
            if lost > count:  # they came by an interface of another network namespace
                interface, traffic, count = str(wasted[-1]["interface_name"]), (), 0
            senders = _senders(scene, run)
            culprit = senders[0][0] if senders else Entity("interface", interface, interface)
            candidate = Candidate("softirq_load", culprit, scene.at(run.first))
            candidate.suffering_s = share * run.seconds
            candidate.check(f"a good part of CPU {cpu} goes to software interrupts", True, 3.0, 0.0)
            many = max(count, lost) / run.seconds >= _LEAST_PACKETS_PER_S
            candidate.check("very many packets are handled", many, 1.0, 6.0)
            if count:
                size = sum(change.of("rx_bytes") + change.of("tx_bytes") for change in traffic) / count
                candidate.check("they are small", size < _SMALL_BYTES, 1.0, 5.0)
            heavy = share >= MOST_OF_A_CPU or lost >= 0.1 * count
            candidate.check("it is most that the CPU does, or the packets go to waste", heavy, 1.0, 5.0)
            candidate.step(
                f"CPU {cpu} spent {100 * share:.0f} % of its time in software interrupts",
                scene.evidence("cpu", samples_of(within), "softirq", "increase"),
            )
            candidate.step(
                f"{interface} carried {count / run.seconds:.0f} packets a second",
                scene.evidence("network", samples_of(traffic), "rx_packets", "increase"),
                scene.evidence("network", samples_of(traffic), "rx_bytes", "increase"),
            )
            candidate.step(
                f"{lost:,} packets were not wanted, or did not fit where they should have been read",
                scene.evidence("packet_drop", wasted, "count", "sum") if lost else None,
            )
            if senders:
                candidate.step(
                    f"meanwhile {culprit.name} ({culprit.id}), which has sockets, worked in system calls",
                    scene.evidence("process", senders[0][1], "stime_ms", "increase"),
                )
            candidate.refuted_by = f"software interrupts take as much of CPU {cpu} when {culprit.name} is stopped"
            candidate.outlook = f"what runs on CPU {cpu} gets the rest of it, and packets of others are dropped"
            candidate.actions = (
                Proposal("limit_cpu", culprit, f"slow {culprit.name} down, or let it send fewer and larger packets"),
            )
            yield candidate


def _share(change: Change) -> float:
    """Of the CPU's time, what went to interrupts."""
    everything = sum(change.of(ticks) for ticks in CPU_TIMES)
    return (change.of("softirq") + change.of("irq")) / everything if everything else 0.0


def _busiest(scene: Scene, run: Run) -> tuple[str, Sequence[Change]]:
    """The interface that carried most packets, and what it did; a name that says so where none is known."""
    known = {str(name): carried(scene, str(name), run) for (name,) in scene.changes("network")}
    most = max(known, key=lambda name: packets(known[name], "rx") + packets(known[name], "tx"), default="")
    return (most, known[most]) if most else ("an interface that is not seen", ())


def _wasted(scene: Scene, run: Run) -> list[Row]:
    """Packets that nobody wanted or that found no room."""
    return [
        row
        for row in scene.within(scene.rows("packet_drop"), run)
        if row["reason"] in {"NO_SOCKET", "SOCKET_RCVBUFF", "CPU_BACKLOG", "PROTO_MEM", "FULL_RING", "QDISC_DROP"}
    ]


def _senders(scene: Scene, run: Run) -> list[tuple[Entity, list[Row]]]:
    """Processes with sockets that spend much of a CPU in system calls, the most first.

    On loopback and between namespaces, the software interrupts for a packet run in the system call that
    sends it, and count to the sender.
    """
    found: list[tuple[float, Entity, list[Row]]] = []
    for (pid, _), changes in scene.changes("process").items():
        within = scene.during(changes, run)
        if not within or within[-1].after["sockets"] == 0:
            continue
        spent = sum(change.of("stime_ms") for change in within) / 1e3
        if spent >= _SENDER_SHARE * run.seconds:
            named = Entity("process", str(pid), str(within[-1].after["comm"]))
            found.append((spent, named, samples_of(within)))
    return [(named, rows) for _, named, rows in sorted(found, key=lambda one: (-one[0], one[1].id))]
