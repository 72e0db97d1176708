"""Moments as people read them, and that one module alone writes them."""

from __future__ import annotations

import ast
import re
import time
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import kernelsight
from kernelsight.agent.questions.times import spoken_times
from kernelsight.errors import UsageError
from kernelsight.moments import format_time, format_utc, in_utc, time_of_day, to_next_second, to_second, with_texts
from kernelsight.query.times import parse_time, time_range

SECOND = 1_000_000_000
ZONES = ["UTC", "Europe/Berlin", "America/St_Johns", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]
FOLD = 1_793_491_200 * SECOND
"""2026-11-01 00:00 UTC: clocks of North America are set back some hours later."""
OWNER = "moments.py"
WRITERS = {"strftime", "isoformat", "fromtimestamp", "utcfromtimestamp", "gmtime", "localtime", "ctime", "asctime"}


@contextmanager
def in_zone(name):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", name)
        time.tzset()
        yield
    time.tzset()


moments = st.integers(10**18, 2**63 - 1) | st.builds(
    lambda hours, ns: FOLD + hours * 1800 * SECOND + ns, st.integers(-48, 9000), st.integers(0, SECOND - 1)
)


@given(moments, st.sampled_from(ZONES), st.booleans())
@example(FOLD + 5 * 3600 * SECOND + 1800 * SECOND, "America/New_York", False)
@example(FOLD + 6 * 3600 * SECOND + 1800 * SECOND, "America/New_York", False)
def test_what_is_shown_is_read_as_the_same_nanosecond(ns, zone, utc):
    with in_zone(zone):
        shown = format_time(ns)
        if utc:
            with in_utc():
                shown = format_time(ns)
        variants = [shown, shown.replace("T", " "), f"  {shown} ", shown[:19] + shown[19:].replace(":", "")]
        variants.append(shown.replace("+", " +"))
        assert [parse_time(text) for text in variants] == [ns] * len(variants)
        assert parse_time(format_utc(ns)) == ns
        assert parse_time(to_second(ns)) == ns // SECOND * SECOND
        assert ns <= parse_time(to_next_second(ns)) < ns + SECOND or ns > 2**63 - 1 - SECOND
        assert to_second(ns).endswith(time_of_day(ns))


@given(moments, st.sampled_from(ZONES))
def test_a_time_without_a_zone_is_in_the_zone_that_is_shown(ns, zone):
    with in_zone(zone), in_utc():
        shown = format_time(ns)
        assert shown.endswith("Z")
        assert parse_time(shown[:-1]) == ns


def test_a_time_of_day_is_in_the_zone_that_is_shown():
    noon = parse_time("2026-11-23T12:00:00Z")
    with in_zone("Asia/Kathmandu"):
        assert parse_time("17:30:00.000000001", now_ns=noon) == noon - 900 * SECOND + 1
        with in_utc():
            assert parse_time("11:30", now_ns=noon) == noon - 1800 * SECOND


@pytest.mark.parametrize("shown", ["2026-11-23T14:05:03.123456789+05:45", "2026-11-23 14:05:03Z"])
def test_a_time_that_is_pasted_into_a_question_is_what_it_is_about(shown):
    found = spoken_times(f"what was at {shown}?", parse_time(shown) + 3600 * SECOND)
    assert [when.start_ns for when in found.ranges] == [parse_time(shown) - 30 * SECOND]


def test_an_error_shows_times_that_can_be_pasted():
    with in_zone("America/St_Johns"), pytest.raises(UsageError, match=r"2026-11-23T10:35:00-03:30.*before.*T10:35:01"):
        time_range("2026-11-23T14:05:01Z", "2026-11-23T14:05:00Z")


def test_json_has_the_text_beside_each_stamp():
    with in_zone("Europe/Berlin"):
        told = with_texts({"window": {"start_ns": FOLD, "end_ns": None}, "rows": [{"onset_ns": FOLD, "onset": "kept"}]})
    assert told == {
        "window": {"start_ns": FOLD, "start": "2026-11-01T01:00:00+01:00", "end_ns": None, "end": None},
        "rows": [{"onset_ns": FOLD, "onset": "kept"}],
    }
    assert datetime.fromisoformat(told["window"]["start"]).timestamp() == FOLD // SECOND


def test_one_module_alone_writes_times():
    """Whoever writes one by hand shows it in a zone of their own."""
    source = Path(kernelsight.__file__).parent
    found = []
    for file in source.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            by_name = isinstance(node, ast.Attribute) and node.attr in WRITERS
            spec = ast.unparse(node.format_spec) if isinstance(node, ast.FormattedValue) and node.format_spec else ""
            by_format = re.search("%[a-zA-Z]", spec)
            if (by_name or by_format) and file != source / OWNER:
                found.append(f"{file.relative_to(source)}:{node.lineno}")
    assert found == []
