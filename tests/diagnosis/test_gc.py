"""A runtime that collects garbage most of the time is in trouble if its clients wait; one that makes much is not."""

from scenes import END, LENGTH, SECOND, START, cpus, stored

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import grounded
from kernelsight.events.process import Process
from kernelsight.events.scheduler import SchedProcess, Wait

SHOP, CLIENTS, FILLS = 70, (80, 81), 12


def shop(shares, mib=lambda _: 100.0):
    for second in range(LENGTH):
        ran_ms = 600.0
        yield SchedProcess(
            START + second * SECOND + 7, pid=SHOP, comm="shop", cpu_time_ms=ran_ms, runqueue_ms=5, cgroup_id=1,
            voluntary_switches=100, involuntary_switches=5, collector_cpu_ms=ran_ms * shares(second),
        )  # fmt: skip
        yield Process(
            START + second * SECOND + 8, pid=SHOP, ppid=1, comm="shop", state="S", start_ticks=7, threads=20,
            utime_ms=600 * second, anon_kb=int(1024 * mib(second)), rss_kb=int(1024 * mib(second)),
        )  # fmt: skip


def answers(ms):
    for second in range(LENGTH):
        for client in CLIENTS:
            count = max(1, int(500 / ms(second)))
            yield Wait(
                START + second * SECOND + 9, pid=client, comm="client", waker_pid=SHOP, waker_comm="shop",
                waker_context="softirq", waits_in="recvfrom", state="interruptible", count=count,
                wait_ns=int(count * ms(second) * 1e6), runqueue_ns=0, max_wait_ns=int(ms(second) * 1e6), cgroup_id=1,
            )  # fmt: skip


def found(tmp_path, *events):
    database = stored(tmp_path / "db", [*cpus(4), *(event for several in events for event in several)])
    diagnosis = diagnose(database, START, END)
    assert all(grounded(database, finding) for finding in diagnosis.findings)
    return [(one.fault, one.culprit.id) for one in diagnosis.findings]


def test_a_heap_that_is_nearly_full_is_found(tmp_path):
    shares = shop(lambda second: 0.9 if second >= FILLS else 0.1)
    assert found(tmp_path, shares, answers(lambda second: 200 if second >= FILLS else 10)) == [("gc_thrash", str(SHOP))]


def test_that_is_known_though_it_began_before_anybody_looked_if_no_client_is_known_to_be_slower(tmp_path):
    assert found(tmp_path, shop(lambda _: 0.9)) == [("gc_thrash", str(SHOP))]


def test_much_garbage_with_room_for_it_is_no_fault(tmp_path):
    shares = shop(lambda second: 0.55 if second >= FILLS else 0.2)
    assert found(tmp_path, shares, answers(lambda second: 14 if second >= FILLS else 10)) == []


def test_a_heap_that_still_grows_has_room(tmp_path):
    grows = shop(lambda second: 0.8 if second >= FILLS else 0.5, mib=lambda second: 100 + 20 * second)
    assert "gc_thrash" not in {fault for fault, _ in found(tmp_path, grows, answers(lambda _: 10))}
