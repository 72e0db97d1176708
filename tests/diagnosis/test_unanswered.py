"""Requests that are not answered: who keeps them waiting, and which waits are meant to be long."""

from dataclasses import dataclass

from scenes import END, LENGTH, SECOND, START, cpus, stored, used

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import grounded
from kernelsight.events.pending_wait import PendingWait
from kernelsight.events.scheduler import Wait

STOPS = 14
CLIENTS, SERVERS, HOLDER, HOLDERS_CLIENT = (81, 82, 83), (71, 72, 73), 79, 89
FRONT, BEHIND = 60, 50


@dataclass
class Row:
    pid: int | None
    peer: int | None
    since: float = STOPS
    until: int = LENGTH
    waits_for: str = "answer"
    port: int = 5432
    address: str = "127.0.0.1"
    waits_in: str | None = None
    connections: int = 1
    transport: str = "tcp"
    began_before_s: float = 0.0


def pending(*rows):
    for row in rows:
        for second in range(int(row.since) + 2, row.until):
            ms = 1e3 * (second - row.since + row.began_before_s)
            yield PendingWait(
                START + second * SECOND + 5, pid=row.pid, comm=name(row.pid), waits_for=row.waits_for,
                peer_pid=row.peer, peer_comm=name(row.peer), peer_waits_in=row.waits_in, transport=row.transport,
                address=row.address, port=row.port, connections=row.connections, waited_ms=ms, shortest_ms=ms,
            )  # fmt: skip


def name(pid):
    if pid is None:
        return None
    return "base" if pid in (*SERVERS, HOLDER) else f"program{pid}"


def answers(client, server, mean_s=0.01, until=STOPS, since=0):
    """That the client had its answers in so much time, many times a second."""
    for second in range(since, until):
        yield Wait(
            START + second * SECOND + 7, pid=client, comm=name(client), waker_pid=server, waker_comm=name(server),
            waker_context="softirq", waits_in="recvfrom", state="interruptible", count=10,
            wait_ns=int(10 * mean_s * SECOND), runqueue_ns=0, max_wait_ns=int(mean_s * SECOND), cgroup_id=1,
        )  # fmt: skip


def idle(*pids):
    for pid in pids:
        yield from used(pid, name(pid), 1, 0)


def answer(tmp_path, *events, start=START):
    database = stored(
        tmp_path / "db", [*cpus(4), *idle(*SERVERS, HOLDER, BEHIND), *(e for some in events for e in some)]
    )
    found = diagnose(database, start, END)
    assert all(grounded(database, finding) for finding in found.findings)
    return found


def named(found):
    return [(one.fault, one.culprit.id) for one in found.findings]


def stuck(**values):
    return [Row(client, server, **values) for client, server in zip(CLIENTS, SERVERS, strict=True)]


def past():
    return [row for client, server in zip(CLIENTS, SERVERS, strict=True) for row in answers(client, server)]


HELD = Row(HOLDER, HOLDERS_CLIENT, since=STOPS - 1, waits_for="request")
POOLED = Row(78, 88, since=2, waits_for="request")


def test_the_server_that_waits_for_its_client_keeps_the_others_waiting(tmp_path):
    found = answer(tmp_path, past(), pending(*stuck(), HELD, POOLED))
    assert named(found) == [("lock_contention", str(HOLDER))]
    (finding,) = found.findings
    assert "program89 (89)" in finding.path[-1].claim
    assert {victim.id for victim in finding.victims} >= {*map(str, CLIENTS)}
    assert "slow_dependency" in {one.fault for one in found.ruled_out}


def test_that_is_known_though_it_began_before_anybody_looked(tmp_path):
    rows = [
        *stuck(since=0, began_before_s=100),
        Row(HOLDER, HOLDERS_CLIENT, 0, waits_for="request", began_before_s=101),
    ]
    assert named(answer(tmp_path, pending(*rows))) == [("lock_contention", str(HOLDER))]


def test_a_single_connection_without_an_answer_means_nothing_if_nothing_is_known_from_before(tmp_path):
    rows = [Row(81, 71, 0, began_before_s=100), Row(HOLDER, HOLDERS_CLIENT, 0, waits_for="request", began_before_s=101)]
    assert named(answer(tmp_path, pending(*rows))) == []


def test_where_one_process_serves_all_the_client_that_does_not_go_on_is_named(tmp_path):
    server = SERVERS[0]
    rows = [Row(client, server, waits_in="futex") for client in CLIENTS]
    holder = Row(server, HOLDERS_CLIENT, since=STOPS - 1, waits_for="request")
    known = [row for client in CLIENTS for row in answers(client, server)]
    assert named(answer(tmp_path, known, pending(*rows, holder))) == [("lock_contention", str(HOLDERS_CLIENT))]


