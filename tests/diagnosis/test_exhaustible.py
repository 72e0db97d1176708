"""What can be used up: each resource stands once, and its end is foreseen from the same two numbers."""

from typing import get_args

import pytest

from kernelsight.diagnosis.exhaustible import DESCRIPTORS, EXHAUSTIBLES, FORESIGHT_TIMES, HORIZON_S, SPACE
from kernelsight.diagnosis.trend import Trend
from kernelsight.events.action import Resource
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.process import Process
from kernelsight.surfaces.mechanisms_page import mechanisms_page

S = 1_000_000_000


def opens(per_second, seconds):
    """A process that has opened 10 descriptors, and then one after the other."""
    rows = [Process(second * S, fds=int(10 + per_second * second)) for second in range(seconds + 1)]
    return Trend(rows, per_second, 10.0, float(rows[-1].fds), Process.fds)


def test_every_resource_that_is_forecast_stands_in_the_table_once():
    assert sorted(resource.name for resource in EXHAUSTIBLES) == sorted(get_args(Resource))
    page = "\n".join(mechanisms_page([]))
    for resource in EXHAUSTIBLES:
        assert f"{resource.level.__name__}` (" in page
        assert resource.freed_by in page
        assert resource.horizon_s.because in page
        assert resource.foresight_times.because in page


@pytest.mark.parametrize(
    ("limit", "soon"),
    [(420, True), (421, False)],  # 20 after 10 s of one a second: 40 times as long is 400 s
)
def test_an_end_is_foreseen_as_many_times_ahead_as_it_has_been_seen_and_within_the_horizon(limit, soon):
    assert DESCRIPTORS.ends_soon(opens(1, 10), limit) is soon


def test_the_horizon_holds_for_what_has_been_seen_for_long():
    long = opens(1, 60)
    assert DESCRIPTORS.ends_soon(long, 70 + int(HORIZON_S / 8))
    assert not DESCRIPTORS.ends_soon(long, 71 + int(HORIZON_S / 8))
    assert HORIZON_S / 8 < 60 * FORESIGHT_TIMES * 2 / 3


def test_without_a_limit_or_a_trend_nothing_ends():
    assert DESCRIPTORS.ends_in_s(opens(1, 10), None) is None
    assert DESCRIPTORS.ends_in_s(None, 1024) is None
    assert not DESCRIPTORS.ends_soon(None, 1024)


def test_what_is_left_ends_at_nothing():
    rows = [Filesystem(second * S, avail_bytes=1000 - 100 * second) for second in range(6)]
    assert SPACE.ends_in_s(Trend(rows, -100.0, 1000.0, 500.0, Filesystem.avail_bytes), None) == 5.0
