"""Connections that do not get on: who waits for whom across a network, and connections that are slow by intention."""

import pytest
from scenes import END, FROM, LENGTH, SECOND, START, cpus, stored, used

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import check
from kernelsight.events.packet_drop import PacketDrop
from kernelsight.events.process import SocketOwner
from kernelsight.events.qdisc import Qdisc
from kernelsight.events.service import ServiceEdge
from kernelsight.events.tcp import TcpConnection, TcpListener, TcpRetransmitEvent

FAULTY = range(FROM, LENGTH)
CLIENT, SERVER = ("10.0.0.1", 40000), ("10.0.0.2", 5432)
BULK, QUIET = (50, "bulk"), (60, "shell")


def found(tmp_path, *parts):
    tmp_path.mkdir(exist_ok=True)
    path = stored(tmp_path / "db", [*cpus(2), *(event for part in parts for event in part)])
    diagnosis = diagnose(path, START, END)
    assert check(path, diagnosis) == []
    return diagnosis.findings


def findings(tmp_path, *parts):
    return [(one.fault, one.culprit.kind, one.culprit.id) for one in found(tmp_path, *parts)]


def at(second):
    return START + second * SECOND + 5


def connection(waits_for, local, peer, owner, *, seconds=FAULTY, state="established", **columns):
    pid, comm = owner or (None, None)
    for second in seconds:
        yield TcpConnection(
            at(second), *local, *peer, state=state, waits_for=waits_for, pid=pid, comm=comm,
            **{name: value(second) if callable(value) else value for name, value in columns.items()},
        )  # fmt: skip


def unanswered(peer, owner=QUIET, seconds=FAULTY):
    return connection(
        "answer", CLIENT, peer, owner, seconds=seconds, state="syn_sent", retransmits=lambda second: 1 + second % 3
    )


def asked_again(peer, owner=QUIET, *, state="syn_sent", seconds=FAULTY):
    for second in seconds:
        yield TcpRetransmitEvent(
            at(second), *CLIENT, *peer, state=state, pid=owner[0], comm=owner[1], segments=1, interface_name="near0"
        )


def dropped(reason, count=1):
    for second in FAULTY:
        yield PacketDrop(
            at(second), reason=reason, interface_name="far0", location="nft_do_chain", origin="remote", count=count
        )


UNREACHABLE = [("slow_dependency", "listener", "10.0.0.2:5432")]


@pytest.mark.parametrize("parts", [(unanswered,), (asked_again,), (unanswered, asked_again)])
def test_a_place_where_nothing_answers_is_named_by_its_address_and_port(tmp_path, parts):
    assert findings(tmp_path, *(part(SERVER) for part in parts)) == UNREACHABLE


def test_who_asks_need_not_be_known(tmp_path):
    assert findings(tmp_path, unanswered(SERVER, None)) == UNREACHABLE


def test_a_rule_that_drops_nothing_but_requests_makes_a_service_unreachable_and_loses_no_packets(tmp_path):
    (one,) = found(tmp_path, unanswered(SERVER), asked_again(SERVER), dropped("NETFILTER_DROP", 2))
    assert (one.fault, one.culprit.id, [victim.name for victim in one.victims]) == (
        "slow_dependency",
        "10.0.0.2:5432",
        ["shell"],
    )
    assert any("NETFILTER_DROP at far0" in step.claim for step in one.path)


def test_places_of_one_network_that_do_not_answer_are_one_finding(tmp_path):
    behind = [unanswered((f"10.0.{host}.2", 443), (60 + host, f"shell{host}")) for host in range(5)]
    elsewhere = unanswered(("172.16.0.9", 25), (50, "mail"))
    inside, outside = sorted(found(tmp_path, *behind, elsewhere), key=lambda one: one.culprit.id)
    assert (inside.culprit.id, outside.culprit.id) == ("10.0.0.2:443", "172.16.0.9:25")
    assert {victim.name for victim in inside.victims} == {f"shell{host}" for host in range(5)}
    assert "10.0.1.2:443, 10.0.2.2:443, 10.0.3.2:443 and 1 more" in inside.path[0].claim
    assert "the way to 10.0.0.0/16" in inside.actions[0].text


def test_a_request_that_was_lost_once_is_no_fault(tmp_path):
    once = range(FROM, FROM + 1)
    assert findings(tmp_path, unanswered(SERVER, seconds=once), asked_again(SERVER, seconds=once)) == []


def test_a_scan_asks_where_nobody_is(tmp_path):
    assert findings(tmp_path, *(unanswered((f"10.0.1.{host}", 22)) for host in range(20))) == []


def test_where_data_is_lost_as_well_the_way_is_what_loses_it(tmp_path):
    data = [*asked_again(SERVER, state="established"), *asked_again(SERVER, state="established")]
    assert UNREACHABLE[0] not in findings(tmp_path, asked_again(SERVER), data)


def closed(owner=BULK, *, accepted=False, seconds=FAULTY, unsent=300_000):
    return connection(
        "window", CLIENT, SERVER, owner, seconds=seconds, is_accepted=accepted, unsent_bytes=unsent,
        unacknowledged_bytes=0, send_window_bytes=0,
    )  # fmt: skip


def unread(owner=(70, "sink"), *, accepted=True, seconds=FAULTY):
    return connection(
        "reader", SERVER, CLIENT, owner, seconds=seconds, is_accepted=accepted, unread_bytes=65_536,
        receive_window_bytes=0,
    )  # fmt: skip


