"""Times as people write them: zones, changes of the clock, and what is refused."""

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from kernelsight.errors import UsageError
from kernelsight.query import format_time, parse_duration, parse_time, time_range
from kernelsight.query.documented import get_timestamp_ns

SECOND = 1_000_000_000


def utc(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * SECOND


@pytest.fixture
def new_york(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("new_york")
@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (datetime(2026, 7, 1, 12), utc(2026, 7, 1, 16)),
        (datetime(2026, 12, 1, 12), utc(2026, 12, 1, 17)),
        (datetime(2026, 7, 1, 12, tzinfo=UTC), utc(2026, 7, 1, 12)),
        (datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=5, minutes=30))), utc(2026, 7, 1, 6, 30)),
        ("2026-07-01 12:00", utc(2026, 7, 1, 16)),
        ("2026-07-01T12:00:00Z", utc(2026, 7, 1, 12)),
        ("2026-07-01 12:00+01:00", utc(2026, 7, 1, 11)),
        ("2026-07-01", utc(2026, 7, 1, 4)),
        # Clocks were set back at 06:00 UTC: 01:30 was twice, and fold says which.
        (datetime(2026, 11, 1, 1, 30), utc(2026, 11, 1, 5, 30)),
        (datetime(2026, 11, 1, 1, 30, fold=1), utc(2026, 11, 1, 6, 30)),
        # Clocks were set forward at 07:00 UTC: 02:30 never was; then the old offset holds, as for timestamp().
        (datetime(2026, 3, 8, 2, 30), utc(2026, 3, 8, 7, 30)),
    ],
)
def test_a_time_without_a_zone_is_local(written, meant):
    assert parse_time(written) == meant
    if isinstance(written, datetime):
        assert get_timestamp_ns(written) == meant


@pytest.mark.usefixtures("new_york")
def test_a_time_of_day_is_the_last_one_before_now_and_the_next_one_after_a_start():
    now = utc(2026, 7, 1, 16)  # noon
    assert parse_time("11:59:30", now_ns=now) == utc(2026, 7, 1, 15, 59, 30)
    assert parse_time("12:01", now_ns=now) == utc(2026, 6, 30, 16, 1)
    when = time_range("23:00", "01:00", now_ns=now)
    assert (when.start_ns, when.end_ns) == (utc(2026, 7, 1, 3), utc(2026, 7, 1, 5))


def test_microseconds_are_exact():
    moment = datetime(2026, 11, 23, 14, 0, 5, 123_457, tzinfo=UTC)
    assert parse_time(moment) == utc(2026, 11, 23, 14, 0, 5) + 123_457_000
    assert format_time(parse_time(moment)) == "2026-11-23 14:00:05.123457"


def test_ages_and_durations():
    now = utc(2026, 7, 1)
    assert parse_time("1h30m", now_ns=now) == now - 5400 * SECOND
    assert parse_time("now", now_ns=now) == now
    assert parse_time("9999d", now_ns=now) == now - 9999 * 86_400 * SECOND
    assert [parse_duration(text) for text in ("250ms", "1.5s", "2d")] == [250_000_000, 1_500_000_000, 172_800 * SECOND]


def test_what_no_clock_can_show_is_the_first_or_last_moment():
    assert parse_time(datetime(1, 1, 1, tzinfo=UTC)) == 0
    assert parse_time(datetime(9999, 1, 1, tzinfo=UTC)) == 2**63 - 1


@pytest.mark.parametrize("written", ["", "soon", "25:00", "2026-13-01", 1_790_000_000, 1.5, None, True, "-5m"])
def test_what_is_no_time_is_refused_with_what_is(written):
    with pytest.raises(UsageError, match="give a datetime"):
        parse_time(written)


def test_a_range_that_ends_before_it_starts_is_refused():
    with pytest.raises(UsageError, match="before it starts"):
        time_range("1h", "2h")
