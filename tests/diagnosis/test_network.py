"""Who loses packets, fills an interface or floods a CPU with them: known cases, and busy networks that are well."""

import pytest
from scenes import END, FROM, LENGTH, SECOND, START, cpus, stored

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import check
from kernelsight.events.network import Network
from kernelsight.events.packet_drop import PacketDrop
from kernelsight.events.process import Process, SocketOwner
from kernelsight.events.qdisc import Qdisc
from kernelsight.events.scheduler import Cpu
from kernelsight.events.tcp import TcpListener, TcpRetransmit, TcpRetransmitEvent
from kernelsight.events.udp_socket import UdpSocket

SECONDS = range(LENGTH)
FAULTY = range(FROM, LENGTH)


def findings(tmp_path, *parts):
    path = stored(tmp_path / "db", [*cpus(2), *(event for part in parts for event in part)])
    found = diagnose(path, START, END)
    assert check(path, found) == []
    return [(one.fault, one.culprit.kind, one.culprit.id) for one in found.findings]


def at(second):
    return START + second * SECOND + 5


def carries(name, packets, size=1000):
    """An interface that carries as much in every second, both ways."""
    for second in SECONDS:
        moved = {"packets": packets * second, "bytes": packets * size * second}
        columns = {f"{way}_{what}": value for way in ("rx", "tx") for what, value in moved.items()}
        yield Network(at(second), interface_name=name, **columns)


def dropped(reason, name, amount, *, origin="remote", pid=None, seconds=FAULTY):
    for second in seconds:
        comm = f"c{pid}" if pid else None
        yield PacketDrop(
            at(second),
            reason=reason,
            interface_name=name,
            location="f",
            origin=origin,
            pid=pid,
            comm=comm,
            count=amount,
        )


def again(name, amount, *, pid=50, state="established", seconds=FAULTY):
    for second in seconds:
        for part in range(amount):
            yield TcpRetransmitEvent(
                at(second) + part,
                daddr="10.0.0.9",
                state=state,
                pid=pid,
                comm=f"c{pid}",
                segments=1,
                interface_name=name,
            )


def shaped(name, *, rate, backlog, drops=0, limit=None, seconds=FAULTY):
    sent = held = lost = 0
    for second in SECONDS:
        busy = second in seconds
        sent += rate(second) if busy else 10
        held += 20 if busy else 0
        lost += drops if busy else 0
        yield Qdisc(
            at(second),
            interface_name=name,
            parent="root",
            discipline="tbf",
            sent_bytes=sent,
            overlimits=held,
            drops=lost,
            requeues=0,
            backlog_bytes=backlog if busy else 0,
            rate_limit_bytes=limit,
        )


def test_a_rule_that_drops_what_has_to_be_sent_again(tmp_path):
    loss = dropped("NETFILTER_DROP", "far0", 12)
    found = findings(tmp_path, carries("near0", 200), loss, again("near0", 8), carries("lo", 90_000))
    assert found == [("packet_loss", "interface", "far0")]


def test_what_a_rule_drops_before_it_leaves_is_missed_by_its_sender(tmp_path):
    loss = dropped("NETFILTER_DROP", "near0", 5, origin="local", pid=50)
    assert findings(tmp_path, carries("near0", 100), loss) == [("packet_loss", "interface", "near0")]


def test_packets_that_arrive_damaged_are_lost_by_the_link_and_not_by_a_rule(tmp_path):
    damaged = dropped("UDP_CSUM", "near0", 5, pid=50)
    path = stored(tmp_path / "db", [*cpus(2), *carries("near0", 100), *damaged])
    [finding] = diagnose(path, START, END).findings
    assert (finding.fault, finding.culprit.id, finding.victims[0].id) == ("packet_loss", "near0", "50")
    assert "what damages the packets of near0" in finding.actions[0].text


@pytest.mark.parametrize(("size", "missed"), [(986, True), (46, False)])
def test_datagrams_that_are_dropped_among_others_like_them(tmp_path, size, missed):
    loss = (
        PacketDrop(
            at(second), reason="NETFILTER_DROP", interface_name="near0", origin="remote", count=9, bytes=9 * size
        )
        for second in FAULTY
    )
    found = findings(tmp_path, carries("near0", 100), loss)
    assert found == ([("packet_loss", "interface", "near0")] if missed else [])


def test_a_firewall_that_turns_strangers_away_loses_nothing(tmp_path):
    assert findings(tmp_path, carries("near0", 200), dropped("NETFILTER_DROP", "near0", 30)) == []


@pytest.mark.parametrize("reason", ["NO_SOCKET", "TCP_OLD_DATA", "NOT_SPECIFIED", "QUEUE_PURGE"])
def test_what_every_network_drops_is_no_loss(tmp_path, reason):
    assert findings(tmp_path, carries("near0", 200), dropped(reason, "near0", 50)) == []


