"""Everything around a moment, and what changed between two windows."""

from __future__ import annotations

import pytest
from filled import SECOND, START, reader_of

from kernelsight.errors import UsageError
from kernelsight.events.block import Block
from kernelsight.events.memory import Memory
from kernelsight.events.syscalls import Syscall
from kernelsight.query import around, compare

MOMENT = START + 60 * SECOND


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """Two quiet minutes, but for ten seconds in which a disk is busy, memory goes and calls are slow."""
    events = []
    ticks = 0
    for i in range(120):
        at, bad = START + i * SECOND, 55 <= i < 65
        ticks += 950 if bad else 10
        events.append(Memory(at, mem_available_kb=100_000 if bad else 900_000, mem_total_kb=1_000_000))
        events.append(Block(at, device_name="sda", io_ticks=ticks, in_flight=0))
        if bad:
            events.append(Syscall(at + 5, pid=42, comm="db", syscall_name="fsync", latency_ns=400_000_000 + i))
    opened = reader_of(tmp_path_factory.mktemp("moments") / "db", events)
    yield opened
    opened.close()


def test_around_a_moment_are_the_rows_near_it(reader):
    found = around(reader, MOMENT, "5s", limit=3)
    assert (found["start_ns"], found["end_ns"]) == (MOMENT - 5 * SECOND, MOMENT + 5 * SECOND)
    by_table = {near["table"]: near for near in found["tables"]}
    assert set(by_table) == {"memory_metrics", "block_stats", "syscall_events"}
    calls = by_table["syscall_events"]
    assert calls["rows"] == 10
    assert calls["nearest"][0]["timestamp"] == MOMENT + 5
    assert [row["latency_ns"] for row in calls["largest"]] == sorted(
        (row["latency_ns"] for row in calls["largest"]), reverse=True
    )
    assert len(calls["nearest"]) <= 3


def test_around_a_moment_says_what_changed_there(reader):
    changed = {(change["table"], change["metric"]) for change in around(reader, MOMENT, "4s")["changed"]}
    assert {("memory_metrics", "mem_available_kb"), ("block_stats", "io_ticks")} <= changed
    assert ("memory_metrics", "mem_total_kb") not in changed


def test_a_moment_with_nothing_near_is_an_empty_answer(reader):
    assert around(reader, START - 3600 * SECOND, "5s")["tables"] == []


def test_compare_puts_first_what_left_its_range_and_leaves_out_what_did_not(reader):
    found = compare(reader, (START, START + 50 * SECOND), (START + 55 * SECOND, START + 64 * SECOND))
    assert {(found[i]["table"], found[i]["metric"]) for i in range(3)} & {("block_stats", "io_ticks")}
    busy = next(change for change in found if change["metric"] == "io_ticks")
    assert busy["before"] == pytest.approx(10.0)
    assert busy["after"] == pytest.approx(950.0, rel=0.05)
    assert busy["factor"] == pytest.approx(busy["after"] / busy["before"])
    assert busy["entity"] == {"device_name": "sda"}
    calls = next(change for change in found if change["table"] == "syscall_events" and change["metric"] == "rows/s")
    assert (calls["before"], calls["entity"]) == (0.0, {"comm": "db"})
    assert "mem_total_kb" not in {change["metric"] for change in found}
    assert [change["score"] for change in found] == sorted((c["score"] for c in found), reverse=True)


def test_two_windows_alike_differ_in_nothing(reader):
    assert compare(reader, (START, START + 25 * SECOND), (START + 26 * SECOND, START + 51 * SECOND)) == []


def test_limits_are_numbers_of_things(reader):
    with pytest.raises(UsageError, match="limit"):
        compare(reader, (START, MOMENT), (MOMENT, MOMENT + SECOND), limit=-1)
    assert compare(reader, (START, START + 50 * SECOND), (MOMENT, MOMENT + 4 * SECOND), limit=1)[1:] == []
