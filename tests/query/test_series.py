"""Series, rates of counters, intervals and percentiles, against what can be worked out by hand."""

from __future__ import annotations

import math
import statistics

import pytest
from filled import SECOND, START, reader_of
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelsight.errors import UsageError
from kernelsight.events.memory import Memory
from kernelsight.events.network import Network
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Wait
from kernelsight.query import aggregate, percentiles, series, top

END = START + 3600 * SECOND


def interface(name, *values, at=0):
    return [Network(START + (at + i) * SECOND, interface_name=name, rx_bytes=value) for i, value in enumerate(values)]


def values(one):
    return [point.value for point in one.points]


@pytest.fixture
def asked(tmp_path):
    """Make a store of events; closed at the end."""
    opened = []

    def make(events):
        opened.append(reader_of(tmp_path / f"{len(opened)}.db", events))
        return opened[-1]

    yield make
    for reader in opened:
        reader.close()


def test_a_counter_is_a_rate_and_its_first_sample_has_none(asked):
    [one] = series(asked(interface("eth0", 100, 300, 600)), "network", "rx_bytes", START, END)
    assert (one.unit, one.entity, values(one)) == ("B/s", {"interface_name": "eth0"}, [None, 200.0, 300.0])


def test_a_range_that_starts_later_knows_the_sample_before_it(asked):
    reader = asked(interface("eth0", 100, 300, 600))
    [one] = series(reader, "network", "rx_bytes", START + SECOND, END)
    assert values(one) == [200.0, 300.0]


def test_a_reset_has_no_rate_and_nothing_negative_comes_out(asked):
    [one] = series(asked(interface("eth0", 1000, 1500, 20, 50)), "network", "rx_bytes", START, END)
    assert values(one) == [None, 500.0, None, 30.0]


def test_a_device_that_was_away_starts_anew_however_its_counter_stands(asked):
    events = interface("usb0", 1000, 1500) + interface("usb0", 9_000_000, 9_000_100, at=60)
    [one] = series(asked(events), "network", "rx_bytes", START, END)
    assert values(one) == [None, 500.0, None, 100.0]


def test_a_process_that_was_away_is_the_same_process(asked):
    events = [Process(START + s * SECOND, pid=1, start_ticks=9, utime_ms=s * 10) for s in (0, 1, 61)]
    [one] = series(asked(events), "process", "utime_ms", START, END)
    assert values(one) == [None, 10.0, 10.0]


def test_samples_of_two_entities_are_not_mixed_up(asked):
    events = [event for pair in zip(interface("a", 0, 10, 20), interface("b", 5, 5, 5), strict=True) for event in pair]
    found = {
        one.entity["interface_name"]: values(one) for one in series(asked(events), "network", "rx_bytes", START, END)
    }
    assert found == {"a": [None, 10.0, 10.0], "b": [None, 0.0, 0.0]}


def test_raw_counters_and_levels_are_as_stored(asked):
    reader = asked([*interface("eth0", 7, 9), Memory(START, mem_free_kb=5), Memory(START + SECOND, mem_free_kb=0)])
    assert values(series(reader, "network", "rx_bytes", START, END, raw=True)[0]) == [7, 9]
    [memory] = series(reader, "memory", "mem_free_kb", START, END)
    assert (memory.unit, memory.entity, values(memory)) == ("KiB", {}, [5, 0])


@given(levels=st.lists(st.integers(0, 10**9), min_size=1, max_size=200), points=st.integers(2, 40))
@settings(max_examples=25, deadline=None)
def test_a_series_of_few_points_loses_no_peak(stretches, levels, points):
    start, _ = stretches.next()
    stretches.add(Memory(start + i * SECOND, mem_free_kb=level) for i, level in enumerate(levels))
    [one] = series(stretches.reader, "memory", "mem_free_kb", start, start + len(levels) * SECOND, points=points)
    assert len(one.points) <= points
    assert max(values(one)) == max(levels)
    assert min(values(one)) == min(levels)
    assert [p.timestamp for p in one.points] == sorted(p.timestamp for p in one.points)


def test_intervals_stand_on_multiples_of_their_length(asked):
    reader = asked(Memory(START + i * SECOND, mem_free_kb=i) for i in range(25))
    found = aggregate(reader, "memory", "mem_free_kb", START, END, "10s", functions=("count", "min", "max", "avg"))
    assert [row["timestamp"] % (10 * SECOND) for row in found] == [0, 0, 0]
    assert [(row["count"], row["min"], row["max"], row["avg"]) for row in found] == [
        (10, 0, 9, 4.5), (10, 10, 19, 14.5), (5, 20, 24, 22.0),
    ]  # fmt: skip


