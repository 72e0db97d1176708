"""Rates that rules measure are what the rule of counters says, sample by sample."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelsight.events.declare import Counter
from kernelsight.events.deltas import deltas
from kernelsight.signals.model import SECOND_NS
from kernelsight.signals.rates import Rates

START = 1_790_000_000_000_000_000
COUNTERS = {2: Counter("B"), 3: Counter("ticks", jitter=5)}
_known = st.one_of(st.integers(0, 60), st.integers(10**9, 10**9 + 60))
_value = st.one_of(_known, st.none())


def rates_of(samples):
    """Of one entity: a list a counter, as a stream of rows gives them."""
    rates = Rates(slice(1, 2), COUNTERS)
    taken = [rates.take((at, "vda", *values)) for at, values in samples]
    return [[row[place] for row in taken] for place in COUNTERS]


def by_the_rule(samples):
    found = []
    for i, counter in enumerate(COUNTERS.values()):
        grown = deltas([(at, row[i]) for at, row in samples], counter)
        found.append([delta and delta.amount * SECOND_NS / delta.ns for delta in grown])
    return found


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([1, 1, 1, 2, -3]), _value, _value), max_size=25))
def test_a_stream_of_samples_is_judged_as_the_rule_judges_them(steps):
    at, samples = START, []
    for step, *values in steps:
        if any(value is not None for value in values):
            at += step * SECOND_NS
            samples.append((at, tuple(values)))
    samples = samples[:10]  # rows that the stream keeps: of more with NULLs in them, it knows less than the rule
    assert rates_of(samples) == by_the_rule(samples)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([1, 1, 1, 2, -3]), _known, _known), max_size=40))
def test_a_stream_of_any_length_is_judged_as_the_rule_judges_it_where_all_is_known(steps):
    at, samples = START, []
    for step, *values in steps:
        at += step * SECOND_NS
        samples.append((at, tuple(values)))
    assert rates_of(samples) == by_the_rule(samples)


def test_a_counter_that_goes_on_for_long_after_a_fall_is_measured_by_its_last_sample_again():
    values = [10**9, 10**9 + 5, *range(0, 200, 5)]
    samples = [(START + i * SECOND_NS, (value, value)) for i, value in enumerate(values)]
    bytes_of, _ = rates_of(samples)
    assert bytes_of == [None, 5, None, *39 * [5]]


@pytest.mark.parametrize("back_ns", [5_300_000_000, 5_000_000_000])
def test_rows_of_before_and_after_a_step_back_are_put_in_order(back_ns):
    rates = Rates(slice(1, 2), COUNTERS)
    rows = [(START + i * SECOND_NS - (back_ns if i >= 8 else 0), "vda", i * 100, i, i) for i in range(20)]
    taken = rates.in_order(sorted(rows), 4)
    assert taken == rows
    found = [rates.take(row[:-1])[2] for row in taken]
    assert found == [None, *7 * [100], None, *11 * [100]]
