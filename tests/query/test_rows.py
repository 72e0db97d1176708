"""Rows by time, conditions on them, and the most of something."""

from __future__ import annotations

import pytest
from filled import SECOND, START, reader_of

from kernelsight.errors import StoreError, UsageError
from kernelsight.events.memory import PageFault
from kernelsight.events.process import Process
from kernelsight.events.syscalls import Syscall
from kernelsight.query import Condition, aggregate, correlate, percentiles, rows, top

ADDRESS = 0xFFFF_8000_0000_1000


def calls():
    for i in range(10):
        yield Syscall(START + i * SECOND, pid=i % 3, syscall_name="read", latency_ns=(i + 1) * 10**7, comm=f"p{i % 3}")
    yield Syscall(START + 10 * SECOND, pid=7, syscall_name="fsync", comm="no'; DROP TABLE syscall_events; --")


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    faults = [PageFault(START, pid=1, address=ADDRESS - 2**64, user_mode=True, fault_type="major")]
    growing = [
        Process(START + i * SECOND, pid=5, start_ticks=1, comm="x", rss_kb=i, utime_ms=100 * i) for i in range(5)
    ]
    reader = reader_of(tmp_path_factory.mktemp("rows") / "rows.db", [*calls(), *faults, *growing])
    yield reader
    reader.close()


def test_both_ends_of_a_range_belong_to_it(reader):
    found = rows(reader, "syscall_events", START + 2 * SECOND, START + 4 * SECOND)
    assert [row["latency_ns"] for row in found] == [3 * 10**7, 4 * 10**7, 5 * 10**7]
    assert found[0]["time"] == "2026-09-21T14:13:22+00:00"
    assert rows(reader, "syscall", START - 5 * SECOND, START - 1) == []


def test_a_table_may_be_named_by_its_kind_and_a_wrong_name_is_helped(reader):
    assert rows(reader, "syscall", 0) == rows(reader, "syscall_events", 0)
    with pytest.raises(UsageError, match="did you mean syscall_event"):
        rows(reader, "syscal_events", 0)
    with pytest.raises(UsageError, match="did you mean latency_ns"):
        rows(reader, "syscall", 0, where=["latency_n>5"])


@pytest.mark.parametrize(
    ("where", "count"),
    [
        (["latency_ns>=90ms"], 2),
        (["latency_ns<=20ms", "pid=1"], 1),
        ({"pid": [0, 7]}, 5),
        (["comm like p%"], 10),
        ({"latency_ns": None}, 1),
        ([Condition("latency_ns", "!=", None)], 10),
        ([Condition("comm", "=", "no'; DROP TABLE syscall_events; --")], 1),
    ],
)
def test_conditions(reader, where, count):
    assert len(rows(reader, "syscall", 0, where=where)) == count
    assert len(rows(reader, "syscall", 0)) == 11


@pytest.mark.parametrize(
    "where",
    [
        ["latency_ns"],
        ["latency_ns>soon"],
        {"pid": []},
        [Condition("pid", "<", None)],
        [Condition("pid", "= 1 OR 1 =", 1)],
    ],
)
def test_a_condition_that_makes_no_sense_is_refused(reader, where):
    with pytest.raises(UsageError, match=r"latency_ns|pid"):
        rows(reader, "syscall", 0, where=where)


def test_order_and_limit_put_what_is_unknown_last(reader):
    found = rows(reader, "syscall", 0, order_by="latency_ns", descending=True, limit=2, columns=["latency_ns"])
    assert [row["latency_ns"] for row in found] == [10 * 10**7, 9 * 10**7]
    assert set(found[0]) == {"timestamp", "time", "latency_ns"}
    assert rows(reader, "syscall", 0, order_by="latency_ns")[-1]["latency_ns"] is None
    assert rows(reader, "syscall", 0, limit=0) == []
    with pytest.raises(UsageError, match="limit"):
        rows(reader, "syscall", 0, limit=-1)


def test_addresses_come_out_unsigned_flags_as_bool_and_both_can_be_asked_for(reader):
    [fault] = rows(reader, "page_fault", 0, where=[f"address={ADDRESS:#x}", "user_mode=true"])
    assert fault["address"] == ADDRESS
    assert fault["user_mode"] is True


ADDRESSES = [0, 5, 2**47, 2**63 - 1, 2**63, ADDRESS, 2**64 - 1]


@pytest.fixture(scope="module")
def faults(tmp_path_factory):
    events = [PageFault(START + n, pid=n, address=a - 2**64 if a >= 2**63 else a) for n, a in enumerate(ADDRESSES)]
    reader = reader_of(tmp_path_factory.mktemp("faults") / "rows.db", events)
    yield reader
    reader.close()


@pytest.mark.parametrize("limit", [5, 2**63 - 1, 2**63, ADDRESS])
@pytest.mark.parametrize("operator", ["=", "!=", "<", "<=", ">", ">="])
def test_unsigned_columns_are_ordered_as_what_they_mean(faults, operator, limit):
    holds = {"=": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}[operator]
    wanted = [address for address in ADDRESSES if getattr(address, f"__{holds}__")(limit)]
    for condition in (Condition("address", operator, limit), f"address {operator} {limit:#x}"):
        found = rows(faults, "page_fault", 0, where=[condition, "pid >= 0"])
        assert [row["address"] for row in found] == wanted


def test_one_column_may_be_named_without_a_list(reader):
    assert set(rows(reader, "syscall", 0, columns="pid", limit=1)[0]) == {"timestamp", "time", "pid"}
    assert {row["pid"] for row in top(reader, "syscall", "latency_ns", 0, by="pid")} == {0, 1, 2}
    assert {row["pid"] for row in percentiles(reader, "syscall", "latency_ns", 0, by="pid")} == {0, 1, 2}
    assert {row["pid"] for row in aggregate(reader, "syscall", "latency_ns", 0, by="pid")} == {0, 1, 2, 7}
    assert {row["pid"] for row in correlate(reader, "syscall.latency_ns", "process.rss_kb", 0, by="pid")} == {0, 1, 2}


@pytest.mark.parametrize("n", [-1, 2**64])
def test_the_top_is_a_number_of_rows_or_groups(reader, n):
    with pytest.raises(UsageError, match="the top"):
        top(reader, "syscall", "latency_ns", 0, by="pid", n=n)


def test_the_top_rows_and_the_top_groups(reader):
    assert [row["latency_ns"] for row in top(reader, "syscall", "latency_ns", 0, n=2)] == [10 * 10**7, 9 * 10**7]
    [first, *_] = top(reader, "syscall", "latency_ns", 0, by=("pid", "comm"), function="sum")
    assert (first["pid"], first["comm"], first["value"]) == (0, "p0", (1 + 4 + 7 + 10) * 10**7)
    assert (first["count"], first["max"], first["avg"]) == (4, 10 * 10**7, first["sum"] / 4)


def test_the_top_of_a_counter_is_its_increase(reader):
    [only] = top(reader, "process", "utime_ms", 0, by="pid")
    assert (only["value"], only["avg"], only["count"]) == (400, 100.0, 4)


def test_what_is_no_number_has_no_top(reader):
    with pytest.raises(UsageError, match="not a number"):
        top(reader, "syscall", "comm", 0)


def test_a_store_may_be_named_by_its_path_and_must_be_there(tmp_path):
    path = tmp_path / "store.db"
    reader_of(path, calls()).close()
    assert len(rows(path, "syscall", 0)) == len(rows(str(path), "syscall", 0)) == 11
    with pytest.raises(StoreError, match="no such database"):
        rows(tmp_path / "none.db", "syscall", 0)
