from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelsight.ingest.notations import UnreadableTimeError
from kernelsight.ingest.times import Clocks, Stamp, find_stamp, read_stamp

NOW = 1_795_000_000_123_456_789
DAY = 86_400 * 10**9


def clocks(uptime: int, suspended: int = 0) -> Clocks:
    return Clocks(now=NOW, boot=uptime, monotonic=uptime - suspended)


MONTH_UP = clocks(30 * DAY)


@pytest.mark.parametrize(
    ("written", "epoch_ns"),
    [
        (NOW, NOW),
        (1_795_000_000_123_456, 1_795_000_000_123_456_000),
        (1_795_000_000_123, 1_795_000_000_123_000_000),
        (1_795_000_000, 1_795_000_000_000_000_000),
        (1_795_000_000.123456, 1_795_000_000_123_456_000),
        (1_795_000_000_123.5, 1_795_000_000_123_500_000),
        ("1795000000", 1_795_000_000_000_000_000),
        ("2026-11-18T11:06:40Z", int(datetime(2026, 11, 18, 11, 6, 40, tzinfo=UTC).timestamp()) * 10**9),
        (
            "2026-11-18 12:06:40.123456789+01:00",
            int(datetime(2026, 11, 18, 11, 6, 40, tzinfo=UTC).timestamp()) * 10**9 + 123_456_789,
        ),
        (
            "2026-11-18T11:06:40,5+0000",
            int(datetime(2026, 11, 18, 11, 6, 40, tzinfo=UTC).timestamp()) * 10**9 + 500_000_000,
        ),
    ],
)
def test_every_unit_and_notation_since_the_epoch(written, epoch_ns):
    assert read_stamp(written, clocks(5 * 10**9)) == Stamp(epoch_ns)


def test_a_time_without_zone_is_local():
    local = datetime(2026, 11, 18, 11, 6, 40)  # noqa: DTZ001 - a naive time is the subject
    assert read_stamp("2026-11-18T11:06:40", MONTH_UP).epoch_ns == int(local.timestamp()) * 10**9


def test_time_since_boot_becomes_time_since_the_epoch():
    assert read_stamp(30 * DAY - 7, MONTH_UP) == Stamp(NOW - 7)


@pytest.mark.parametrize(
    "uptime", [5 * 10**9, 30 * 60 * 10**9, 20 * DAY], ids=["seconds", "milliseconds", "microseconds"]
)
def test_an_uptime_that_looks_like_an_epoch_is_what_lies_nearer_to_now(uptime):
    assert read_stamp(uptime - 1000, clocks(uptime)) == Stamp(NOW - 1000)


def test_an_epoch_that_looks_like_an_uptime_is_what_lies_nearer_to_now():
    in_ms = NOW // 10**6
    assert read_stamp(in_ms, MONTH_UP) == Stamp(in_ms * 10**6)