def test_a_burst_is_no_loss(tmp_path):
    burst = range(FROM, FROM + 2)
    lost = dropped("SOCKET_RCVBUFF", "lo", 400, pid=50, seconds=burst)
    assert findings(tmp_path, carries("lo", 200), lost, again("lo", 90, seconds=burst)) == []


def test_a_loss_that_is_nothing_beside_what_is_carried(tmp_path):
    loss = dropped("NETFILTER_DROP", "near0", 3), again("near0", 3)
    assert findings(tmp_path, carries("near0", 50_000), *loss) == []


def test_who_reads_too_slowly_is_named_and_not_who_sends(tmp_path):
    lost = dropped("SOCKET_RCVBUFF", "lo", 300, pid=60)
    assert findings(tmp_path, carries("lo", 500), lost) == [("packet_loss", "process", "60")]


def test_without_tracers_the_socket_is_named_where_its_owner_is_not_known(tmp_path):
    queue = (
        UdpSocket(
            at(second),
            address="127.0.0.1",
            port=5000,
            inode=7,
            receive_queue_bytes=4000,
            drops=50 * (second - FROM),
        )
        for second in FAULTY
    )
    assert findings(tmp_path, carries("lo", 100), queue) == [("packet_loss", "listener", "127.0.0.1:5000")]


def test_a_shaped_interface_is_full_and_loses_nothing(tmp_path):
    queue = shaped("near0", rate=lambda _: 500_000, backlog=30_000, drops=20, limit=500_000)
    sender = dropped("QDISC_DROP", "near0", 20, origin="local", pid=70)
    found = findings(tmp_path, carries("near0", 400), queue, sender, again("near0", 20, pid=70))
    assert found == [("bandwidth_saturation", "process", "70")]


def test_who_waits_to_send_is_named_where_nothing_is_dropped(tmp_path):
    queue = shaped("near0", rate=lambda second: 400_000 + 9_000 * (second % 3), backlog=90_000)
    owners = (
        SocketOwner(at(second), pid=pid, comm=f"c{pid}", send_queue_bytes=size)
        for second in FAULTY
        for pid, size in ((70, 200_000), (71, 300))
    )
    assert findings(tmp_path, queue, owners) == [("bandwidth_saturation", "process", "70")]


def test_a_queue_of_another_namespace_is_full_by_what_is_dropped_there(tmp_path):
    found = findings(tmp_path, dropped("QDISC_DROP", "inner0", 90, origin="local", pid=70), carries("lo", 10))
    assert found == [("bandwidth_saturation", "process", "70")]


def test_bursts_that_wait_a_moment_fill_no_interface(tmp_path):
    queue = shaped("near0", rate=lambda second: 200_000 * (second % 3), backlog=0)
    assert findings(tmp_path, queue) == []


@pytest.mark.parametrize(("segments", "lossy"), [(5, True), (1, False)])
def test_what_is_sent_again_is_held_against_what_is_sent(tmp_path, segments, lossy):
    found = findings(tmp_path, carries("eth0", 300, 1400), again("eth0", segments))
    assert found == ([("packet_loss", "interface", "eth0")] if lossy else [])


def test_connections_that_nobody_answers_are_no_loss(tmp_path):
    found = findings(tmp_path, carries("eth0", 30), again("eth0", 5, state="syn_sent"))
    assert [fault for fault, *_ in found] == ["slow_dependency"]


def test_without_tracers_the_counters_of_tcp_show_a_loss(tmp_path):
    counted = (
        TcpRetransmit(at(second), retrans_segs=30 * max(0, second - FROM), out_segs=900 * second, syn_retrans=0)
        for second in SECONDS
    )
    found = findings(tmp_path, carries("eth0", 300), carries("lo", 9000), counted)
    assert found == [("packet_loss", "interface", "eth0")]


def test_a_card_that_counts_bad_frames(tmp_path):
    bad = (
        Network(at(second), interface_name="eth0", rx_packets=500 * second, rx_errors=25 * max(0, second - FROM))
        for second in SECONDS
    )
    assert findings(tmp_path, bad) == [("packet_loss", "interface", "eth0")]


def test_the_listener_is_named_although_its_queue_was_never_seen_full(tmp_path):
    counted = (
        TcpRetransmit(at(second), listen_overflows=9 * max(0, second - FROM), listen_drops=9 * max(0, second - FROM))
        for second in SECONDS
    )
    queues = (
        TcpListener(at(second), address="::", port=port, accept_queue=queued, backlog=16, pid=port, comm="c")
        for second in FAULTY
        for port, queued in ((80, 10), (443, 1))
    )
    assert findings(tmp_path, counted, queues) == [("listen_overflow", "process", "80")]


EVER_LATER = (FROM, FROM + 3, FROM + 9)