def test_levels_are_never_added_up(asked):
    reader = asked(Memory(START + i * SECOND, mem_free_kb=i) for i in range(3))
    for question in (
        lambda: aggregate(reader, "memory", "mem_free_kb", START, END, "10s", functions=("sum",)),
        lambda: top(reader, "memory", "mem_free_kb", START, END, by="mem_total_kb", function="sum"),
    ):
        with pytest.raises(UsageError, match="levels do not add up over time; ask for avg or max"):
            question()
    [group] = top(reader, "memory", "mem_free_kb", START, END, by="mem_total_kb")
    assert "sum" not in group
    assert group["value"] == group["max"] == 2


def test_the_rate_of_a_counter_adds_up_its_entities(asked):
    events = [*interface("a", *range(0, 1100, 100)), *interface("b", *range(0, 110, 10))]
    reader = asked(events)
    [row] = aggregate(reader, "network", "rx_bytes", START, END, "1h", functions=("rate", "sum"))
    assert row["rate"] == pytest.approx(110.0)
    assert row["sum"] == 1100
    by = aggregate(reader, "network", "rx_bytes", START, END, "1h", functions=("rate",), by=["interface_name"])
    assert {r["interface_name"]: r["rate"] for r in by} == {"a": pytest.approx(100.0), "b": pytest.approx(10.0)}


def test_rows_and_sums_of_intervals_have_rates_too(asked):
    reader = asked(Wait(START + i * SECOND, pid=1, waker_pid=2, count=3, wait_ns=5) for i in range(10))
    [row] = aggregate(reader, "wait", "count", START, START + 10 * SECOND, "10s", functions=("rate",))
    assert row["rate"] == pytest.approx(3.0)
    [row] = aggregate(reader, "wait", None, START, START + 10 * SECOND, "10s", functions=("count", "rate"))
    assert (row["count"], row["rate"]) == (10, pytest.approx(1.0))


@pytest.mark.parametrize(
    ("metric", "functions", "interval", "said"),
    [
        ("mem_free_kb", ("median",), "1m", "no function"),
        ("mem_free_kb", ("rate",), "1m", "level"),
        (None, ("avg",), "1m", "of which metric"),
        ("mem_free_kb", ("avg",), "0s", "longer than 0"),
        ("mem_free_kb", ("p101",), "1m", "no function"),
        ("mem_free_kb", ("avg",), "1us", "intervals"),
    ],
)
def test_an_aggregate_that_makes_no_sense_is_refused(asked, metric, functions, interval, said):
    reader = asked(Memory(START + i * SECOND, mem_free_kb=i) for i in range(3))
    with pytest.raises(UsageError, match=said):
        aggregate(reader, "memory", metric, START, END, interval, functions=functions)


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=120), st.sampled_from([0, 1, 50, 90, 95, 99.9, 100]))
@settings(max_examples=40, deadline=None)
def test_percentiles_are_exact(stretches, numbers, p):
    start, end = stretches.next()
    stretches.add(Memory(start + i, mem_free_kb=n) for i, n in enumerate(numbers))
    name, ordered = f"p{p:g}", sorted(numbers)
    [nearest] = percentiles(stretches.reader, "memory", "mem_free_kb", start, end, ps=[p])
    [linear] = percentiles(stretches.reader, "memory", "mem_free_kb", start, end, ps=[p], method="linear")
    rank = max(1, math.ceil(round(p * len(numbers) / 100, 9)))
    assert nearest == {"count": len(numbers), name: ordered[rank - 1]}
    at = (len(ordered) - 1) * p / 100
    low, high = ordered[math.floor(at)], ordered[math.ceil(at)]
    assert linear[name] == pytest.approx(low + (high - low) * (at - math.floor(at)), abs=1e-3)
    if p == 50:
        assert linear[name] == pytest.approx(statistics.median(numbers))


def test_percentiles_by_group_and_of_nothing(asked):
    reader = asked([*interface("a", 0, 10, 30), *interface("b", 0, 500, 1000)])
    found = percentiles(reader, "network", "rx_bytes", START, END, ps=[50, 100], by=["interface_name"])
    assert [(row["interface_name"], row["p100"]) for row in found] == [("b", 500.0), ("a", 20.0)]
    assert percentiles(reader, "memory", "mem_free_kb", START, END) == []


def test_a_way_to_count_percentiles_that_there_is_not_is_refused(asked):
    with pytest.raises(UsageError, match="nearest and linear"):
        percentiles(asked([]), "memory", "mem_free_kb", START, END, method="best")
