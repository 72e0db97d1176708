"""Signals found bit by bit, by one process or by several after each other, are those of the whole range."""

from __future__ import annotations

import random
import time
from contextlib import closing

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recorded import SECOND, events_of, found_at_once, kept, minutes, put

from kernelsight.query.times import TimeRange
from kernelsight.signals.listed import listed
from kernelsight.signals.live import Keeper
from kernelsight.stores.base import open_writer

EVENTS = {case: events_of(case) for case in ("quota_too_small", "disk_fills_up")}


def pieces(events, lengths):
    """The events in pieces of so many, again and again."""
    start, turn = 0, 0
    while start < len(events):
        yield events[start : start + lengths[turn % len(lengths)]]
        start += lengths[turn % len(lengths)]
        turn += 1


def moved(events, shift_ns):
    """The events as if they had occurred at another time."""
    return [msgspec.structs.replace(one, timestamp=one.timestamp + shift_ns) for one in events]


HOUR = 3600 * SECOND


def until_now(case):
    """A recorded case as if it had ended just now."""
    last_ns = max(one.timestamp for one in EVENTS[case])
    return moved(EVENTS[case], time.time_ns() - SECOND - last_ns)


def looked_at(writer, keeper, events):
    for piece in pieces(events, [len(events) // 3 + 1]):
        put(writer, piece)
        keeper.look()


@pytest.mark.parametrize("restarted", [False, True], ids=["it goes on", "it is started again"])
@pytest.mark.parametrize("ahead_ns", [HOUR, 366 * 24 * HOUR], ids=["an hour", "a year"])
def test_after_a_clock_that_was_ahead_it_finds_what_comes_now_and_nothing_of_before_in_it(
    tmp_path, ahead_ns, restarted
):
    """The rows of before the clock was set back lie ahead of it, and one kind of trouble must not become another."""
    alone, path = tmp_path / "alone.db", tmp_path / "k.db"
    events = until_now("quota_too_small")
    with closing(open_writer(str(alone))) as writer:
        put(writer, events)
    writer, keeper = open_writer(str(path)), Keeper(str(path), make=True)
    looked_at(writer, keeper, moved(until_now("disk_fills_up"), ahead_ns))
    keeper.look(last=True)
    before = kept(path)
    assert before
    if restarted:
        keeper.__exit__()
        keeper = Keeper(str(path))
    looked_at(writer, keeper, events)
    looked = listed(str(path), TimeRange(events[0].timestamp, time.time_ns()))
    keeper.look(last=True)
    keeper.__exit__()
    writer.close()
    found = kept(path)
    assert {(one.rule, one.entity) for one in looked} <= {(one.rule, one.entity) for one in found_at_once(alone)}
    assert looked
    assert [one for one in found if one not in before] == found_at_once(alone) != []
    assert [one for one in before if one not in found] == []  # they did happen


def test_a_clock_that_is_set_ahead_by_years_costs_no_time(tmp_path):
    path = tmp_path / "k.db"
    events = until_now("quota_too_small")
    writer, keeper = open_writer(str(path)), Keeper(str(path), make=True)
    looked_at(writer, keeper, moved(events, -20 * 365 * 24 * HOUR))
    assert kept(path)
    put(writer, events)
    before = kept(path)
    began = time.monotonic()
    for _ in range(20):
        keeper.look()
    keeper.look(last=True)
    assert time.monotonic() - began < 20  # by the minute it would be a day
    keeper.__exit__()
    writer.close()
    new = [one for one in kept(path) if one.timestamp > events[0].timestamp - HOUR]
    assert {one.rule for one in new} == {one.rule for one in before}


@pytest.mark.slow
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(150, 900), min_size=1, max_size=6),
    killed=st.sets(st.integers(0, 40)),
    seed=st.integers(0, 2**16),
    late=st.integers(0, 12),
    case=st.sampled_from(sorted(EVENTS)),
)
def test_in_pieces_with_restarts_and_late_rows_it_finds_what_the_whole_range_has(
    tmp_path_factory, lengths, killed, seed, late, case
):
    path = tmp_path_factory.mktemp("live") / "k.db"
    order = random.Random(seed)
    # Each row comes up to so many seconds after it was stamped.
    events = sorted(EVENTS[case], key=lambda one: one.timestamp + order.random() * late * SECOND)
    writer = open_writer(str(path))
    keeper = Keeper(str(path))
    for number, piece in enumerate(pieces(events, lengths)):
        put(writer, piece)
        keeper.look()
        if number in killed:
            keeper.__exit__()
            keeper = Keeper(str(path))
    keeper.look(last=True)
    found, at_once = kept(path), found_at_once(path)
    assert found == at_once
    assert len(found) > 1
    once = minutes(path)
    keeper.again(0)
    assert kept(path) == at_once
    assert minutes(path) == once
    keeper.__exit__()
    writer.close()
