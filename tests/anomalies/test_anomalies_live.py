"""Anomalies found as the rows come, by one process after the other."""

from __future__ import annotations

import time
from itertools import islice

import msgspec
import pytest
from machine import SECOND, START, TROUBLE_S, events

from kernelsight.anomalies.live import Live
from kernelsight.anomalies.stored import incidents, stored
from kernelsight.events.anomaly import Anomaly
from kernelsight.stores.base import Batch, open_reader, open_writer

ROWS_A_SECOND = 4
STEP_S = 100
BESIDE = {0, 1, 11, 12, 13, 14}
"""Batches after which two look: each time the second learns anew, so that they leave out most of the quiet ones."""


def batches(*, trouble=True):
    """The machine's rows, so many seconds at a time."""
    left = iter(events(trouble=trouble))
    while rows := list(islice(left, STEP_S * ROWS_A_SECOND)):
        batch = Batch()
        for one in rows:
            batch.events.setdefault(type(one), []).append(msgspec.structs.astuple(one))
        yield batch


def watched(path, *, restarts=(), trouble=True):
    """All that was told while a machine's rows came in; at some of the looks another process takes over."""
    writer = open_writer(str(path))
    live = Live(str(path))
    told: list[Anomaly] = []
    for number, batch in enumerate(batches(trouble=trouble)):
        assert not writer.write(batch)
        told += live.look()
        if number in restarts:
            live.__exit__()
            live = Live(str(path))
    told += live.look(last=True)
    live.__exit__()
    writer.close()
    return told


@pytest.mark.slow
@pytest.mark.parametrize("restarts", [(), (12,), (0, 5, 11, 12, 13)], ids=["none", "in the middle", "many"])
def test_trouble_is_one_row_a_series_whoever_finds_it(tmp_path, restarts):
    path = tmp_path / "k.db"
    told = watched(path, restarts=restarts)
    with_rows = open_reader(str(path)).query("SELECT table_name, metric FROM anomalies ORDER BY table_name, metric")
    assert [tuple(row.values()) for row in with_rows] == [
        ("block_stats", "write_ios"),
        ("block_stats", "write_sectors"),
        ("memory_metrics", "dirty_kb"),
    ]
    found = stored(str(path), START)
    onset = START + TROUBLE_S * SECOND
    assert all(onset <= one.timestamp <= onset + 3 * SECOND for one in found)
    assert all(one.end_ns and onset + 50 * SECOND < one.end_ns < onset + 120 * SECOND for one in found)
    assert len(incidents(found)) == 1
    assert {one.end_ns is None for one in told} == {True, False}  # told of when it began, and when it was over


@pytest.mark.slow
def test_a_quiet_machine_has_none(tmp_path):
    assert watched(tmp_path / "k.db", restarts=(3,), trouble=False) == []


@pytest.mark.slow
def test_after_a_clock_that_was_ahead_it_finds_what_comes_now(tmp_path):
    path = tmp_path / "k.db"
    writer = open_writer(str(path))
    live = Live(str(path))
    rows = list(events(trouble=True))
    length_ns = rows[-1].timestamp - rows[0].timestamp
    for at_ns in (time.time_ns() + 3600 * SECOND, time.time_ns() - length_ns):
        for start in range(0, len(rows), STEP_S * ROWS_A_SECOND):
            batch = Batch()
            for one in rows[start : start + STEP_S * ROWS_A_SECOND]:
                row = msgspec.structs.replace(one, timestamp=one.timestamp - rows[0].timestamp + at_ns)
                batch.events.setdefault(type(one), []).append(msgspec.structs.astuple(row))
            assert not writer.write(batch)
            live.look()
        live.look(last=True)
        onset_ns = at_ns + TROUBLE_S * SECOND
        found = stored(str(path), onset_ns, onset_ns + 3 * SECOND)
        assert {one.metric for one in found} == {"write_ios", "write_sectors", "dirty_kb"}
    live.__exit__()
    writer.close()


@pytest.mark.slow
def test_of_two_at_once_each_goes_on_from_what_the_other_has_stored(tmp_path):
    path = str(tmp_path / "k.db")
    writer = open_writer(path)
    with Live(path) as first, Live(path) as second:
        for number, batch in enumerate(batches()):
            assert not writer.write(batch)
            if number in BESIDE:
                for live in (first, second) if number % 2 else (second, first):
                    live.look()
    writer.close()
    rows = open_reader(path).query("SELECT table_name, metric, entity FROM anomalies")
    assert len(rows) == len({tuple(row.values()) for row in rows}) == 3
