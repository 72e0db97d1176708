"""Which processes get a row."""

from __future__ import annotations

from kernelsight.collectors.selection import MOST_DUE, Selection

S = 1_000_000_000
NOW = 1_800_000_000 * S


def test_all_are_reported_the_first_time():
    assert Selection[int]().choose(NOW, {1: ("a", 5), 2: ("b", 6)}) == [1, 2]


def test_only_those_that_moved_are_reported_again():
    selection = Selection[int](largest=0)
    selection.choose(NOW, {1: ("a", 5), 2: ("b", 6)})
    assert selection.choose(NOW + S // 1000, {1: ("a", 5), 2: ("B", 6)}) == [2]
    assert selection.choose(NOW + S // 500, {1: ("a", 5), 2: ("B", 6)}) == []


def test_the_largest_are_always_reported():
    selection = Selection[int](largest=1)
    processes = {1: ("a", 5), 2: ("b", 6), 3: ("c", 1)}
    selection.choose(NOW, processes)
    assert selection.choose(NOW + 1, processes) == [2]


def test_idle_processes_are_reported_once_a_period_but_not_all_at_once():
    selection = Selection[int](largest=0)
    idle = {pid * 7_919_000_000: ("idle", 1) for pid in range(500)}
    selection.choose(NOW, idle)
    rows = [selection.choose(NOW + second * S, idle) for second in range(1, 121)]
    first, second = rows[:60], rows[60:]
    assert {key for row in first for key in row} == set(idle)
    assert sorted(key for row in second for key in row) == sorted(idle)
    assert max(map(len, rows)) < 50


def test_of_very_many_idle_ones_that_are_looked_at_seldom_some_have_a_row_and_all_have_their_turn():
    selection = Selection[int](largest=0)
    idle = dict.fromkeys(range(5 * MOST_DUE), ("idle", 1))
    selection.choose(NOW, idle)
    rows = [selection.choose(NOW + look * 120 * S, idle) for look in range(1, 6)]
    assert [len(row) for row in rows] == [MOST_DUE] * 5
    assert {key for row in rows for key in row} == set(idle)


def test_a_process_with_the_pid_of_another_is_a_new_one():
    selection = Selection[tuple[int, int]](largest=0)
    selection.choose(NOW, {(1, 10): ("x", 1)})
    assert selection.choose(NOW + 1, {(1, 20): ("x", 1)}) == [(1, 20)]


def test_ended_processes_are_forgotten():
    selection = Selection[int]()
    selection.choose(NOW, dict.fromkeys(range(1000), ("x", 1)))
    selection.choose(NOW + S, {})
    assert not selection._last
