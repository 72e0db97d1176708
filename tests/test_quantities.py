"""Numbers as people read them."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelsight.events.wire import kinds
from kernelsight.quantities import number, quantity

UNITS = sorted({column.unit for kind in kinds().values() for column in kind.columns})


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (7.153e9, "ns/s", "7.15 s/s"),
        (3.8e9, "ns", "3.8 s"),
        (250, "us", "250 us"),
        (0.25, "ms", "250 us"),
        (1790, "s", "1,790 s"),
        (86_400 * 3, "s", "3 d"),
        (12_400_000, "B/s", "12.4 MB/s"),
        (1_288_490_188, "B", "1.2 GiB"),
        (2048, "KiB", "2 MiB"),
        (4096, "512 B sectors", "2 MiB"),
        (1_234_567, "faults", "1,234,567 faults"),
        (0, "ns", "0 s"),
        (0, "B", "0 B"),
        (-5e9, "ns", "-5 s"),
        (12.345, "%", "12.3 %"),
        (300, "USER_HZ ticks", "300 ticks"),
        (0.00001, "", "less than 0.001"),
        (2.0**70, "packets", "1.2 x 10^21 packets"),
        (None, "B", "not known"),
        (math.inf, "s", "more than can be told"),
        (math.nan, "s", "not a number"),
    ],
)
def test_a_quantity_is_in_the_unit_that_people_use(value, unit, text):
    assert quantity(value, unit) == text


@given(st.floats() | st.integers(-(2**64), 2**64), st.sampled_from(UNITS), st.sampled_from(["", "/s"]))
def test_no_quantity_has_an_exponent_or_a_run_of_digits(value, unit, rate):
    text = quantity(value, unit + rate)
    assert not re.search(r"\d[eE][+-]?\d|\d{7}|None|nan|inf", text), text
    assert text.strip()


@given(st.floats(1e-2, 1e14))
def test_three_digits_of_a_number_are_right(value):
    shown = float(number(value).replace(",", ""))
    assert shown == pytest.approx(value, rel=0.006)
