"""A stamp is read to the last digit that it has, or refused by the name of its form."""

import re
import time
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored import ingest
from test_times import MONTH_UP, NOW

from kernelsight.ingest.notations import UnreadableTimeError, read_text
from kernelsight.ingest.times import read_stamp

CASES = Path(__file__).parents[1] / "fixtures" / "cases"
NOON = 1_721_908_800 * 10**9  # 2024-07-25T12:00:00Z


@pytest.fixture
def berlin(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_every_stamp_of_the_case_is_exact_or_refused_by_its_form(berlin):
    result = ingest((CASES / "stamps.ndjson").read_bytes())
    assert result.total["lines"] == 29
    stored = {dict(columns)["pid"]: dict(columns)["timestamp"] for _, columns in result.rows}
    reasons = {int(re.search(r'"pid": (\d+)', raw)[1]): reason for _, reason, raw, _ in result.rejected}
    exact = {
        1000: 1692108548132154500,
        1001: 1692108548132160500,
        1002: 1795499999123456789,
        1003: 1795499999123456789,
        1004: 1712312062676735437,
        1005: NOON + 123456789,
        1006: NOON + 500000000,
        1007: NOON,
        1008: NOON + 500000000,
        1009: NOON + 500000000 - 2 * 3600 * 10**9,
        1010: NOON + 123456789,
        1011: NOON,
        1012: 1_483_228_800 * 10**9,  # 2017-01-01T00:00:00Z: in Unix time a leap second has the number of the next one
    }
    assert {pid: stored[pid] for pid in exact} == exact
    named = {
        1013: "second 60",
        1014: "hour 24",
        1015: "a time of day without a date",
        1016: "thousands separators",
        1017: "ctime",
        1018: "e-mail",
        1019: "exponent",
        1020: "local time comes never",
        1021: "not a date",
        1027: "zero",
        1028: "negative",
    }
    assert {pid: part in reasons[pid] for pid, part in named.items()} == dict.fromkeys(named, True), reasons


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2024-07-25T12:00Z", NOON),
        ("2024-07-25T14:00:00+0200", NOON),
        ("2024-07-25T09:30:00-02:30", NOON),
        ("2024-07-25T12:00:00-00:00", NOON),
        ("20240725T120000,25Z", NOON + 250_000_000),
        ("2024-07-25 12:00:00.000000001 GMT", NOON + 1),
        ("2024-07-25T12:00:00.9999999999Z", NOON + 999_999_999),
    ],
)
def test_a_date_and_time_in_every_notation_that_means_one_moment(text, ns):
    assert read_text(text) == ns


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("2024-W30-4T12:00:00Z", "week date"),
        ("2024-207T12:00:00Z", "ordinal date"),
        ("2024-07-25", "date without a time of day"),
        ("2024-07-25 12:00:00 CEST", "name of a time zone"),
        ("2024-07-25T12:00:00+02:00[Europe/Berlin]", "name of a time zone"),
        ("2024-07-25 12:00:00 PM", "12 hours"),
        ("07/25/2024 12:00:00", "slashes"),
        ("25.07.2024 12:00", "slashes or dots"),
        ("[25/Jul/2024:12:00:00 +0000]", "web server"),
        ("Jul 25 12:00:00 h app", "syslog"),
        ("[ 2165.360806]", "kernel's log"),
        ("0x6b0a", "hexadecimal"),
        ("3h5m", "duration"),
        ("PT5M", "duration"),
        ("Infinity", "not a finite number"),
        ("1795499999,5", "decimal comma"),
        ("1_795_499_999", "thousands separators"),
        ("20240725120000", "without separators"),
        ("2024-07-25T12:00.5Z", "not a time"),
        ("2024-07-25T12:00:00+02:60", "not a date"),
        ("2024-07-25T12:00:00+24:00", "not a date"),
        ("9999-12-31T23:59:59Z", "out of range"),
        ("0001-01-01T00:00:00Z", "out of range"),
    ],
)
def test_a_form_that_is_not_read_is_named(text, form):
    with pytest.raises(UnreadableTimeError, match=form):
        read_stamp(text, MONTH_UP)


def test_an_hour_that_local_clocks_show_twice_is_refused(berlin):
    with pytest.raises(UnreadableTimeError, match="twice"):
        read_text("2026-10-25 02:30:00")
    assert read_text("2026-10-25 02:30:00+01:00") == 1_792_891_800 * 10**9


@pytest.mark.parametrize("number", [5_000_000_000, 2_165_360_805_843])
def test_a_number_that_is_a_date_in_decades_or_another_uptime_is_refused(number):
    from kernelsight.ingest.times import Clocks

    just_up = Clocks(now=NOW, boot=900 * 10**9, monotonic=900 * 10**9)
    with pytest.raises(UnreadableTimeError, match="ten years ahead"):
        read_stamp(number, just_up)


@given(st.integers(NOW - 400 * 86_400 * 10**9, NOW), st.sampled_from([10**9, 10**6, 10**3]), st.booleans())
def test_a_fraction_of_any_unit_keeps_every_digit(epoch_ns, unit, as_text):
    number = Decimal(epoch_ns) / unit
    assert number * unit == epoch_ns
    assert read_stamp(str(number) if as_text else number, MONTH_UP).epoch_ns == epoch_ns
