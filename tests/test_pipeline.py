"""The documented pipeline, piece by piece and end to end, through its documented names.

    python tests/test_pipeline.py

Also run by pytest with all other tests.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import unittest
from datetime import datetime, timedelta
from pathlib import Path

import pipeline_path

# isort: split
from db_manager import DatabaseManager
from event_parsers import EventType, identify_event_type, normalize_event, parse_json_line
from query_utils import (
    get_timestamp_ns,
    query_block_io_summary,
    query_io_latency_percentiles,
    query_memory_stats,
    query_network_bandwidth,
    query_syscalls_by_timerange,
    query_tcp_connection_summary,
    query_top_processes_by_syscall_latency,
)

NOON = datetime(2026, 11, 23, 12, 0, 0)  # noqa: DTZ001 - naive times are local, as the documentation has them
NOON_NS = get_timestamp_ns(NOON)
BEFORE, AFTER = NOON - timedelta(hours=1), NOON + timedelta(hours=1)

# One event of each documented type, in our words.
EVENTS = {
    EventType.SYSCALL: {"pid": 7, "tid": 8, "syscall_nr": 74, "syscall_name": "fsync", "latency_ns": 20_000_000},
    EventType.PAGE_FAULT: {"pid": 7, "address": 4096, "fault_type": "major", "latency_ns": 900_000},
    EventType.IO_LATENCY: {"read_count": 10, "read_bytes": 40_960, "read_p50_us": 100.0, "write_count": 0},
    EventType.SCHED: {"pid": 7, "latency_ns": 9_000_000, "prev_state": 0, "next_pid": 7},
    EventType.MEMORY: {"mem_total_kb": 1000, "mem_available_kb": 400, "mem_free_kb": 100},
    EventType.LOAD: {"load_1min": 1.5, "load_5min": 1.0, "load_15min": 0.5},
    EventType.BLOCK: {"device_name": "sda", "read_ios": 10, "write_ios": 0},
    EventType.NETWORK: {"interface_name": "eth0", "rx_bytes": 10, "tx_bytes": 20},
    EventType.TCP: {"established": 3, "syn_sent": 0, "listen": 2},
    EventType.TCP_RETRANS: {"retrans_segs": 12},
}


class EventParsing(unittest.TestCase):
    def test_each_type_is_known_by_its_fields_alone(self) -> None:
        for wanted, fields in EVENTS.items():
            with self.subTest(wanted):
                assert identify_event_type({"timestamp": NOON_NS, **fields}) is wanted

    def test_partial_events_are_identified_by_what_they_have(self) -> None:
        slow = {"timestamp": NOON_NS, "syscall": 1, "latency_ms": 15.5}
        disk = {"timestamp": NOON_NS, "read_count": 100, "read_p50_us": 1.5}
        assert identify_event_type(slow) is EventType.SYSCALL
        assert identify_event_type(disk) is EventType.IO_LATENCY

    def test_wrapped_events_are_identified(self) -> None:
        wrapped = {"timestamp": NOON_NS, "type": "meminfo", "data": {"mem_total_kb": 5, "mem_free_kb": 1}}
        assert identify_event_type(wrapped) is EventType.MEMORY

    def test_where_no_field_says_anything_the_word_counts(self) -> None:
        words = {"syscall": "SYSCALL", "pagefault": "PAGE_FAULT", "io": "IO_LATENCY", "sched": "SCHED"}
        words |= {"meminfo": "MEMORY", "loadavg": "LOAD", "blockstats": "BLOCK", "net_interface": "NETWORK"}
        words |= {"tcp_stats": "TCP", "tcp_retransmits": "TCP_RETRANS", "vmstat": "UNKNOWN", "toaster": "UNKNOWN"}
        for word, wanted in words.items():
            for event in ({"type": word}, {"event_type": word.upper(), "timestamp": 1, "data": {}}):
                with self.subTest(event):
                    assert identify_event_type(event) is EventType[wanted]

    def test_what_is_of_no_type_is_unknown(self) -> None:
        for event in ({}, {"timestamp": NOON_NS}, {"timestamp": NOON_NS, "colour": "red"}):
            with self.subTest(event):
                assert identify_event_type(event) is EventType.UNKNOWN

    def test_the_sums_of_a_process_are_scheduler_events_too(self) -> None:
        sums = {"timestamp": NOON_NS, "pid": 7, "context_switches": 9, "voluntary_switches": 4}
        assert identify_event_type(sums) is EventType.SCHED

    def test_a_line_gives_its_type_and_the_event_as_it_stands(self) -> None:
        event = {"timestamp": NOON_NS, "syscall": 1, "latency_ms": 15.5}
        assert parse_json_line(json.dumps(event)) == (EventType.SYSCALL, event)

    def test_a_line_that_is_no_object_gives_none(self) -> None:
        for line in ("not json", "", "[1, 2]", "12", '{"timestamp": 1', "null", "[" * 100_000):
            with self.subTest(line[:20]):
                assert parse_json_line(line) is None

    def test_milliseconds_and_microseconds_become_latency_ns(self) -> None:
        for fields, latency_ns in (({"latency_ms": 15.5}, 15_500_000), ({"latency_us": 2.5}, 2_500)):
            for event_type in (EventType.SYSCALL, EventType.PAGE_FAULT, EventType.SCHED):
                with self.subTest(event_type, fields=fields):
                    event = {"timestamp": NOON_NS, "pid": 7, **fields}
                    assert normalize_event(event_type, event)["latency_ns"] == latency_ns

    def test_normalising_keeps_the_callers_event(self) -> None:
        event = {"timestamp": NOON_NS, "syscall": 1, "latency_ms": 15.5, "is_error": True}
        copy = dict(event)
        normalised = normalize_event(EventType.SYSCALL, event)
        assert event == copy
        assert (normalised["syscall_nr"], normalised["is_error"]) == (1, True)

    def test_zero_is_not_missing(self) -> None:
        event = {"timestamp": NOON_NS, "syscall": 0, "latency_ms": 0, "is_error": False}
        normalised = normalize_event(EventType.SYSCALL, event)
        assert (normalised["syscall_nr"], normalised["latency_ns"], normalised["is_error"]) == (0, 0, False)

    def test_addresses_above_63_bits_keep_their_value(self) -> None:
        event = {"timestamp": NOON_NS, "address": "0xffffffffff600000", "fault_type": "minor"}
        assert normalize_event(EventType.PAGE_FAULT, event)["address"] == 18446744073699065856

    def test_an_event_without_a_stamp_gets_none(self) -> None:
        assert "timestamp" not in normalize_event(EventType.LOAD, {"load1": 0.5})


class Database(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "deep" / "kernelsight.db"
        self.db = DatabaseManager(str(self.path))
        self.db.init_schema()

    def tearDown(self) -> None:
        self.db.close()
        shutil.rmtree(self.folder)

    def test_a_path_that_can_be_no_database_is_refused_in_a_line(self) -> None:
        for path in ("~nobody there/k.db", self.folder, ""):
            with self.subTest(path), self.assertRaisesRegex(Exception, "name a file"):  # noqa: PT027 - as below
                DatabaseManager(path)

    def insert_all(self) -> None:
        inserts = {
            EventType.SYSCALL: self.db.insert_syscall_event,
            EventType.PAGE_FAULT: self.db.insert_page_fault_event,
            EventType.IO_LATENCY: self.db.insert_io_latency_stats,
            EventType.SCHED: self.db.insert_sched_event,
            EventType.MEMORY: self.db.insert_memory_metrics,
            EventType.LOAD: self.db.insert_load_metrics,
            EventType.BLOCK: self.db.insert_block_stats,
            EventType.NETWORK: self.db.insert_network_stats,
            EventType.TCP: self.db.insert_tcp_stats,
            EventType.TCP_RETRANS: self.db.insert_tcp_retransmit_stats,
        }
        for event_type, insert in inserts.items():
            insert({"timestamp": NOON_NS, **EVENTS[event_type]})
        self.db.insert_sched_stats({"timestamp": NOON_NS, "pid": 7, "context_switches": 3, "voluntary_switches": 1})
        self.db.commit()

    def test_a_new_database_has_all_tables_and_no_rows(self) -> None:
        stats = self.db.get_table_stats()
        assert len(stats) >= 12
        assert set(stats.values()) == {0}

    def test_every_insert_lands_in_its_table(self) -> None:
        self.insert_all()
        filled = {table for table, rows in self.db.get_table_stats().items() if rows == 1}
        assert filled == {
            *("syscall_events", "page_fault_events", "io_latency_stats", "sched_events", "sched_process_stats"),
            *("memory_metrics", "load_metrics", "block_stats", "network_interface_stats"),
            *("tcp_stats", "tcp_retransmit_stats"),
        }

    def test_rows_are_read_by_index_and_by_name(self) -> None:
        self.insert_all()
        [row] = self.db.query("SELECT pid, syscall_name FROM syscall_events WHERE tid = ?", (8,))
        assert (row[0], row["syscall_name"]) == (7, "fsync")

    def test_the_documented_queries_answer(self) -> None:
        self.insert_all()
        [call] = query_syscalls_by_timerange(self.db, BEFORE, AFTER, min_latency_ms=20, limit=10)
        assert (call["latency_ms"], call["timestamp"], call["pid"]) == (20.0, NOON_NS, 7)
        [process] = query_top_processes_by_syscall_latency(self.db, BEFORE, AFTER, limit=5)
        assert (process["pid"], process["syscall_count"], process["avg_latency_ms"]) == (7, 1, 20.0)
        assert query_io_latency_percentiles(self.db, BEFORE, AFTER)[0]["read_p50_us"] == 100.0
        assert query_memory_stats(self.db, BEFORE, AFTER)[0]["mem_available_kb"] == 400
        assert query_network_bandwidth(self.db, "eth0", BEFORE, AFTER)[0]["tx_bytes"] == 20
        assert query_block_io_summary(self.db, "sda", BEFORE, AFTER)[0]["read_ios"] == 10
        assert query_tcp_connection_summary(self.db, BEFORE, AFTER)[0]["total_connections"] == 5

    def test_as_a_context_it_commits_and_closes(self) -> None:
        with DatabaseManager(self.path) as db:
            db.insert_load_metrics({"timestamp": NOON_NS, "load_1min": 1.0})
        assert self.db.get_table_stats()["load_metrics"] == 1

    def test_an_error_in_the_context_leaves_nothing_behind(self) -> None:
        with self.assertRaises(ZeroDivisionError), DatabaseManager(self.path) as db:  # noqa: PT027 - runs without pytest
            db.insert_load_metrics({"timestamp": NOON_NS, "load_1min": 1 / 0})
        assert self.db.get_table_stats()["load_metrics"] == 0


class EndToEnd(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "test.db"

    def tearDown(self) -> None:
        shutil.rmtree(self.folder)

    def run_script(self, *command: str, given: bytes = b"", wanted: int = 0) -> bytes:
        done = subprocess.run(
            [sys.executable, *command],
            input=given,
            capture_output=True,
            cwd=pipeline_path.ROOT,
            check=False,
            timeout=120,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert done.returncode == wanted, done.stderr.decode()
        return done.stdout

    def test_parsed_lines_are_inserted_and_found(self) -> None:
        with DatabaseManager(self.path) as db:
            db.init_schema()
            for line in (
                f'{{"timestamp": {NOON_NS}, "pid": 7, "syscall": 1, "syscall_name": "write", "latency_ms": 15.5}}',
                f'{{"timestamp": {NOON_NS}, "mem_total_kb": 8192000, "mem_available_kb": 4096000}}',
                f'{{"timestamp": {NOON_NS}, "load_1min": 1.5, "load_5min": 1.2, "load_15min": 1.0}}',
            ):
                event_type, event = parse_json_line(line)
                insert = {
                    EventType.SYSCALL: db.insert_syscall_event,
                    EventType.MEMORY: db.insert_memory_metrics,
                    EventType.LOAD: db.insert_load_metrics,
                }[event_type]
                insert(normalize_event(event_type, event))
            db.commit()
            stats = db.get_table_stats()
            assert [stats[table] for table in ("syscall_events", "memory_metrics", "load_metrics")] == [1] * 3

    def test_generated_data_is_ingested_whole_and_verified(self) -> None:
        lines = self.run_script("tests/generate_test_data.py", "--count", "2000")
        assert len(lines.splitlines()) == 2000
        self.run_script("src/pipeline/ingestion_daemon.py", "--db-path", str(self.path), given=lines)
        db = sqlite3.connect(self.path)
        assert db.execute("SELECT sum(stored) FROM collectors").fetchone() == (2000,)
        db.close()
        report = self.run_script("tests/verify_database.py", "--db-path", str(self.path))
        assert b"all as documented" in report
        demo = self.run_script("src/pipeline/query_utils.py", "--demo", "--db-path", str(self.path))
        assert b"Slowest system calls" in demo
        assert b"(none)" not in demo

    def test_verification_fails_for_an_empty_database(self) -> None:
        self.run_script("src/pipeline/ingestion_daemon.py", "--db-path", str(self.path), "--init-only")
        report = self.run_script("tests/verify_database.py", "--db-path", str(self.path), wanted=1)
        assert b"syscall_events is empty" in report

    def test_the_demo_says_so_when_there_is_no_data(self) -> None:
        demo = ("src/pipeline/query_utils.py", "--demo", "--db-path", str(self.path))
        assert b"no data yet" in self.run_script(*demo)
        assert not self.path.exists()
        self.run_script("src/pipeline/ingestion_daemon.py", "--db-path", str(self.path), "--init-only")
        assert b"empty" in self.run_script(*demo)

    def test_the_same_seed_gives_the_same_data(self) -> None:
        command = ("tests/generate_test_data.py", "--count", "300", "--end", str(NOON_NS), "--seed", "5")
        assert self.run_script(*command) == self.run_script(*command)


if __name__ == "__main__":
    unittest.main(verbosity=2)
