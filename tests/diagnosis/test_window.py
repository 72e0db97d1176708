"""Rows of a window: what is cited of very many, and what counters grew by."""

from contextlib import closing

import pytest
from scenes import SECOND, START, stored

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import wrong_with
from kernelsight.diagnosis.window import Window, samples_of
from kernelsight.events.block import Block
from kernelsight.events.clock import ClockStep
from kernelsight.events.memory import Memory, Vmstat
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Cpu
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import open_reader

COUNT = 1000


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    rows = [
        Memory(START + i * SECOND // 2, mem_free_kb=i, dirty_kb=10_000 if i == 777 else i % 7) for i in range(COUNT)
    ]
    rows += [Vmstat(row.timestamp, pgfault=row.mem_free_kb) for row in rows]
    reader = open_reader(stored(tmp_path_factory.mktemp("window") / "db", rows))
    yield Window(reader, TimeRange(START, START + COUNT * SECOND))
    reader.close()


@pytest.mark.parametrize(("how", "value"), [("increase", COUNT - 1), ("last", COUNT - 1), ("slope", 2.0)])
def test_what_grows_steadily_is_shown_by_some_of_the_rows_as_well_as_by_all(window, how, value):
    shown = window.evidence(window.rows(Vmstat), Vmstat.pgfault, how)
    assert shown.value == pytest.approx(value)
    assert len(shown.row_ids) < 150
    assert (shown.start_ns, shown.end_ns) == (START, START + (COUNT - 1) * SECOND // 2)


def test_the_largest_of_many_is_among_the_rows_that_are_cited(window):
    shown = window.evidence(window.rows(Memory), Memory.dirty_kb, "max")
    assert shown.value == 10_000
    assert len(shown.row_ids) < 150


def test_a_sum_cites_every_row(window):
    shown = window.evidence(window.rows(Memory), Memory.mem_free_kb, "sum")
    assert shown.value == sum(range(COUNT))
    assert len(shown.row_ids) == COUNT


def changes_of(tmp_path, values, stamps=None, when=None):
    """The changes of a device whose requests read are these, and a reader of it."""
    stamps = stamps or [START + i * SECOND for i in range(len(values))]
    rows = [Block(at, device_name="vda", read_ios=value) for at, value in zip(stamps, values, strict=True)]
    rows += [Memory(at, mem_free_kb=1) for at in stamps]
    rows += [Cpu(at, cpu=-1, idle=i * 100) for i, at in enumerate(stamps)]
    reader = open_reader(stored(tmp_path / "db", rows))
    window = Window(reader, when or TimeRange(min(stamps), max(stamps)))
    return window, window.deltas(Block).get(("vda",), [])


@pytest.mark.parametrize(
    ("values", "grown"),
    [
        pytest.param([10**9, 10**9 + 10, 10**9 + 30], [10, 20], id="growth"),
        pytest.param([10**9, 10**9 + 10, 0, 0, 10**9 + 40], [10, 10, 10, 10], id="glitch"),
        pytest.param([5000, 5100, 40, 140, 240], [100, 0, 100, 100], id="reset"),
        pytest.param([5000, 4999, 4998, 4997], [0, 0, 0], id="falls-by-one"),
        pytest.param([10, None, 30], [10, 10], id="unknown"),
    ],
)
def test_a_change_is_what_the_rule_says(tmp_path, values, grown):
    window, changes = changes_of(tmp_path, values)
    found = [change.of(Block.read_ios) for change in changes]
    assert found == grown
    evidence = window.evidence(samples_of(changes), Block.read_ios, "increase")
    assert evidence.value == sum(found)
    assert wrong_with(window.reader, evidence) == ""
    window.reader.close()


def test_a_window_that_begins_within_a_glitch_knows_what_was_before_it(tmp_path):
    values = [10**12, 10**12 + 10, 0, 0, 10**12 + 40, 10**12 + 50]
    window, changes = changes_of(tmp_path, values, when=TimeRange(START + 2 * SECOND, START + 5 * SECOND))
    assert [change.of(Block.read_ios) for change in changes] == [10, 10, 10]
    evidence = window.evidence(samples_of(changes), Block.read_ios, "increase")
    assert evidence.value == 10
    window.reader.close()


@pytest.mark.parametrize("step_ns", [-5_300_000_000, -5_000_000_000, 7_000_000_000, 3600 * SECOND])
def test_a_clock_that_is_set_changes_no_rate(tmp_path, step_ns):
    stamps = [START + i * SECOND + (step_ns if i >= 10 else 0) for i in range(20)]
    window, changes = changes_of(tmp_path, [i * 100 for i in range(20)], stamps)
    assert [change.of(Block.read_ios) / change.seconds for change in changes] == 19 * [pytest.approx(100)]
    window.reader.close()


@pytest.mark.parametrize("is_told", [True, False])
def test_a_leak_is_seen_across_a_clock_that_was_set_back(tmp_path, is_told):
    """The stamps of half a minute occur twice, and the levels of both passes take turns in them."""
    back = [0] * 60 + [-30 * SECOND] * 60
    stamps = [START + i * SECOND + step for i, step in enumerate(back)]
    rows = []
    for i, at in enumerate(stamps):
        rows.append(Memory(at, mem_total_kb=8 << 20, mem_available_kb=6 << 20))
        rows.extend(Cpu(at, cpu=cpu, user=i, system=i, idle=98 * i) for cpu in (-1, 0))
        rows.append(Process(at, pid=70, start_ticks=1, comm="leaky", fds=100 + 6 * i, fd_limit=1024, utime_ms=i))
    if is_told:
        rows.append(ClockStep(stamps[60], step_ns=-30 * SECOND, suspended_ns=0, before_ns=START + 60 * SECOND))
    path = stored(tmp_path / "db", rows)
    [finding] = diagnose(path, START, stamps[-1]).findings
    assert (finding.fault, finding.culprit.name) == ("fd_leak", "leaky")
    with closing(open_reader(path)) as reader:
        window = Window(reader, TimeRange(START, stamps[-1]))
        [process] = window.series(Process).values()
        assert [row.fds for row in process] == [100 + 6 * i for i in (*range(30), *range(60, 120))]
        [samples] = window.samples(Process).values()
        assert len(samples.rows) == 120, "counters tell which row came first, and need all"