def test_who_waits_for_the_next_job_of_a_queue_waits_for_no_lock(tmp_path):
    server = SERVERS[0]
    rows = [Row(client, server, waits_in=None) for client in CLIENTS]
    producer = Row(server, HOLDERS_CLIENT, since=STOPS - 1, waits_for="request")
    slow = [row for client in CLIENTS for row in answers(client, server, mean_s=4)]
    assert named(answer(tmp_path, slow, pending(*rows, producer))) == []


def test_who_always_waited_as_long_waits_on_purpose(tmp_path):
    slow = [row for client in CLIENTS for row in answers(client, FRONT, mean_s=5)]
    rows = [*(Row(client, FRONT, port=80) for client in CLIENTS), Row(FRONT, BEHIND, port=8080)]
    assert named(answer(tmp_path, slow, pending(*rows))) == []


def test_a_request_is_followed_through_a_proxy_to_who_does_not_answer(tmp_path):
    quick = [row for client in CLIENTS for row in answers(client, FRONT)]
    rows = [*(Row(client, FRONT, port=80) for client in CLIENTS), Row(FRONT, BEHIND, port=8080, connections=3)]
    found = answer(tmp_path, quick, pending(*rows))
    assert named(found) == [("slow_dependency", str(BEHIND))]
    assert [victim.id for victim in found.findings[0].victims] == ["81", "82", "83", "60"]


def test_another_machine_is_named_by_its_address_and_port(tmp_path):
    quick = [row for client in CLIENTS for row in answers(client, FRONT)]
    far = Row(FRONT, None, port=8080, address="10.0.0.9", connections=3)
    found = answer(tmp_path, quick, pending(*(Row(client, FRONT, port=80) for client in CLIENTS), far))
    assert named(found) == [("slow_dependency", "10.0.0.9:8080")]


def test_requests_that_were_answered_after_seconds_show_that_this_is_usual(tmp_path):
    rows = [Row(client, FRONT, port=80, since=at, until=at + 7) for at in (0, 7) for client in CLIENTS]
    rows += [Row(client, FRONT, port=80, since=22) for client in CLIENTS]
    rows += [Row(FRONT, BEHIND, port=8080, since=at, until=at + 7) for at in (0, 7)]
    rows += [Row(FRONT, BEHIND, port=8080, since=22)]
    assert named(answer(tmp_path, pending(*rows))) == []


def test_a_resolver_that_does_not_answer_is_named_at_once(tmp_path):
    rows = [Row(81, None, port=53, address="10.0.0.9", transport="udp")]
    assert named(answer(tmp_path, pending(*rows))) == [("slow_dependency", "10.0.0.9:53")]


def test_a_server_of_the_time_that_does_not_answer_holds_nobody_up(tmp_path):
    rows = [Row(81, None, port=123, address="10.0.0.9", transport="udp")]
    assert named(answer(tmp_path, pending(*rows))) == []


def test_what_is_over_is_no_fault(tmp_path):
    assert named(answer(tmp_path, past(), pending(*stuck(until=22), HELD))) == []


def test_a_server_that_computes_is_not_silent_for_want_of_an_answer(tmp_path):
    quick = [row for client in CLIENTS for row in answers(client, FRONT)]
    rows = [Row(client, FRONT, port=80) for client in CLIENTS]
    found = answer(tmp_path, quick, used(FRONT, name(FRONT), 990, 0), pending(*rows))
    assert "slow_dependency" not in {fault for fault, _ in named(found)}


def test_a_lock_whose_holder_idles_is_no_effect_of_busy_cpus(tmp_path):
    hogs = [row for pid in range(40, 48) for row in used(pid, "hog", 490, 480)]
    starved = [row for pid in (*SERVERS, HOLDER) for row in used(pid, "base", 1, 1)]
    found = answer(tmp_path, past(), pending(*stuck(), HELD), hogs, starved)
    assert ("lock_contention", str(HOLDER)) in named(found)


def test_a_queue_that_has_run_empty_is_no_silent_server(tmp_path):
    server = SERVERS[0]
    known = [row for client in CLIENTS for row in answers(client, server)]
    for sleeps_in in (None, "epoll_wait"):
        folder = tmp_path / str(sleeps_in)
        folder.mkdir()
        assert (
            named(answer(folder, known, pending(*(Row(client, server, waits_in=sleeps_in) for client in CLIENTS))))
            == []
        )


def test_a_server_that_sleeps_over_its_answer_is_silent(tmp_path):
    server = SERVERS[0]
    known = [row for client in CLIENTS for row in answers(client, server)]
    rows = [Row(client, server, waits_in="clock_nanosleep") for client in CLIENTS]
    assert named(answer(tmp_path, known, pending(*rows))) == [("slow_dependency", str(server))]
