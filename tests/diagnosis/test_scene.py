"""A number out of very many rows cites enough of them to show it, and not all."""

import pytest
from scenes import SECOND, START, stored

from kernelsight.diagnosis.scene import Scene
from kernelsight.events.memory import Memory
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import open_reader

COUNT = 1000


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    rows = [
        Memory(START + i * SECOND // 2, mem_free_kb=i, dirty_kb=10_000 if i == 777 else i % 7) for i in range(COUNT)
    ]
    reader = open_reader(stored(tmp_path_factory.mktemp("scene") / "db", rows))
    yield Scene(reader, TimeRange(START, START + COUNT * SECOND))
    reader.close()


@pytest.mark.parametrize(("how", "value"), [("increase", COUNT - 1), ("last", COUNT - 1), ("slope", 2.0)])
def test_what_grows_steadily_is_shown_by_some_of_the_rows_as_well_as_by_all(scene, how, value):
    shown = scene.evidence("memory", scene.rows("memory"), "mem_free_kb", how)
    assert shown.value == pytest.approx(value)
    assert len(shown.row_ids) < 150
    assert (shown.start_ns, shown.end_ns) == (START, START + (COUNT - 1) * SECOND // 2)


def test_the_largest_of_many_is_among_the_rows_that_are_cited(scene):
    shown = scene.evidence("memory", scene.rows("memory"), "dirty_kb", "max")
    assert shown.value == 10_000
    assert len(shown.row_ids) < 150


def test_a_sum_cites_every_row(scene):
    shown = scene.evidence("memory", scene.rows("memory"), "mem_free_kb", "sum")
    assert shown.value == sum(range(COUNT))
    assert len(shown.row_ids) == COUNT
