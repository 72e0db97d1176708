"""Ids follow time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelsight.stores.sqlite.place import place

LATEST = 1_000


@given(st.lists(st.integers(1, 2_000), min_size=1, max_size=30), st.integers(0, 500))
def test_ids_rise_and_are_as_far_from_the_stamps_as_is_said(stamps, last_id):
    rows = [(stamp, number) for number, stamp in enumerate(stamps)]
    placed = place(rows, last_id, LATEST)
    bound = [line if placed.with_id else (line[0], *line) for line in placed.rows]
    ids = [line[0] for line in bound]
    assert sorted(line[1:] for line in bound) == sorted(rows)
    assert ids == sorted(set(ids))
    assert ids[0] > last_id
    assert ids[-1] == placed.last_id
    assert all(-placed.early_ns <= id_ - stamp <= placed.late_ns for id_, stamp, _ in bound)
    assert placed.last_id <= max(last_id, LATEST) + len(rows)
    assert (placed.first_timestamp, placed.last_timestamp) == (min(stamps), max(stamps))


@pytest.mark.parametrize("stamps", [[1, 2, 3], [3, 1, 2]])
def test_stamps_that_can_be_ids_are(stamps):
    placed = place([(stamp,) for stamp in stamps], 0, LATEST)
    assert not placed.with_id
    assert list(placed.rows) == [(1,), (2,), (3,)]
    assert (placed.late_ns, placed.early_ns) == (0, 0)


@pytest.mark.parametrize("stamp", [None, "5", 5.0, True])
def test_a_stamp_must_be_an_integer(stamp):
    with pytest.raises(TypeError, match="timestamp"):
        place([(1,), (stamp,)], 0, LATEST)