@pytest.mark.parametrize("unit", [10**9, 10**6, 10**3])
def test_a_recording_with_dates_is_not_taken_for_the_uptime_of_a_machine_that_came_up_since(unit):
    recorded = NOW - 400 * DAY
    assert read_stamp(recorded // unit, clocks(2 * 3600 * 10**9)) == Stamp(recorded // unit * unit)


def test_a_date_far_in_the_future_is_an_uptime_if_it_can_be_one():
    uptime = 2 * 3600 * 10**9
    assert read_stamp(uptime - 3600 * 10**9, clocks(uptime)) == Stamp(NOW - 3600 * 10**9)


def test_seconds_in_the_future_are_not_the_moment_of_booting():
    assert read_stamp(2_000_000_000, MONTH_UP) == Stamp(2_000_000_000 * 10**9)


def test_both_clocks_since_boot_are_understood_after_a_suspend():
    slept = clocks(10**13, suspended=4 * 10**12)
    assert read_stamp(10**13 - 3, slept) == Stamp(NOW - 3)
    assert read_stamp(6 * 10**12 - 3, slept) == Stamp(NOW - 3)


def test_fractional_seconds_since_boot():
    assert read_stamp(3599.5, clocks(3600 * 10**9)) == Stamp(NOW - 500_000_000)


@pytest.mark.parametrize("uptime_s", [40, 2_151, 86_400, 30 * 86_400], ids=lambda s: f"up {s} s")
@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9], ids=["ns", "us", "ms", "s"])
def test_a_live_stamp_since_boot_is_understood_in_every_unit(uptime_s, unit):
    # 1.8e9 us, half an hour, are today's seconds since the epoch; not so the uptimes here.
    since_boot = uptime_s * 10**9 + 123_456_789 - 10**9
    stamp = read_stamp(since_boot // unit, clocks(uptime_s * 10**9 + 123_456_789))
    assert stamp == Stamp(NOW - 10**9 - since_boot % unit)


def test_a_live_stamp_since_boot_in_milliseconds_with_a_fraction():
    assert read_stamp(2_150_250.5, clocks(2_151 * 10**9)) == Stamp(NOW - 749_500_000)


@pytest.mark.parametrize("ago_s", [1, 300, 3600])
def test_seconds_since_the_epoch_are_that_whatever_the_uptime_is(ago_s):
    recorded = NOW // 10**9 - ago_s
    for uptime_s in (1_795, 2_000, 2_395, 3_600):  # half an hour in microseconds looks the same
        assert read_stamp(recorded, clocks(uptime_s * 10**9)) == Stamp(recorded * 10**9)


def test_a_recorded_stamp_since_boot_in_another_unit_is_not_the_moment_of_booting():
    assert read_stamp(1_000_000, clocks(2_151 * 10**9)) == Stamp(NOW - 1_151 * 10**9)


def test_a_stamp_of_another_boot_takes_the_time_of_arrival_and_says_so():
    assert read_stamp(5 * 10**13, clocks(10**13)) == Stamp(NOW, arrival=True)


@pytest.mark.parametrize(
    "written",
    [
        0,
        -5,
        True,
        None,
        [],
        {},
        "",
        "noon",
        "12:00:00",
        "2026-13-45T99:99:99Z",
        10**30,
        "1e400",
        1e300,
        "9" * 100,
        "nan",
    ],
)
def test_what_is_no_time_is_refused(written):
    with pytest.raises(UnreadableTimeError):
        read_stamp(written, MONTH_UP)


def test_the_name_says_the_unit():
    seconds = NOW // 10**9
    assert find_stamp({"time_bucket": seconds}, MONTH_UP) == Stamp(seconds * 10**9)
    assert find_stamp({"timestamp_ms": NOW // 10**6}, MONTH_UP) == Stamp(NOW // 10**6 * 10**6)
    assert find_stamp({"timestamp_us": NOW // 10**3}, MONTH_UP) == Stamp(NOW // 10**3 * 10**3)
    assert find_stamp({"timestamp_ns": NOW}, MONTH_UP) == Stamp(NOW)


def test_the_first_name_with_a_readable_time_counts():
    assert find_stamp({"timestamp": None, "ts": "noon", "time": NOW}, MONTH_UP) == Stamp(NOW)


def test_none_at_all_is_refused_with_the_reason():
    with pytest.raises(UnreadableTimeError, match="no timestamp"):
        find_stamp({"comm": "x"}, MONTH_UP)


anything = st.one_of(
    st.integers(), st.floats(), st.text(max_size=60), st.booleans(), st.none(), st.lists(st.integers())
)


@given(anything, st.integers(1, 10**17))
def test_nothing_ever_becomes_1970_or_raises_anything_else(written, uptime):
    try:
        stamp = read_stamp(written, clocks(uptime))
    except UnreadableTimeError:
        return
    assert min(10**18, NOW - uptime) <= stamp.epoch_ns < 2**63


@given(st.integers(1, 10**17), st.integers(0, 600 * 10**9))
def test_a_stamp_of_a_live_tracer_is_right_to_the_nanosecond_unless_a_date_is_nearer(uptime, age):
    if age < uptime:
        stamp = read_stamp(uptime - age, clocks(uptime)).epoch_ns
        assert stamp == NOW - age or abs(stamp - NOW) < age


# --- clocks that were never set ---

UNSET = {
    "1970, which began with the boot": Clocks(now=300 * 10**9, boot=300 * 10**9, monotonic=300 * 10**9),
    "1970, after a suspend": Clocks(now=9_000 * 10**9, boot=8_990 * 10**9, monotonic=300 * 10**9),
    "a clock that begins with 2000": Clocks(now=946_684_800 * 10**9 + 5, boot=400 * 10**9, monotonic=400 * 10**9),
}


@pytest.mark.parametrize("now", UNSET.values(), ids=UNSET)
def test_where_the_clock_was_never_set_what_just_happened_is_read_in_every_unit(now):
    stamp = now.now - 3 * 10**9
    for unit in (1, 10**3, 10**6, 10**9):
        assert read_stamp(stamp // unit, now) == Stamp(stamp // unit * unit)
    assert read_stamp(now.monotonic - 3 * 10**9, now) == Stamp(stamp)  # of a tracer
    iso = datetime.fromtimestamp(stamp // 10**9, tz=UTC).isoformat()
    assert read_stamp(iso, now) == Stamp(stamp // 10**9 * 10**9)
    assert read_stamp(NOW, now) == Stamp(NOW)  # the clock of another machine was set


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (946_684_800_000_000_000, Stamp(946_684_800_000_000_000)),  # a recording: 2000-01-01
        (315_532_800_000_000_001, Stamp(315_532_800_000_000_001)),  # 1980-01-01, where clocks of many machines begin
        (10**17, Stamp(NOW, arrival=True)),  # three years: the uptime of another machine
        ("1999-12-31T23:59:59Z", None),
    ],
)
def test_from_1980_on_nanoseconds_are_of_a_clock_that_was_never_set_elsewhere(written, expected):
    if expected is None:
        with pytest.raises(UnreadableTimeError, match="out of range"):
            read_stamp(written, MONTH_UP)
    else:
        assert read_stamp(written, MONTH_UP) == expected