def test_a_server_that_does_not_read_keeps_those_waiting_who_send(tmp_path):
    (one,) = found(tmp_path, closed(), unread())
    assert (one.fault, one.culprit.id, [victim.name for victim in one.victims]) == ("slow_dependency", "70", ["bulk"])
    assert any("65.5 kB" in step.claim or "64 KiB" in step.claim for step in one.path)


def test_a_receiver_of_another_machine_is_named_by_its_address(tmp_path):
    assert findings(tmp_path, closed()) == UNREACHABLE


def sends(*, before, now, owner=BULK):
    for second in range(LENGTH):
        amount = now if second >= FROM else before
        if amount:
            yield ServiceEdge(
                at(second), pid=owner[0], comm=owner[1], protocol="tcp", address=SERVER[0], port=SERVER[1], streams=1,
                bytes_sent=amount,
            )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        pytest.param(0, 20_000_000, [], id="a backup to the storage of another machine"),
        pytest.param(100_000, 20_000_000, [], id="a copy that looks for what to send first"),
        pytest.param(0, 60_000, UNREACHABLE, id="nobody copies so slowly"),
        pytest.param(20_000_000, 2_000_000, UNREACHABLE, id="it took ten times as much before"),
    ],
)
def test_a_copy_that_is_sent_as_fast_as_it_is_taken_harms_nobody(tmp_path, before, now, expected):
    assert findings(tmp_path, closed(), sends(before=before, now=now)) == expected


def test_a_client_that_downloads_at_its_own_pace_harms_nobody(tmp_path):
    assert findings(tmp_path, closed(accepted=True), unread(accepted=False)) == []


@pytest.mark.parametrize(
    "waiting",
    [
        TcpListener(at(15), address="10.0.0.1", port=40000, accept_queue=3, backlog=10, pid=50, comm="bulk"),
        SocketOwner(at(15), pid=50, comm="bulk", established=3, receive_queue_bytes=90),
    ],
)
def test_a_client_that_does_not_read_harms_others_that_its_server_keeps_waiting_meanwhile(tmp_path, waiting):
    assert ("slow_dependency", "process", "70") in findings(
        tmp_path, closed(accepted=True), unread(accepted=False), [waiting]
    )


def listens(port):
    return TcpListener(at(1), address="10.0.0.1", port=port, accept_queue=0, backlog=10)


def test_without_the_word_of_tracers_who_does_not_listen_at_this_end_is_who_asks(tmp_path):
    silent = [*connection("window", CLIENT, SERVER, None, unacknowledged_bytes=90_000)]
    assert findings(tmp_path / "client", silent, [listens(22)]) == UNREACHABLE
    assert findings(tmp_path / "server", silent, [listens(22), listens(CLIENT[1])]) == []
    assert findings(tmp_path / "unknown", silent) == [], "nobody knows who listens here"
    assert findings(tmp_path / "many", silent, map(listens, range(1, 65))) == [], "there may be more"


def test_a_reader_that_computes_all_the_time_is_no_slower_than_it_can_be(tmp_path):
    assert findings(tmp_path, closed(), unread(), used(70, "sink", 900, 0)) == []


def test_a_fast_copy_is_seen_at_a_closed_window_now_and_then(tmp_path):
    assert findings(tmp_path, closed(seconds=range(FROM, LENGTH, 3)), unread(seconds=range(FROM, LENGTH, 3))) == []


def late(owner, port, *, unacknowledged, round_trip_ms=400, seconds=FAULTY):
    return connection(
        "round_trip", ("10.0.0.1", port), SERVER, owner, seconds=seconds, unacknowledged_bytes=unacknowledged,
        unsent_bytes=0, round_trip_us=round_trip_ms * 1000, shortest_round_trip_us=300,
    )  # fmt: skip


def test_questions_wait_behind_bulk_data_in_a_queue_that_nobody_here_sees(tmp_path):
    (one,) = found(tmp_path, late(BULK, 1, unacknowledged=400_000), late(QUIET, 2, unacknowledged=8))
    assert (one.fault, one.culprit.id, [victim.name for victim in one.victims]) == (
        "bandwidth_saturation",
        "50",
        ["shell"],
    )


def test_a_copy_alone_behind_its_own_data_harms_nobody(tmp_path):
    assert findings(tmp_path, late(BULK, 1, unacknowledged=400_000)) == []


def test_long_ways_without_bulk_data_are_long(tmp_path):
    assert findings(tmp_path, late(BULK, 1, unacknowledged=80), late(QUIET, 2, unacknowledged=8)) == []


def narrow(backlog):
    for second in range(LENGTH):
        busy = max(0, second - FROM)
        yield Qdisc(
            at(second), interface_name="near0", parent="root", discipline="tbf", sent_bytes=625_000 * busy,
            drops=0, overlimits=400 * busy, requeues=0, backlog_bytes=backlog if busy else 0,
            rate_limit_bytes=625_000,
        )  # fmt: skip


def test_how_long_packets_wait_in_a_deep_queue_is_said(tmp_path):
    data = SocketOwner(at(15), pid=50, comm="bulk", established=1, send_queue_bytes=900_000)
    (one,) = found(tmp_path, narrow(500_000), [data], late(QUIET, 2, unacknowledged=8))
    assert (one.fault, one.culprit.id, [victim.name for victim in one.victims]) == (
        "bandwidth_saturation",
        "50",
        ["shell"],
    )
    assert any("each packet waits 800 ms" in step.claim for step in one.path)


def test_a_short_queue_is_not_called_deep(tmp_path):
    data = SocketOwner(at(15), pid=50, comm="bulk", established=1, send_queue_bytes=900_000)
    (one,) = found(tmp_path, narrow(30_000), [data])
    assert not any("deep" in step.claim for step in one.path)
