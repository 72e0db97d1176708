"""A process that is stopped while others wait for it is found; one that nobody waits for is no fault."""

import msgspec
import pytest
from scenes import END, LENGTH, SECOND, START, cpus, stored, used

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import grounded
from kernelsight.events.lock import FileLockWait
from kernelsight.events.pending_wait import PendingWait
from kernelsight.events.process import Process, SocketOwner
from kernelsight.events.scheduler import Wait
from kernelsight.events.service import ServiceEdge
from kernelsight.events.tcp import TcpListener

SERVER, CLIENT, SHELL = 70, 80, 60
STOP = 10


def at(second):
    return START + second * SECOND + 9


def sample(second, state, *, spent=500, pid=SERVER, ppid=SHELL, ticks=7):
    return Process(
        at(second), pid=pid, ppid=ppid, comm="vault", state=state, start_ticks=ticks, threads=1, utime_ms=spent,
        stime_ms=10, voluntary_switches=spent,
    )  # fmt: skip


def running(until=STOP):
    return [sample(second, "S", spent=10 * second) for second in range(until)]


def sockets(*seconds, unread=40, listening=1, pid=SERVER):
    return [
        SocketOwner(at(s), pid=pid, comm="vault", established=1, listening=listening, receive_queue_bytes=unread)
        for s in seconds
    ]


def others(*seconds):
    """At each look at sockets, somebody has some."""
    return [SocketOwner(at(s), pid=SHELL, comm="shell", established=1, receive_queue_bytes=0) for s in seconds]


def queue(lengths, since=STOP):
    return [
        TcpListener(
            at(since + i), address="0.0.0.0", port=80, accept_queue=length, backlog=128, pid=SERVER, comm="vault",
        )
        for i, length in enumerate(lengths)
    ]  # fmt: skip


def waits(until=STOP, *, waker=SERVER, call="recvfrom", pid=CLIENT):
    return [
        Wait(
            at(second), pid=pid, comm="client", waker_pid=waker, waker_comm="vault", waits_in=call,
            state="interruptible", count=20, wait_ns=SECOND // 10, runqueue_ns=0, cgroup_id=1,
        )
        for second in range(until)
    ]  # fmt: skip


def locks(since=STOP, until=LENGTH):
    return [
        FileLockWait(
            at(second), pid=CLIENT + i, comm=f"writer{i}", holder_pid=SERVER, holder_comm="vault", lock_type="posix",
            device_name="fe:00", inode=7,
        )
        for second in range(since, until)
        for i in range(2)
    ]  # fmt: skip


def answer(folder, *events, start=START):
    folder.mkdir(exist_ok=True)
    database = stored(folder / "db", [*cpus(4), *used(90, "other", 10, 1), *(e for several in events for e in several)])
    found = diagnose(database, start, END)
    assert all(grounded(database, finding) for finding in found.findings)
    return found


def named(found):
    return [(one.fault, one.culprit.id) for one in found.findings]


def against(found):
    return [one.against for one in found.ruled_out if one.fault == "stopped_process"]


STOPPED = [("stopped_process", str(SERVER))]
NOBODY = "others wait for it: requests that it does not answer, connections, or a file that it has locked"


def test_a_stopped_server_whose_clients_wait_is_found_with_what_lets_it_go_on(tmp_path):
    found = answer(tmp_path, running(), [sample(STOP, "T")], sockets(5, 15, 25), waits())
    (finding,) = found.findings
    assert named(found) == STOPPED
    assert finding.onset_ns == at(STOP)
    assert [victim.name for victim in finding.victims] == ["client"]
    assert [step.claim for step in finding.path] == [
        "vault ended waits of 1 others before, and none since",
        "40 bytes of its clients wait to be read",
        "vault (70) was stopped by a signal and has not gone on for 20 s",
    ]
    assert "kill -CONT 70" in finding.actions[0].text


def test_connections_that_are_not_accepted_show_it_without_tracers(tmp_path):
    found = answer(tmp_path, running(), [sample(STOP, "T")], queue([0, 1, 1, 3, *[4] * 16]))
    assert named(found) == STOPPED


def test_a_queue_from_which_others_take_is_not_that_of_the_stopped_process(tmp_path):
    found = answer(tmp_path, running(), [sample(STOP, "T")], queue([3, 1] * 10))
    assert found.findings == ()
    assert against(found) == [(NOBODY,)]


def test_a_connection_that_waits_at_one_look_may_be_for_others_who_accept(tmp_path):
    found = answer(tmp_path, running(), [sample(STOP, "T")], queue([*[0] * 19, 1]))
    assert found.findings == ()
    assert against(found) == [(NOBODY,)]


def test_a_holder_of_a_lock_that_was_stopped_is_the_cause_of_the_queue_behind_it(tmp_path):
    found = answer(tmp_path, running(), [sample(STOP, "T")], locks(since=2))
    assert named(found) == STOPPED
    (effect,) = [one for one in found.ruled_out if one.fault == "lock_contention"]
    assert effect.effect_of == "stopped_process by vault"


