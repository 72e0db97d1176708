"""A server that computes in its one thread is told from all that are as busy and keep nobody waiting."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scenes import END, FROM, LENGTH, SECOND, START, cpus, stored, used

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import check
from kernelsight.events.declare import Event
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Wait
from kernelsight.events.service import ServiceStats

SERVER, CLIENT, OTHER, NEWCOMER = 10, 20, 21, 22
NAMES = {SERVER: "server", CLIENT: "client", OTHER: "other", NEWCOMER: "newcomer"}


def waits(
    pid: int, whom: int, ms: float, count: int, seconds: range, *, call: str = "recvfrom", context: str = "softirq"
) -> Iterator[Event]:
    """Waits of a process that another one ends, so many a second."""
    for second in seconds:
        yield Wait(
            START + second * SECOND + 7, pid=pid, comm=NAMES[pid], waker_pid=whom, waker_comm=NAMES[whom],
            waker_context=context, waits_in=call, state="interruptible", count=count, wait_ns=int(count * ms * 1e6),
            runqueue_ns=1000,
        )  # fmt: skip


QUIET, BUSY = range(FROM), range(FROM, LENGTH)


def asks(pid: int, ms: float, ms_before: float = 2.0, **how: str) -> Iterator[Event]:
    """A client that asks fifty times a second, and from a second on as often as it is answered."""
    yield from waits(pid, SERVER, ms_before, 50, QUIET, **how)
    yield from waits(SERVER, pid, 5, 50, QUIET, call="epoll_wait")
    yield from waits(pid, SERVER, ms, max(int(1000 / ms), 1), BUSY, **how)


def computes(ran_ms: float = 970, queued_ms: float = 5, since: int = FROM) -> Iterator[Event]:
    """A server that does little until it computes all the time, on a machine with four CPUs."""
    yield from cpus(4)
    if since:
        yield from used(SERVER, "server", 20, 1, slept=100)
    yield from used(SERVER, "server", ran_ms, queued_ms, since=since, slept=4)


def test_a_server_that_computes_keeps_its_clients_waiting_and_who_is_new_may_ask_for_it(tmp_path):
    newcomer = waits(NEWCOMER, SERVER, 400, 2, BUSY)
    database = stored(tmp_path / "db", [*computes(), *asks(CLIENT, 400), *asks(OTHER, 400), *newcomer])
    found = diagnose(database, START, END)
    [finding] = found.findings
    assert (finding.fault, finding.culprit.id) == ("thread_saturation", str(SERVER))
    assert [victim.id for victim in finding.victims] == [str(CLIENT), str(OTHER)]
    assert finding.onset_ns // SECOND == START // SECOND + FROM
    claims = [step.claim for step in finding.path]
    assert "client (20) waited 400 ms for each answer of server (10), and 2 ms before" in claims
    assert "newcomer (22) asked server (10) for something in this time, and not before" in claims
    assert check(database, found) == []


@pytest.mark.parametrize(("queue_ms", "is_found"), [(600, True), (2, False)])
def test_requests_that_lie_unread_show_it_though_nothing_is_known_from_before(tmp_path, queue_ms, is_found):
    always = range(LENGTH)
    stats = [
        ServiceStats(
            START + second * SECOND + 9, protocol="tcp", address="127.0.0.1", port=80, pid=SERVER, comm="server",
            requests=4, answers=4, in_flight=3, unread=2, queue_p50_us=1e3 * queue_ms, latency_p50_us=9e5,
        )
        for second in always
    ]  # fmt: skip
    clients = [*waits(CLIENT, SERVER, 400, 2, always), *waits(OTHER, SERVER, 400, 2, always)]
    database = stored(tmp_path / "db", [*computes(since=0), *clients, *stats])
    found = {(finding.fault, finding.culprit.id) for finding in diagnose(database, START, END).findings}
    assert (("thread_saturation", str(SERVER)) in found) == is_found


def two(ms: float, ms_before: float = 2.0, **how: str) -> list[Event]:
    return [*asks(CLIENT, ms, ms_before, **how), *asks(OTHER, ms, ms_before, **how)]


UNLIKE = {
    "a benchmark that is answered at once": [*computes(), *two(0.6, 0.6)],
    "a server that is as fast as it can, for clients that wait twice as long": [*computes(), *two(8, 4)],
    "readers of results that take as long as ever": [*computes(), *two(400, 390)],
    "a single client that asks for more": [*computes(), *asks(CLIENT, 400)],
    "others take the CPU": [*computes(500, 490), *two(400)],
    "receivers of what nobody asks for": [
        *computes(),
        *(event for event in two(400) if not (isinstance(event, Wait) and event.pid == SERVER)),
    ],
    "there from the beginning": [
        *computes(since=0),
        *(event for pid in (CLIENT, OTHER) for event in waits(pid, SERVER, 400, 2, range(LENGTH))),
    ],
}


@pytest.mark.parametrize("events", UNLIKE.values(), ids=UNLIKE)
def test_who_is_as_busy_and_does_no_harm_is_not_accused(tmp_path, events):
    database = stored(tmp_path / "db", events)
    found = diagnose(database, START, END)
    assert [finding.fault for finding in found.findings if finding.fault == "thread_saturation"] == []
    assert any(out.fault == "thread_saturation" and out.against for out in found.ruled_out)


def relatives(parent: int, *children: int) -> Iterator[Event]:
    for second in range(LENGTH):
        for child in children:
            yield Process(START + second * SECOND + 7, pid=child, ppid=parent, comm=NAMES[child], start_ticks=1)


NO_SUSPECT = {
    "ends of a pipe": [*computes(), *two(400, call="read", context="task")],
    "who polls, and it is not known what": [*computes(), *two(400, call="poll", context="task")],
    "clients of a server that waits for something itself": [*computes(300, 5), *two(400)],
    "children": [*computes(), *two(400), *relatives(SERVER, CLIENT, OTHER)],
    "parent": [*computes(), *asks(CLIENT, 400), *relatives(CLIENT, SERVER)],
}


@pytest.mark.parametrize("events", NO_SUSPECT.values(), ids=NO_SUSPECT)
def test_who_waits_for_other_reasons_makes_nobody_a_suspect(tmp_path, events):
    found = diagnose(stored(tmp_path / "db", events), START, END)
    assert "thread_saturation" not in [one.fault for one in (*found.findings, *found.ruled_out)]


def test_a_client_of_a_local_socket_is_known_by_its_call(tmp_path):
    events = [*computes(), *two(400, call="recvmsg", context="task")]
    [finding] = diagnose(stored(tmp_path / "db", events), START, END).findings
    assert finding.fault == "thread_saturation"


def answers(a_second: int, second: int, unread: int) -> ServiceStats:
    return ServiceStats(
        START + second * SECOND + 9, protocol="tcp", address="127.0.0.1", port=80, pid=SERVER, comm="server",
        requests=a_second, answers=a_second, in_flight=unread + 1, unread=unread,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("now", "unread", "is_found"),
    [
        pytest.param(3, 3, True, id="it computes for each answer, and others take its CPU"),
        pytest.param(1000, 3, False, id="others take its CPU, and an answer is as little work as before"),
        pytest.param(3, 0, False, id="a single client that asks for more"),
    ],
)
def test_a_server_behind_a_proxy_whose_answers_take_more_work_though_others_take_its_cpu(
    tmp_path, now, unread, is_found
):
    stats = [answers(50 if second < FROM else now, second, 0 if second < FROM else unread) for second in range(LENGTH)]
    ran = {"ran_ms": 450, "queued_ms": 500}
    database = stored(tmp_path / "db", [*computes(**ran), *asks(CLIENT, 400), *stats])
    found = {(finding.fault, finding.culprit.id) for finding in diagnose(database, START, END).findings}
    assert (("thread_saturation", str(SERVER)) in found) == is_found
