"""Times and durations as people write them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelsight.errors import UsageError
from kernelsight.query.times import TimeRange, parse_duration, parse_time, time_range

NOW = 1_790_000_000_000_000_000  # 2026-09-21 14:13:20 UTC
S = 1_000_000_000


@pytest.fixture
def new_york(monkeypatch):
    """Local time is New York's: four hours behind UTC in summer, five in winter."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("written", "ns"),
    [
        ("now", NOW),
        (" NOW ", NOW),
        ("15m", NOW - 900 * S),
        ("1h30m", NOW - 5400 * S),
        ("1.5h", NOW - 5400 * S),
        ("250ms", NOW - S // 4),
        ("2d", NOW - 172_800 * S),
        ("2026-09-21T14:13:20Z", NOW),
        ("2026-09-21 16:13:20+02:00", NOW),
        ("2026-09-21 14:13:20.25+00:00", NOW + S // 4),
        ("2026-09-21T14:13:20.123456789Z", NOW + 123_456_789),
        ("2026-09-21t14:13:20,5z", NOW + S // 2),
        ("2026-09-21 16:13:20 +0200", NOW),
        ("2026-09-21 14:13:20 UTC", NOW),
        ("2026-09-21T10:13:20.000000001-04", NOW + 1),
        (str(NOW), NOW),
        (NOW, NOW),
        (0, 0),
        (datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC), NOW),
        (datetime(2026, 9, 21, 10, 13, 20, 1, tzinfo=timezone(timedelta(hours=-4))), NOW + 1000),
    ],
)
def test_a_time_may_be_written_in_many_ways(written, ns):
    assert parse_time(written, now_ns=NOW) == ns


@pytest.mark.usefixtures("new_york")
@pytest.mark.parametrize(
    ("written", "ns"),
    [
        (datetime(2026, 9, 21, 10, 13, 20), NOW),  # noqa: DTZ001 - naive on purpose
        ("2026-09-21 10:13:20", NOW),
        ("2026-09-21", NOW - (10 * 3600 + 13 * 60 + 20) * S),
        ("10:13", NOW - 20 * S),
        ("10:14", NOW + 40 * S - 86_400 * S),  # not yet today, so yesterday
    ],
)
def test_a_time_without_a_zone_is_local(written, ns):
    assert parse_time(written, now_ns=NOW) == ns


@pytest.mark.usefixtures("new_york")
def test_the_hour_that_a_clock_shows_twice_is_told_apart_by_fold():
    first = parse_time(datetime(2026, 11, 1, 1, 30, fold=0))  # noqa: DTZ001 - naive on purpose
    second = parse_time(datetime(2026, 11, 1, 1, 30, fold=1))  # noqa: DTZ001
    assert second - first == 3600 * S


@pytest.mark.usefixtures("new_york")
def test_an_hour_that_clocks_left_out_is_what_timestamp_says():
    skipped = datetime(2026, 3, 8, 2, 30)  # noqa: DTZ001 - naive on purpose
    assert parse_time(skipped) == int(skipped.timestamp()) * S


@pytest.mark.usefixtures("new_york")
def test_a_time_of_day_at_the_end_of_a_range_comes_after_its_start():
    when = time_range("2026-09-20 23:00", "01:00", now_ns=NOW)
    assert when.length_ns - 1 == 2 * 3600 * S


@pytest.mark.parametrize(
    "nonsense", ["", "yesterday", "25:00", "14:60", "-5m", "5 parsecs", "1e9", 12345, -1, True, None, 1.5, 2**63, "٣m"]
)
def test_what_is_no_time_is_refused_with_what_is(nonsense):
    with pytest.raises(UsageError, match=r"give|time"):
        parse_time(nonsense, now_ns=NOW)


@pytest.mark.parametrize(
    ("written", "ns"),
    [("10s", 10 * S), ("1h 30m", 5400 * S), ("5us", 5000), (timedelta(milliseconds=3), 3_000_000), (7, 7), ("0s", 0)],
)
def test_durations(written, ns):
    assert parse_duration(written) == ns


@pytest.mark.parametrize("nonsense", ["", "5", "-5s", -5, timedelta(seconds=-1), True, "1x", None])
def test_what_is_no_duration_is_refused(nonsense):
    with pytest.raises(UsageError, match="duration"):
        parse_duration(nonsense)


def test_a_range_that_ends_before_it_starts_is_refused():
    with pytest.raises(UsageError, match="before it starts"):
        time_range("5m", "10m", now_ns=NOW)


def test_a_datetime_before_the_epoch_is_the_first_moment_there_is():
    assert parse_time(datetime(1950, 1, 1, tzinfo=UTC)) == 0
    assert time_range(datetime(1, 1, 1), datetime(9999, 12, 31)) == TimeRange(0, 2**63 - 1)  # noqa: DTZ001


@given(st.text(max_size=30))
def test_any_text_is_a_time_or_a_usage_error(text):
    try:
        assert 0 <= parse_time(text, now_ns=NOW) <= 2**63 - 1
    except UsageError as error:
        assert repr(text.strip()) in str(error) or "nanoseconds" in str(error)  # noqa: PT017 - either is right