def asked(since=STOP, until=LENGTH):
    """That a proxy waits for the server, and a client for the proxy."""
    return [
        PendingWait(
            at(second), pid=pid, comm=comm, waits_for="answer", peer_pid=peer,
            peer_comm={81: "proxy", SERVER: "vault"}[peer], transport="tcp",
            address="127.0.0.1", port=port, connections=2, waited_ms=1e3 * (second - since),
            shortest_ms=1e3 * (second - since),
        )
        for second in range(since + 1, until)
        for pid, comm, peer, port in ((CLIENT, "client", 81, 80), (81, "proxy", SERVER, 8080))
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("state", "frozen", "how"),
    [
        ("T", False, "was stopped by a signal"),
        ("S", True, "was stopped by the freezer of its control group"),
        ("D", True, "was stopped by the freezer of its control group"),
    ],
)
def test_requests_that_it_does_not_answer_show_it_through_a_proxy(tmp_path, state, frozen, how):
    still = sample(STOP, state)
    still.frozen = frozen
    (finding,) = answer(tmp_path, running(), [still], asked()).findings
    assert (finding.fault, finding.culprit.id) == STOPPED[0]
    assert {victim.name for victim in finding.victims} >= {"client", "proxy"}
    assert how in finding.path[-1].claim
    assert [step.claim for step in finding.path][:2] == [
        "client (80) waits for an answer of proxy (81) to 2 requests for 19.0 s",
        "proxy (81) waits for an answer of vault (70) to 2 requests for 19.0 s",
    ]
    thaws = "thaw" in finding.actions[0].text
    assert thaws == frozen


def test_questions_in_datagrams_that_it_does_not_answer_show_it(tmp_path):
    calls = [
        ServiceEdge(
            at(second), pid=CLIENT, comm="client", protocol="udp", address="127.0.0.1", port=53, server_pid=SERVER,
            server_comm="vault", requests=0, answers=0, in_flight=1, oldest_unanswered_ms=1e3 * (second % 5 + 1),
        )
        for second in range(STOP, LENGTH)
    ]  # fmt: skip
    (finding,) = answer(tmp_path, running(), [sample(STOP, "T")], calls).findings
    assert (finding.fault, finding.culprit.id) == STOPPED[0]
    assert [victim.name for victim in finding.victims] == ["client"]


def test_a_debugger_is_said_to_have_stopped_it(tmp_path):
    (finding,) = answer(tmp_path, running(), [sample(STOP, "t")], sockets(15, 25)).findings
    assert "stopped by a debugger" in finding.path[-1].claim
    assert "TracerPid" in finding.actions[0].text


def test_a_debugger_that_listens_for_those_who_use_it_makes_no_server_of_what_it_debugs(tmp_path):
    events = sockets(15, 25, listening=0), sockets(15, 25, pid=SHELL, unread=0)
    found = answer(tmp_path / "client", running(), [sample(STOP, "t")], *events)
    assert found.findings == ()
    assert against(found) == [(NOBODY,)]
    assert named(answer(tmp_path / "worker", running(), [sample(STOP, "t")], *events, waits())) == STOPPED


def test_it_may_have_been_stopped_before_anybody_looked(tmp_path):
    found = answer(tmp_path, sockets(0, 10, 20), [sample(0, "T")])
    assert named(found) == STOPPED
    assert found.findings[0].began_before


def test_the_state_may_have_been_stored_before_the_window(tmp_path):
    found = answer(tmp_path, running(5), [sample(5, "T")], sockets(0, 10, 20), start=START + 8 * SECOND)
    assert named(found) == STOPPED


def test_a_job_that_was_stopped_in_a_shell_is_no_fault(tmp_path):
    shell = waits(pid=SHELL, call="wait4")
    found = answer(tmp_path, running(), [sample(STOP, "T")], shell)
    assert found.findings == ()
    assert against(found) == [(NOBODY,)]


def test_a_download_that_was_stopped_is_no_fault(tmp_path):
    found = answer(tmp_path, running(), [sample(STOP, "T")], sockets(5, 15, 25, unread=90_000, listening=0))
    assert found.findings == ()


def test_a_worker_whose_parent_listens_serves_clients(tmp_path):
    events = sockets(15, 25, listening=0), sockets(15, 25, pid=SHELL, unread=0)
    assert named(answer(tmp_path, running(), [sample(STOP, "T")], *events)) == STOPPED


@pytest.mark.parametrize("others_run", [False, True])
def test_workers_that_were_stopped_while_they_idled_are_why_nobody_accepts_what_comes_to_their_parent(
    tmp_path, others_run
):
    master = [sample(second, "S", pid=SHELL, ppid=1, ticks=5) for second in range(LENGTH)]
    comes = [msgspec.structs.replace(row, pid=SHELL) for row in queue([0, 1, 1, 3, *[4] * 16])]
    sibling = [sample(second, "S", pid=71, ticks=8) for second in range(LENGTH if others_run else 0)]
    found = answer(tmp_path, running(), [sample(STOP, "T")], master, sibling, comes)
    assert named(found) == ([] if others_run else STOPPED)


def test_a_process_in_a_debugger_without_clients_is_no_fault(tmp_path):
    assert answer(tmp_path, running(), [sample(STOP, "t")], sockets(5, 15, 25, unread=0)).findings == ()


def test_who_is_traced_and_goes_on_is_not_stopped(tmp_path):
    traced = [sample(second, "t", spent=10 * second) for second in range(STOP, LENGTH)]
    found = answer(tmp_path, running(), traced, sockets(5, 15, 25))
    assert found.findings == ()
    assert against(found) == [("it has been stopped for some seconds and has not run meanwhile",)]


def test_who_has_gone_on_is_not_stopped(tmp_path):
    found = answer(tmp_path, running(), [sample(STOP, "T"), sample(20, "S", spent=900)], sockets(5, 15, 25))
    assert found.findings == ()
    assert against(found) == []


def test_who_was_stopped_and_ended_is_not_waited_for(tmp_path):
    gone = answer(tmp_path / "gone", running(), [sample(STOP, "T")], sockets(5, 12), others(5, 12, 22))
    assert gone.findings == ()
    given_away = [sample(STOP, "T"), sample(20, "R", ticks=99)]
    assert answer(tmp_path / "again", running(), given_away, sockets(15, 25)).findings == ()
