"""Signals found bit by bit, by one process or by several after each other, are those of the whole range."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recorded import SECOND, events_of, found_at_once, kept, minutes, put

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
