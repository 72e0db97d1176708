"""Rates of counters that do not simply grow: the SQL says what the rule says."""

from __future__ import annotations

from itertools import chain
from operator import itemgetter

import pytest
from filled import SECOND, START, reader_of
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelsight.events.block import Block
from kernelsight.events.declare import Counter, kind_of
from kernelsight.events.deltas import deltas, in_order
from kernelsight.events.network import Network
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Cpu
from kernelsight.events.wire import kinds
from kernelsight.query import aggregate, series, top
from kernelsight.query.points import Selection, points_sql
from kernelsight.query.times import TimeRange

END = START + 7200 * SECOND
ENTITIES = 10

_small = st.integers(0, 40)
_large = st.integers(10**12, 10**12 + 50)
_near_wrap = st.integers(2**32 - 60, 2**32 - 1)
_value = st.one_of(st.none(), st.just(0), _small, _large, _near_wrap, st.integers(0, 2**62))
_runs = st.lists(
    st.tuples(_value, st.integers(0, 9), st.integers(1, 8)).map(
        lambda run: [None if run[0] is None else run[0] + i * run[1] for i in range(run[2])]
    ),
    min_size=1,
    max_size=6,
)
_values = _runs.map(lambda runs: list(chain.from_iterable(runs))[:30])
_steps = st.lists(st.one_of(st.just(1), st.sampled_from([0, 2, -3, -1, 30])), min_size=30, max_size=30)


def sql_increases(reader, struct, metric):
    kind = kind_of(struct)
    points = points_sql(reader, Selection(kind, (metric,), TimeRange(0, END)), gap_ns=10**18)
    chosen = f"{kind.entity[0]} AS who, timestamp, {metric}__increase AS grown, {metric}__ns AS ns"
    text = f"SELECT {chosen} FROM ({points.text})"
    found = reader.query(text, points.params)
    return sorted(((row["who"], row["timestamp"], row["grown"], row["ns"]) for row in found), key=str)


def rule_increases(events, struct, metric, counter):
    entity = kind_of(struct).entity[0]
    groups = {}
    for one in events:
        groups.setdefault(getattr(one, entity), []).append((one.timestamp, getattr(one, metric)))
    ordered = dict(zip(groups, in_order(groups.values(), itemgetter(0), [itemgetter(1)]), strict=True))
    found = []
    for who, samples in ordered.items():
        for (at, _), delta in zip(samples, deltas(samples, counter), strict=True):
            found.append((who, at, *(delta or (None, None))))
    return sorted(found, key=str)


@pytest.mark.parametrize(
    ("struct", "who", "metric"),
    [(Network, "interface_name", "rx_packets"), (Cpu, "cpu", "softirq"), (Network, "interface_name", "rx_bytes")],
)
@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_the_sql_says_what_the_rule_says(tmp_path_factory, struct, who, metric, data):
    events = []
    for number in range(ENTITIES):
        name = f"eth{number}" if struct is Network else number
        at = START
        for value, step in zip(data.draw(_values), data.draw(_steps), strict=False):
            at += step * SECOND
            events.append(struct(at, **{who: name, metric: value}))
    reader = reader_of(tmp_path_factory.mktemp("growth") / "db", events)
    counter = kind_of(struct).by_name[metric].semantics
    assert isinstance(counter, Counter)
    assert sql_increases(reader, struct, metric) == rule_increases(events, struct, metric, counter)
    reader.close()


def test_the_statement_does_not_grow_with_every_step_of_the_rule(tmp_path):
    """SQLite compiled 12 million instructions for the counters of a device that all fall, and 33 thousand now."""
    kind = kind_of(Block)
    counters = tuple(column.name for column in kind.columns if isinstance(column.semantics, Counter))
    events = [
        Block(START + i * SECOND, device_name="vda", **dict.fromkeys(counters, 10**6 - 10**5 * i)) for i in range(5)
    ]
    reader = reader_of(tmp_path / "db", events)
    points = points_sql(reader, Selection(kind, counters, TimeRange(0, END)))
    assert len(reader.query(points.text, points.params)) == len(events)
    instructions = sum(1 for _ in reader.tuples(f"EXPLAIN {points.text}", points.params))
    assert instructions < 4000 * len(counters)
    reader.close()


def rates(reader, table, metric):
    return [[point.value for point in one.points] for one in series(reader, table, metric, START, END)]


@pytest.mark.parametrize(
    ("table", "metric", "values", "wanted"),
    [
        pytest.param("network", "rx_bytes", [10**13, 10**13 + 100, 0, 10**13 + 300], [None, 100, None, 100], id="zero"),
        pytest.param(
            "network",
            "rx_bytes",
            [10**13, 10**13 + 100, 0, 0, 0, 10**13 + 500, 10**13 + 600],
            [None, 100, None, None, None, 100, 100],
            id="three-zeros",
        ),
        pytest.param(
            "network", "rx_bytes", [5000, 6000, 800, 1700, 2800, 3700], [None, 1000, None, 900, 1100, 900], id="plugged"
        ),
        pytest.param(
            "network",
            "rx_bytes",
            [1000, 2000, 3000, 0, 0, 6000, 7000],
            [None, 1000, 1000, None, None, 1000, 1000],
            id="zeros-of-a-busy-young-one",
        ),
        pytest.param(
            "network", "rx_bytes", [100, 200, 300, 5, 105, 205, 305], [None, 100, 100, None, 100, 100, 100], id="young"
        ),
        pytest.param("network", "rx_bytes", [900, 0, 0, 0, 0, 0, 0, 5], [*6 * [None], 0, 5], id="stays-at-zero"),
        pytest.param("network", "rx_bytes", [100, 99, 98, 97, 96, 95], 6 * [None], id="falls-by-one"),
        pytest.param("network", "rx_packets", [2**32 - 150, 2**32 - 50, 50, 150], [None, 100, 100, 100], id="wraps"),
        pytest.param("tcp_retransmit", "in_segs", [2**32 - 150, 2**32 - 50, 50], [None, 100, None], id="no-wrap-of-64"),
        pytest.param("network", "rx_bytes", [100, None, 300, 400], [None, None, 100, 100], id="unknown-between"),
        pytest.param("cpu", "softirq", [1000, 997, 1010, 1007, 1020], [None, 0, 10, 0, 10], id="jitter"),
        pytest.param("cpu", "softirq", [10**6, 0, 10**6 + 20], [None, None, 10], id="zero-of-ticks"),
        pytest.param("process", "utime_ms", [500, 490, 500, 510], [None, 0, 0, 10], id="jitter-of-a-process"),
    ],
)
def test_a_rate_is_right_or_null(tmp_path, table, metric, values, wanted):
    kind = kinds()[table]
    who = {name: 1 if kind.by_name[name].type == "INTEGER" else "one" for name in kind.entity}
    events = [kind.struct(START + i * SECOND, **who, **{metric: value}) for i, value in enumerate(values)]
    reader = reader_of(tmp_path / "db", events)
    assert rates(reader, table, metric) == [wanted]
    reader.close()


