"""From lines that the daemon stored to anomalies, and back into the store."""

from __future__ import annotations

import json

import msgspec
import pytest
from machine import LENGTH_S, SECOND, START, TROUBLE_S, ingest, store

from kernelsight.anomalies.replay import detect
from kernelsight.anomalies.stored import incidents, stored
from kernelsight.anomalies.watched import measurements, sampled, watch
from kernelsight.events.anomaly import Anomaly
from kernelsight.events.declare import kind_of
from kernelsight.events.process import Process
from kernelsight.events.syscalls import Syscall
from kernelsight.events.wire import encode_lines
from kernelsight.query import TimeRange
from kernelsight.stores.base import open_reader

END = START + LENGTH_S * SECOND
ALL = TimeRange(START, END)
LATE = TimeRange(START + 1000 * SECOND, END)


def test_bulk_writes_are_one_incident_of_the_series_that_they_touch(troubled):
    found = detect(str(troubled), LATE)
    assert {(one.table_name, one.metric, one.entity) for one in found} == {
        ("block_stats", "write_sectors", "device_name=sda"),
        ("block_stats", "write_ios", "device_name=sda"),
        ("memory_metrics", "dirty_kb", None),
    }
    onset = START + TROUBLE_S * SECOND
    assert {one.incident for one in found} == {min(one.timestamp for one in found)}
    assert all(onset <= one.timestamp <= onset + 3 * SECOND for one in found)
    assert all(one.direction == "up" and one.kind == "spike" for one in found)
    assert all(one.end_ns and onset + 50 * SECOND < one.end_ns < onset + 110 * SECOND for one in found)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_a_counter_is_judged_by_its_rate(troubled):
    (sectors,) = (one for one in detect(str(troubled), LATE) if one.metric == "write_sectors")
    assert sectors.unit == "512 B sectors/s"
    assert 3_900 < sectors.low < sectors.high < 6_100
    assert 400_000 < sectors.value < 410_000


def test_a_quiet_machine_has_none(quiet):
    assert detect(str(quiet), ALL) == []


def test_asking_again_gives_the_same(troubled):
    assert detect(str(troubled), LATE) == detect(str(troubled), LATE)


def test_what_began_before_the_range_is_not_of_the_range(troubled):
    assert detect(str(troubled), TimeRange(START + (TROUBLE_S + 30) * SECOND, END)) == []


def test_an_empty_store_and_an_empty_range_have_none(tmp_path, quiet):
    path = tmp_path / "empty.db"
    (tmp_path / "nothing").touch()
    ingest(path, tmp_path / "nothing")
    assert detect(str(path), ALL) == []
    assert detect(str(quiet), TimeRange(END + 10**15, END + 2 * 10**15)) == []


def test_series_that_never_change_are_not_watched_and_the_bound_holds(troubled):
    reader = open_reader(str(troubled))
    try:
        names = {str(name) for name in watch(reader, ALL).names}
        assert "block_stats.write_ios device_name=sda" in names
        assert not any("sdb" in name or "mem_total_kb" in name for name in names)
        assert len(watch(reader, ALL, most=2).names) == 2
    finally:
        reader.close()


def test_what_is_watched_follows_from_the_declarations():
    assert sampled(kind_of(Process))
    assert not sampled(kind_of(Syscall))
    assert not sampled(kind_of(Anomaly))
    names = {column.name for column in measurements(kind_of(Process))}
    assert {"rss_kb", "utime_ms"} <= names
    assert not {"pid", "comm", "timestamp", "start_ticks"} & names


@pytest.fixture
def written(tmp_path):
    """A store into which the detector's events went by the daemon, as any collector's would."""
    path = store(tmp_path / "k.db")
    found = detect(str(path), LATE)
    assert found
    open_ones = [msgspec.structs.replace(one, end_ns=None, score=1.0) for one in found]
    lines = tmp_path / "anomalies.ndjson"
    lines.write_bytes(encode_lines([*open_ones, *found]))
    ingest(path, lines)
    return path, found


def test_what_the_daemon_stored_reads_back_the_same_and_the_last_word_counts(written):
    path, found = written
    assert stored(str(path), START, END) == found


def test_an_incident_is_one_row_that_names_its_strongest_series_first(written):
    path, found = written
    (row,) = incidents(stored(str(path), START, END))
    strongest = found[0]
    assert row["timestamp"] == strongest.incident
    assert row["count"] == 3
    assert row["series"].startswith(f"{strongest.table_name}.{strongest.metric}")
    assert row["score"] == strongest.score
    assert json.dumps(row)
