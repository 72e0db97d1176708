"""As-of joins against the same done by brute force, and what an index serves."""

from __future__ import annotations

import statistics

import pytest
from filled import SECOND, START, reader_of
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelsight.errors import UsageError
from kernelsight.events.memory import Memory
from kernelsight.events.syscalls import Syscall
from kernelsight.query import asof_join, correlate
from kernelsight.query import correlate as correlate_function
from kernelsight.stores.base import Reader

A, B = "syscall.latency_ns", "memory.mem_available_kb"
END = START + 1000 * SECOND


def brute_force(left, right, tolerance, direction):
    """The value of ``right`` nearest to each time of ``left``; of two equally near the earlier."""
    found = []
    for at in left:
        allowed = [
            (abs(time - at), time)
            for time in right
            if abs(time - at) <= tolerance
            and not (direction == "before" and time > at)
            and not (direction == "after" and time < at)
        ]
        found.append(min(allowed)[1] if allowed else None)
    return found


@given(
    left=st.lists(st.integers(0, 60), min_size=1, max_size=30, unique=True),
    right=st.lists(st.integers(0, 60), max_size=30, unique=True),
    tolerance=st.integers(0, 20),
    direction=st.sampled_from(["nearest", "before", "after"]),
)
@settings(max_examples=60, deadline=None)
def test_a_join_is_what_brute_force_finds(stretches, left, right, tolerance, direction):
    left, right = sorted(left), sorted(right)
    start, end = stretches.next()
    stretches.add(Syscall(start + at, pid=1, latency_ns=at) for at in left)
    stretches.add(Memory(start + at, mem_available_kb=at) for at in right)
    found = asof_join(stretches.reader, A, B, start, end, tolerance=tolerance, direction=direction)
    assert [row["a"] for row in found] == left
    assert [row["b"] for row in found] == brute_force(left, right, tolerance, direction)


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """Latency that grows as memory shrinks, once a second, and one call with nothing near."""
    events = [Memory(START + i * SECOND, mem_available_kb=1000 - 3 * i) for i in range(100)]
    events += [Syscall(START + i * SECOND + 7, pid=i % 2, comm=f"p{i % 2}", latency_ns=50 + 6 * i) for i in range(100)]
    events.append(Syscall(START + 500 * SECOND, pid=9, comm="late", latency_ns=1))
    opened = reader_of(tmp_path_factory.mktemp("correlate") / "db", events)
    yield opened
    opened.close()


def test_a_correlation_says_how_two_metrics_move_together(reader):
    [row] = correlate(reader, A, B, START, END)
    assert (row["pairs"], row["unmatched"]) == (100, 1)
    assert row["r"] == pytest.approx(-1.0)
    assert row["slope"] == pytest.approx(-2.0)
    assert row["avg_b"] == pytest.approx(statistics.mean(1000 - 3 * i for i in range(100)))


def test_a_correlation_by_process_has_one_answer_each(reader):
    found = {row["comm"]: row for row in correlate(reader, A, B, START, END, by=["comm"])}
    assert found["p0"]["pairs"] == found["p1"]["pairs"] == 50
    assert (found["late"]["pairs"], found["late"]["unmatched"], found["late"]["r"]) == (0, 1, None)


@pytest.mark.parametrize(("a", "said"), [("latency_ns", "table and a metric"), ("syscall.comm", "not a number")])
def test_what_cannot_be_correlated_is_refused(reader, a, said):
    with pytest.raises(UsageError, match=said):
        correlate_function(reader, a, B, START, END)


def test_a_join_of_less_than_nothing_is_refused(reader):
    assert asof_join(reader, A, B, START, END, limit=0) == []
    with pytest.raises(UsageError, match="limit -1"):
        asof_join(reader, A, B, START, END, limit=-1)


def test_the_join_seeks_by_time_and_never_compares_all_with_all(reader: Reader):
    relation, params = reader.relation("memory_metrics", START + SECOND, START + 2 * SECOND, ["timestamp"])
    plan = reader.query(f"EXPLAIN QUERY PLAN SELECT * FROM {relation} AS near", params)
    details = " ".join(str(row["detail"]) for row in plan)
    assert "SEARCH" in details
    assert "SCAN" not in details.replace("SCAN near", "")
