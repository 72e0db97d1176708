"""Rows that go, and rollups that stay and say what they said."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from contextlib import closing

import msgspec
import pytest
from contract import read
from rows import SECOND, row, rows, struct

from kernelsight.errors import StoreError, UsageError
from kernelsight.events.block import Block
from kernelsight.stores.base import Batch, open_reader
from kernelsight.stores.sqlite.rollups import merge, quantile
from kernelsight.stores.sqlite.writer import SqliteWriter

TABLE = "syscall_events"
STRUCT = struct(TABLE)
MINUTE = 60 * SECOND
HOUR = 3600 * SECOND
START = 1_790_000_000 * SECOND // HOUR * HOUR


@pytest.fixture
def writer(tmp_path):
    with closing(SqliteWriter(tmp_path / "telemetry.db", segment_rows=100)) as writer:
        yield writer


@pytest.fixture
def reader(tmp_path, writer):
    with closing(open_reader(str(tmp_path / "telemetry.db"))) as reader:
        yield reader


def events(count):
    """Events 10 s apart, of four processes."""
    chance = random.Random(3)
    return [
        row(
            TABLE,
            number,
            timestamp=START + 10 * SECOND * number,
            pid=number % 4,
            latency_ns=None if number % 7 == 0 else int(chance.lognormvariate(17, 1)),
        )
        for number in range(count)
    ]


def write(writer, given, size=50):
    for start in range(0, len(given), size):
        assert not writer.write(Batch({STRUCT: given[start : start + size]}))


def segments_of(reader):
    return reader.query("SELECT number FROM segments WHERE table_name = ? ORDER BY number", (TABLE,))


def test_whole_segments_go_and_the_rest_row_by_row(writer, reader):
    given = events(470)
    write(writer, given)
    cut = given[230][0]
    assert writer.retain(TABLE, cut) == 230
    assert [line["timestamp"] for line in read(reader, TABLE)] == [line[0] for line in given[230:]]
    assert reader.bounds(TABLE) == (given[230][0], given[-1][0])
    assert reader.count(TABLE) == 240
    assert [line["number"] for line in segments_of(reader)] == [3, 4, 5]
    assert writer.retain(TABLE, cut) == 0


def test_everything_may_go(writer, reader):
    given = events(470)
    write(writer, given)
    assert writer.retain(TABLE, given[-1][0] + 1) == 470
    assert reader.count(TABLE) == 0
    assert reader.bounds(TABLE) is None
    assert read(reader, TABLE) == []
    write(writer, given[:3])
    assert len(read(reader, TABLE)) == 3


def test_a_reader_that_was_just_told_of_a_segment_can_still_read_it(writer, reader):
    given = events(470)
    write(writer, given)
    relation, params = reader.relation(TABLE)
    writer.retain(TABLE, given[300][0])
    writer.maintain(budget_s=5)
    assert len(reader.query(f"SELECT * FROM {relation}", params)) == 470
    while writer._retention.drop_removed(grace_s=0):
        pass
    assert not reader.query("SELECT 1 FROM sqlite_master WHERE name = ?", (f"{TABLE}__1",))
    assert len(read(reader, TABLE)) == 170
    assert reader.query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def test_a_policy_is_kept_by_upkeep_and_by_later_runs(tmp_path, reader, writer, monkeypatch):
    given = events(470)
    write(writer, given)
    writer.maintain(budget_s=5)
    assert reader.count(TABLE) == 470  # no policy, nothing goes
    writer.keep(TABLE, 30 * 60 * SECOND)
    writer.close()
    now = given[400][0] + 30 * MINUTE
    monkeypatch.setattr("kernelsight.stores.sqlite.upkeep.time.time_ns", lambda: now)
    with closing(SqliteWriter(tmp_path / "telemetry.db", segment_rows=100)) as again:
        again.maintain(budget_s=5)
        cut = (now - 30 * MINUTE) // HOUR * HOUR  # policies cut at full hours
        assert [line["timestamp"] for line in read(reader, TABLE)] == [line[0] for line in given if line[0] >= cut]
        assert 0 < reader.count(TABLE) < 470
        again.keep(TABLE, None)
        assert reader.query("SELECT * FROM retention") == []


def test_policies_that_make_no_sense_are_refused(writer):
    with pytest.raises(UsageError, match="0 ns"):
        writer.keep(TABLE, 0)
    with pytest.raises(StoreError, match="nonsense"):
        writer.keep("nonsense", SECOND)
    with pytest.raises(StoreError, match="nonsense"):
        writer.retain("nonsense", 0)


STEPS = pytest.mark.parametrize(("suffix", "step"), [("1m", MINUTE), ("1h", HOUR)])


@STEPS
def test_rollups_say_what_the_rows_said_when_the_rows_are_gone(writer, reader, suffix, step):
    given = events(800)
    write(writer, given)
    writer.retain(TABLE, given[-1][0] + 1)
    assert reader.count(TABLE) == 0
    assert_rollups_say(reader, given, suffix, step)


@STEPS
def test_rows_that_leave_a_segment_which_is_not_full_are_in_the_rollups(tmp_path, suffix, step):
    """As those of a kind that is sampled once a second, whose segment is a day old before it is full."""
    given = events(800)
    with (
        closing(SqliteWriter(tmp_path / "telemetry.db", segment_rows=700)) as writer,
        closing(open_reader(str(tmp_path / "telemetry.db"))) as reader,
    ):
        write(writer, given[:300])
        for cut in (given[90], given[91], given[250]):
            writer.retain(TABLE, cut[0])
        assert reader.count(TABLE) == 50
        assert len(segments_of(reader)) == 1
        write(writer, [*given[300:780], given[5]])  # one comes late
        writer.retain(TABLE, given[250][0])
        write(writer, given[780:])
        writer.maintain(budget_s=5)
        assert len(segments_of(reader)) == 1
        writer.retain(TABLE, given[-1][0] + 1)
        assert reader.count(TABLE) == 0
        assert_rollups_say(reader, [*given, given[5]], suffix, step)


def assert_rollups_say(reader, given, suffix, step):
    """That the rollups have what there is to say of these rows."""
    expected = defaultdict(list)
    for line in given:
        expected[line[0] // step * step, line[1]].append(line[STRUCT.__struct_fields__.index("latency_ns")])
    found = reader.query(
        f"SELECT timestamp, pid, sum(rows) AS n, sum(latency_ns_count) AS known, total(latency_ns_sum) AS sum,"
        f" min(latency_ns_min) AS min, max(latency_ns_max) AS max, json_group_array(latency_ns_sketch) AS sketches"
        f" FROM {TABLE}_{suffix} GROUP BY timestamp, pid"
    )
    assert {(line["timestamp"], line["pid"]) for line in found} == set(expected)
    for line in found:
        values = expected[line["timestamp"], line["pid"]]
        known = [value for value in values if value is not None]
        assert (line["n"], line["known"], line["sum"]) == (len(values), len(known), sum(known))
        assert (line["min"], line["max"]) == (min(known, default=None), max(known, default=None))
        sketched = merge(json.loads(line["sketches"]))
        assert sum(sketched.values()) == len(known)


@pytest.mark.parametrize(
    ("suffix", "expected"),
    [
        ("1m", [("vda", 0, 5_900)] * 3 + [("vdb", 0, 5_900), ("vdb", 1, 8_900), ("vdb", 0, 5_900)]),
        ("1h", [("vda", 0, 17_900), ("vdb", 1, 8_900)]),
    ],
)
def test_of_a_counter_the_rollups_say_what_it_grew_by_or_that_it_fell(tmp_path, suffix, expected):
    """Of two devices the counter of one goes on; that of the other begins anew in the second minute."""
    given = {
        "vda": [100 * second for second in range(180)],
        "vdb": [100 * (second % 90) for second in range(180)],
    }
    lines = [
        msgspec.structs.astuple(Block(START + second * SECOND, device_name=name, read_ios=values[second]))
        for second in range(180)
        for name, values in given.items()
    ]
    path = tmp_path / "telemetry.db"
    with closing(SqliteWriter(path)) as writer, closing(open_reader(str(path))) as reader:
        assert not writer.write(Batch({Block: lines}))
        writer.retain("block_stats", START + HOUR)
        assert reader.count("block_stats") == 0
        found = reader.query(f"SELECT * FROM block_stats_{suffix} ORDER BY device_name, timestamp")
    grown = [(row["device_name"], row["read_ios_falls"], row["read_ios_max"] - row["read_ios_min"]) for row in found]
    assert grown == expected
    assert "read_ios_sum" not in found[0]


def test_quantiles_of_merged_sketches_are_within_two_percent(writer, reader):
    given = events(900)
    write(writer, given)
    writer.maintain(budget_s=5)
    write(writer, [row(TABLE, 1, timestamp=given[-1][0] + SECOND, latency_ns=0) for _ in range(100)])
    writer.maintain(budget_s=5)
    latency = STRUCT.__struct_fields__.index("latency_ns")
    values = sorted([line[latency] for line in given if line[latency] is not None] + [0] * 100)
    for suffix in ("1m", "1h"):
        sketches = reader.query(f"SELECT latency_ns_sketch AS s FROM {TABLE}_{suffix}")
        merged = merge(line["s"] for line in sketches)
        assert sum(merged.values()) == len(values)
        for share in (0.0, 0.05, 0.25, 0.5, 0.9, 0.99, 1.0):
            assert quantile(merged, share) == pytest.approx(values[int(share * (len(values) - 1))], rel=0.02)
    assert quantile({}, 0.5) is None


def test_rollups_are_made_of_every_kind(tmp_path):
    from kernelsight.events.wire import kinds

    path = tmp_path / "every.db"
    with closing(SqliteWriter(path, segment_rows=10)) as writer:
        writer.write(Batch({kind.struct: rows(kind.table, 10) for kind in kinds().values()}))
        writer.maintain(budget_s=30)
    with closing(open_reader(str(path))) as reader:
        for kind in kinds().values():
            [line] = reader.query(f"SELECT sum(rows) AS n, count(DISTINCT segment) AS s FROM {kind.table}_1h")
            assert line == {"n": 10, "s": 1}


@pytest.mark.parametrize("table", [TABLE, "block_stats"])
def test_rollups_are_the_same_however_many_rows_are_summed_up_at_once(tmp_path, monkeypatch, table):
    chance = random.Random(9)
    given = [
        row(table, number, timestamp=START + 7 * SECOND * number, **values(table, chance)) for number in range(300)
    ]

    def made(folder, at_once):
        monkeypatch.setattr("kernelsight.stores.sqlite.rollups.ROWS_AT_ONCE", at_once)
        with closing(SqliteWriter(tmp_path / folder, segment_rows=300)) as writer:
            assert not writer.write(Batch({struct(table): given}))
            writer.maintain(budget_s=20)
        with closing(open_reader(str(tmp_path / folder))) as reader:
            order = "timestamp, pid" if table == TABLE else "timestamp, device_name"
            return [reader.query(f"SELECT * FROM {table}_{step} ORDER BY {order}") for step in ("1m", "1h")]

    whole, sliced = made("whole.db", 20_000), made("sliced.db", 7)
    assert whole == sliced
    assert sum(line["rows"] for line in whole[0]) == 300


def values(table, chance):
    """Latencies, and counters that fall now and then."""
    if table == TABLE:
        return {"pid": chance.randrange(4), "latency_ns": chance.choice([None, 0, chance.randrange(10**9)])}
    return {"device_name": chance.choice(["sda", "sdb"]), "read_ios": chance.randrange(1000)}