def test_sums_count_a_glitch_once(tmp_path):
    values = [10**13, 10**13 + 100, 0, 10**13 + 300, 10**13 + 400]
    events = [Network(START + i * SECOND, interface_name="eth0", rx_bytes=value) for i, value in enumerate(values)]
    reader = reader_of(tmp_path / "db", events)
    [most] = top(reader, "network", "rx_bytes", START, END, by="interface_name")
    [hour] = aggregate(reader, "network", "rx_bytes", START, END, "1h", functions=("sum", "max", "rate"))
    reader.close()
    assert (most["sum"], most["max"]) == (400, 100)
    assert (hour["sum"], hour["max"], hour["rate"]) == (400, 100, 100)


@pytest.mark.parametrize("back_ns", [5_000_000_000, 5_300_000_000])
def test_a_clock_that_is_set_back_changes_no_rate(tmp_path, back_ns):
    events = [
        Network(START + i * SECOND - (back_ns if i >= 20 else 0), interface_name="eth0", rx_bytes=i * 1000)
        for i in range(40)
    ]
    reader = reader_of(tmp_path / "db", events)
    [found] = rates(reader, "network", "rx_bytes")
    reader.close()
    assert set(found) == {None, 1000}
    assert found.count(None) == 2


def test_samples_that_come_late_are_put_in_their_place(tmp_path):
    events = [Network(START + i * SECOND, interface_name="eth0", rx_bytes=i * 1000) for i in (0, 1, 2, 6, 7, 3, 4, 5)]
    reader = reader_of(tmp_path / "db", events)
    assert rates(reader, "network", "rx_bytes") == [[None, *7 * [1000]]]
    reader.close()


@pytest.mark.parametrize("step_s", [40, 3600])
def test_a_process_whose_clock_leaps_ahead_was_not_away(tmp_path, step_s):
    stamps = [START + (i + (step_s if i >= 10 else 0)) * SECOND for i in range(20)]
    events = [Process(at, pid=7, start_ticks=3, utime_ms=i * 500) for i, at in enumerate(stamps)]
    events += [Cpu(at, cpu=-1, idle=i * 100) for i, at in enumerate(stamps)]
    reader = reader_of(tmp_path / "db", events)
    [found] = rates(reader, "process", "utime_ms")
    reader.close()
    assert found == [None, *19 * [pytest.approx(500, rel=0.01)]]


def counters():
    """Every counter of every kind that is sampled."""
    for kind in kinds().values():
        for column in kind.columns:
            if isinstance(column.semantics, Counter) and kind.interval_s is not None:
                yield kind, column


SHAPES = {
    "glitch": [10**12, 10**12 + 10, 0, 0, 0, 10**12 + 50, 10**12 + 60],
    "reset": [10**6, 10**6 + 1000, 10**6 + 2000, 3000, 4000, 5000, 6000],
    "falls": [10**9, 10**9 - 10**6, 10**9 - 2 * 10**6, 10**9 - 3 * 10**6],
}
"""Courses of a counter that has nothing of its own."""
RATES = {"glitch": {10.0}, "reset": {1000.0}, "falls": set()}


def test_no_counter_of_any_kind_grows_where_it_falls(tmp_path):
    def name_of(column, shape):
        return shape if column.type == "TEXT" else list(SHAPES).index(shape)

    events = []
    for kind in {kind.name: kind for kind, _ in counters()}.values():
        for shape, values in SHAPES.items():
            for i, value in enumerate(values):
                # A kind that has one series a machine has one shape only, the others would follow it.
                if not kind.entity and shape != "glitch":
                    continue
                who = {
                    name: next(iter(kind.by_name[name].choices), name_of(kind.by_name[name], shape))
                    for name in kind.entity
                }
                columns = {column.name: value for owner, column in counters() if owner is kind}
                events.append(kind.struct(START + i * SECOND * int(kind.interval_s), **who, **columns))
    reader = reader_of(tmp_path / "db", events)
    seen = 0
    for kind, column in counters():
        if any(kind.by_name[name].choices for name in kind.entity):
            continue  # its three courses would be one entity
        for one in series(reader, kind.name, column.name, START, END):
            key = next(iter(one.entity.values()), "glitch")
            shape = key if isinstance(key, str) else list(SHAPES)[key]
            rated = {point.value * kind.interval_s for point in one.points if point.value}
            assert rated <= RATES[shape], (kind.name, column.name, shape, one.points)
            seen += 1
    reader.close()
    assert seen > 200
