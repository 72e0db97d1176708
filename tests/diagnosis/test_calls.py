"""Services whose answers take longer than before: the one at which it ends is named, and what is usual is no fault."""

import pytest
from scenes import END, LENGTH, SECOND, START, cpus, stored, used

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import grounded
from kernelsight.events.service import ServiceEdge

CLIENTS, FRONT, BEHIND, LATER = (81, 82), 60, 50, 12


def calls(client, server, ms, *, port, address="127.0.0.1"):
    """The calls of a client, each after the other, that take so much by the second."""
    for second in range(LENGTH):
        count = max(1, int(1000 / ms(second)))
        yield ServiceEdge(
            START + second * SECOND + 9, pid=client, comm=f"program{client}", protocol="tcp", address=address,
            port=port, server_pid=server, server_comm=server and f"program{server}", requests=count, answers=count,
            latency_us=1e3 * ms(second) * count, latency_count=count, in_flight=1, connections=1, streams=0,
        )  # fmt: skip


def found(tmp_path, *events):
    database = stored(tmp_path / "db", [*cpus(4), *(event for several in events for event in several)])
    diagnosis = diagnose(database, START, END)
    assert all(grounded(database, finding) for finding in diagnosis.findings)
    return diagnosis.findings


def later(ms):
    return lambda second: ms if second >= LATER else 5


def front(ms):
    return [row for client in CLIENTS for row in calls(client, FRONT, ms, port=80)]


def test_a_service_that_answers_late_is_found_behind_the_one_that_needs_it(tmp_path):
    (finding,) = found(
        tmp_path, front(later(900)), calls(FRONT, BEHIND, later(890), port=8080), used(BEHIND, "b", 3, 0)
    )
    assert (finding.fault, finding.culprit.id) == ("slow_dependency", str(BEHIND))
    assert [step.claim for step in finding.path] == [
        "program81 (81) waits 900 ms for an answer of program60 (60), and 5 ms before",
        "program82 (82) waits 900 ms for an answer of program60 (60), and 5 ms before",
        "program60 (60) waits 890 ms for an answer of b (50), and 5 ms before",
    ]


def test_another_machine_that_answers_late_is_named_by_address_and_port(tmp_path):
    far = calls(FRONT, None, later(890), port=5432, address="10.0.0.9")
    (finding,) = found(tmp_path, front(later(900)), far)
    assert (finding.fault, finding.culprit.id) == ("slow_dependency", "10.0.0.9:5432")


def test_what_always_took_as_long_is_meant_to(tmp_path):
    assert not found(tmp_path, front(lambda _: 3000), calls(FRONT, BEHIND, lambda _: 2900, port=8080))


def test_a_single_client_may_ask_for_more_than_before(tmp_path):
    assert not found(tmp_path, calls(81, FRONT, later(2000), port=80))


def test_a_service_that_computes_is_not_late_for_something_unseen(tmp_path):
    events = front(later(900)), used(FRONT, "front", 990, 0)
    assert "slow_dependency" not in {finding.fault for finding in found(tmp_path, *events)}


def test_workers_whose_queue_has_run_empty_wait_for_jobs(tmp_path):
    assert not found(tmp_path, front(later(4000)), used(FRONT, "queue", 2, 0))


@pytest.mark.parametrize(("answers", "is_found"), [(0, True), (1, False)])
def test_a_resolver_that_never_answers_is_known_without_a_past(tmp_path, answers, is_found):
    rows = [
        ServiceEdge(
            START + second * SECOND + 9, pid=client, comm=f"program{client}", protocol="udp", address="10.0.0.9",
            port=53, requests=second % 5 == 0, answers=answers, latency_us=3e6 * answers, latency_count=answers,
            in_flight=1, oldest_unanswered_ms=1e3 * (second % 5 + 0.5),
        )
        for client in CLIENTS
        for second in range(LENGTH)
    ]  # fmt: skip
    named = [(finding.fault, finding.culprit.id) for finding in found(tmp_path, rows)]
    assert named == ([("slow_dependency", "10.0.0.9:53")] if is_found else [])