@pytest.mark.parametrize("reason", ["NETFILTER_DROP", "IP_INNOROUTES"])
def test_a_connection_of_which_nothing_gets_through_is_cut_off_where_each_try_is_dropped(tmp_path, reason):
    tries, lost = again("near0", 1, seconds=EVER_LATER), dropped(reason, "far0", 1, seconds=EVER_LATER)
    others = dropped("NOT_SPECIFIED", "near0", 1, seconds=(FROM + 1,))
    assert findings(tmp_path, carries("lo", 50), tries, lost, others) == [("packet_loss", "interface", "far0")]


def test_a_peer_that_is_gone_and_drops_that_nobody_misses_have_nothing_to_do_with_each_other(tmp_path):
    tries = again("near0", 1, seconds=EVER_LATER)
    lost = dropped("NETFILTER_DROP", "far0", 1, seconds=[second + 2 for second in EVER_LATER])
    assert findings(tmp_path, carries("lo", 50), tries, lost) == []


def test_what_a_full_listener_drops_and_is_sent_again_is_no_loss(tmp_path):
    full = dropped("TCP_LISTEN_OVERFLOW", "far0", 8, pid=70)
    listener = [("listen_overflow", "process", "70")]
    assert findings(tmp_path, carries("near0", 50), full, again("near0", 6)) == listener
    tries, lost = (
        again("near0", 1, seconds=EVER_LATER),
        dropped("TCP_LISTEN_OVERFLOW", "far0", 1, pid=70, seconds=EVER_LATER),
    )
    assert findings(tmp_path, carries("near0", 50), tries, lost) == listener


def flood(share, packets, size, sockets):
    """A CPU that spends a share of its time in softirqs, an interface, and a process in system calls."""
    for second in SECONDS:
        spent = int(100 * share * max(0, second - FROM))
        yield Cpu(at(second), cpu=0, user=0, nice=0, system=0, idle=100 * second - spent, iowait=0, softirq=spent)
        yield Cpu(at(second), cpu=1, user=0, nice=0, system=0, idle=100 * second, iowait=0, softirq=0)
        yield Process(
            at(second), pid=80, start_ticks=1, comm="sender", stime_ms=900 * second, utime_ms=0, sockets=sockets
        )
        yield Process(at(second), pid=81, start_ticks=1, comm="copier", stime_ms=990 * second, utime_ms=0, sockets=0)
    yield from carries("lo", packets, size)


def test_a_flood_of_small_packets_is_the_senders(tmp_path):
    assert findings(tmp_path, flood(0.6, 150_000, 60, sockets=1)) == [("softirq_load", "process", "80")]


def test_a_flood_from_outside_is_named_by_the_interface(tmp_path):
    assert findings(tmp_path, flood(0.6, 150_000, 60, sockets=0)) == [("softirq_load", "interface", "lo")]


@pytest.mark.parametrize(
    ("share", "packets", "size"),
    [(0.6, 9_000, 60), (0.6, 60_000, 20_000), (0.3, 60_000, 100), (0.1, 150_000, 60)],
    ids=["few packets", "large packets", "a busy server", "little time"],
)
def test_a_network_that_is_busy_floods_nobody(tmp_path, share, packets, size):
    assert findings(tmp_path, flood(share, packets, size, sockets=1)) == []


@pytest.mark.parametrize(("dropped_too", "lossy"), [((), False), (("NO_SOCKET",), False), (("NETFILTER_DROP",), True)])
def test_loopback_has_no_wire_and_loses_only_what_is_seen_to_be_dropped(tmp_path, dropped_too, lossy):
    drops = [row for reason in dropped_too for row in dropped(reason, "lo", 20, origin="local")]
    assert bool(findings(tmp_path, carries("lo", 200), again("lo", 8), drops)) == lossy


def test_what_arrived_and_came_too_late_is_not_what_cuts_connections_off(tmp_path):
    tries = [event for second in (12, 16, 24) for event in again("lo", 1, seconds=[second])]
    late = [event for second in (12, 16, 24) for event in dropped("TCP_OLD_DATA", "lo", 1, seconds=[second])]
    assert findings(tmp_path, carries("lo", 50), tries, late) == []


@pytest.mark.parametrize("traced", [True, False])
def test_requests_that_a_full_listener_does_not_answer_are_no_loss_of_an_interface(tmp_path, traced):
    since = {second: max(0, second - FROM) for second in SECONDS}
    counted = [
        TcpRetransmit(
            at(second), retrans_segs=30 * n, out_segs=180 * second, syn_retrans=27 * n, listen_overflows=40 * n,
            listen_drops=40 * n,
        )
        for second, n in since.items()
    ]  # fmt: skip
    queue = [
        TcpListener(at(second), address="0.0.0.0", port=8000, accept_queue=17 if n else 0, backlog=16, pid=50, comm="w")
        for second, n in since.items()
    ]
    tries = again("lo", 5, state="syn_sent") if traced else ()
    found = findings(tmp_path, carries("eth0", 90), carries("lo", 90), counted, queue, tries)
    assert found == [("listen_overflow", "process", "50")]
