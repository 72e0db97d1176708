"""The documented queries: their arguments, keys, order and units."""

from __future__ import annotations

from datetime import datetime

import pytest
from filled import SECOND, START, reader_of

from kernelsight.errors import UsageError
from kernelsight.events.block import Block, IoLatency
from kernelsight.events.memory import Memory
from kernelsight.events.network import Network
from kernelsight.events.syscalls import Syscall
from kernelsight.events.tcp import Tcp, TcpRetransmit
from kernelsight.query import documented as asked

MB = 1024 * 1024


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    events = [
        Syscall(START + 1, pid=1, tid=1, comm="a", syscall_name="read", latency_ns=60_000_000, is_error=False),
        Syscall(START + 2, pid=1, tid=2, comm="a", syscall_name="fsync", latency_ns=20_000_000, is_error=True),
        Syscall(START + 3, pid=2, tid=3, comm="b", syscall_name="read", latency_ns=90_000_000, is_error=False),
        IoLatency(
            START, device="sda", read_count=4, read_bytes=2 * MB, read_p95_us=900.0, write_count=0, write_bytes=0
        ),
    ]
    for i in range(4):
        at = START + i * SECOND
        events += [
            Memory(at, mem_total_kb=1000, mem_available_kb=800 - 100 * i, swap_total_kb=50, swap_free_kb=50 - i),
            Network(at, interface_name="eth0", rx_bytes=i * 3 * MB, tx_bytes=i * MB, rx_packets=i),
            Block(at, device_name="sda", read_ios=10 * i, read_sectors=2048 * i, read_ticks=50 * i, io_ticks=500 * i),
            Tcp(at, established=2, time_wait=i, listen=1),
            TcpRetransmit(at, retrans_segs=i, out_segs=100 * i),
        ]
    opened = reader_of(tmp_path_factory.mktemp("documented") / "db", events)
    yield opened
    opened.close()


START_TIME, END_TIME = (datetime.fromtimestamp(START // SECOND + s) for s in (0, 10))  # noqa: DTZ006 - naive: local


def test_slow_calls_come_slowest_first_and_above_a_latency(db):
    found = asked.query_syscalls_by_timerange(db, START_TIME, END_TIME, min_latency_ms=50, limit=10)
    assert [(row["comm"], row["syscall_name"], row["latency_ms"]) for row in found] == [
        ("b", "read", 90.0),
        ("a", "read", 60.0),
    ]
    assert found[0]["time"].startswith("2026-09-21 14:13:20")
    assert len(asked.query_syscalls_by_timerange(db, START_TIME, END_TIME, 0, 1)) == 1


def test_top_processes_by_latency_on_average(db):
    found = asked.query_top_processes_by_syscall_latency(db, START_TIME, END_TIME, limit=5)
    assert found == [
        {"comm": "b", "pid": 2, "syscall_count": 1, "avg_latency_ms": 90.0, "max_latency_ms": 90.0, "error_count": 0},
        {"comm": "a", "pid": 1, "syscall_count": 2, "avg_latency_ms": 40.0, "max_latency_ms": 60.0, "error_count": 1},
    ]


def test_io_percentiles(db):
    [row] = asked.query_io_latency_percentiles(db, START_TIME, END_TIME)
    assert (row["device"], row["read_mb"], row["read_p95_us"], row["write_p95_us"]) == ("sda", 2.0, 900.0, None)


def test_memory_with_swap_used_and_means_of_intervals(db):
    found = asked.query_memory_stats(db, START_TIME, END_TIME)
    assert [(row["swap_used_kb"], row["mem_used_pct"]) for row in found] == [(0, 20), (1, 30), (2, 40), (3, 50)]
    [first, second] = asked.query_memory_stats(db, START_TIME, END_TIME, sample_interval_sec=2)
    assert (first["mem_available_kb"], second["mem_available_kb"]) == (750.0, 550.0)
    with pytest.raises(UsageError, match="sample_interval_sec"):
        asked.query_memory_stats(db, START_TIME, END_TIME, 0)


def test_bandwidth_has_totals_and_rates_of_one_interface(db):
    found = asked.query_network_bandwidth(db, "eth0", START_TIME, END_TIME)
    assert [(row["rx_mb"], row["rx_mb_s"], row["tx_mb_s"]) for row in found] == [
        (0, None, None),
        (3, 3, 1),
        (6, 3, 1),
        (9, 3, 1),
    ]
    assert asked.query_network_bandwidth(db, "eth1", START_TIME, END_TIME) == []


def test_block_io_has_latencies_of_all_time_and_of_the_interval(db):
    first, second, *_ = asked.query_block_io_summary(db, "sda", START_TIME, END_TIME)
    assert (first["avg_read_latency_ms"], first["interval_read_latency_ms"]) == (0.0, None)
    assert (second["avg_read_latency_ms"], second["interval_read_latency_ms"]) == (5.0, 5.0)
    assert (second["read_mb"], second["read_mb_s"], second["busy_pct"]) == (1.0, 1.0, 50.0)


def test_tcp_connections_add_up_and_retransmits_are_a_share(db):
    assert [row["total_connections"] for row in asked.query_tcp_connection_summary(db, START_TIME, END_TIME)] == [
        3,
        4,
        5,
        6,
    ]
    assert [row["retransmit_pct"] for row in asked.query_tcp_retransmits(db, START_TIME, END_TIME)] == [None, 1, 1, 1]


def test_timestamps_are_exact_to_the_microsecond():
    assert asked.get_timestamp_ns(START_TIME.replace(microsecond=123_456)) == START + 123_456_000


def test_a_limit_of_none_is_none(db):
    every = asked.query_syscalls_by_timerange(db, START_TIME, END_TIME, limit=None)
    assert every == asked.query_syscalls_by_timerange(db, START_TIME, END_TIME)


@pytest.mark.parametrize(
    "wrong", [{"limit": -1}, {"limit": 2**64}, *({"min_latency_ms": ms} for ms in (float("nan"), float("inf"), 1e300))]
)
def test_limits_that_make_no_sense_are_refused(db, wrong):
    with pytest.raises(UsageError):
        asked.query_syscalls_by_timerange(db, START_TIME, END_TIME, **wrong)


@pytest.mark.parametrize("seconds", [-1, 1e-12, float("nan"), float("inf")])
def test_an_interval_of_nothing_is_refused(db, seconds):
    with pytest.raises(UsageError, match="more than 0"):
        asked.query_load_stats(db, START_TIME, END_TIME, seconds)
