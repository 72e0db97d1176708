"""Hysteresis and de-duplication, for any course of values and however they come."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from kernelsight.events.block import Block
from kernelsight.events.memory import Memory, OomKill
from kernelsight.signals.episodes import Episodes
from kernelsight.signals.model import COUNT, LOOKBACK_S, Measure, rule

SECOND = 1_000_000_000
RAISE, CLEAR = 10.0, 5.0


def a_rule(raise_after_s, clear_after_s, struct=Memory, measure=None):
    return rule(
        "r",
        struct,
        measure or Measure(of=(Memory.dirty_kb,), unit="KiB"),
        scope="machine",
        levels={"warning": RAISE, "critical": 2 * RAISE},
        harm="it is a test",
        clear_below=CLEAR,
        raise_after_s=raise_after_s,
        clear_after_s=clear_after_s,
        because="test",
        summary="{value:.0f}",
    )


@dataclass
class Expected:
    first: int
    last: int
    count: int
    worst: float


def expected(values, how, end):
    """What a person finds who reads the whole course from left to right; values are (second, value)."""
    found, place = [], 0
    while place < len(values):
        first, value = values[place]
        if value < RAISE:
            place += 1
            continue
        # The values that stay high from here on, until it is raised.
        after = place
        while (
            after < len(values)
            and values[after][1] >= RAISE
            and values[after][0] - values[max(place, after - 1)][0] <= LOOKBACK_S
        ):
            if values[after][0] - first >= how.raise_after_s:
                break
            after += 1
        else:
            place = max(after, place + 1)
            continue
        inside = values[place : after + 1]
        last = inside[-1][0]
        rest = after + 1
        while rest < len(values) and values[rest][0] - last <= how.clear_after_s:
            if values[rest][1] >= CLEAR:
                last = values[rest][0]
                inside.append(values[rest])
            rest += 1
        found.append(Expected(first, last, len(inside), max(value for _, value in inside)))
        place = rest
    return found


COURSES = st.lists(st.tuples(st.integers(1, 4), st.sampled_from([0.0, 4.0, 5.0, 9.0, 10.0, 12.0, 25.0])), max_size=60)


@given(
    course=COURSES,
    raise_after_s=st.integers(0, 6),
    clear_after_s=st.integers(1, 12),
    steps=st.sets(st.integers(0, 240)),
)
def test_it_finds_the_episodes_that_a_reader_of_the_whole_course_finds(course, raise_after_s, clear_after_s, steps):
    how = a_rule(raise_after_s, clear_after_s)
    values, at = [], 0
    for gap, value in course:
        at += gap
        values.append((at, value))
    episodes = Episodes()
    for second, value in values:
        for step in sorted(steps):  # moments up to which all is known: they must not change anything
            if step <= second:
                episodes.advance(step * SECOND)
        episodes.take(how, (), second * SECOND, value, {})
    found = sorted([*episodes.over, *episodes.open], key=lambda one: one.first_ns)
    assert [(one.first_ns // SECOND, one.last_ns // SECOND, one.count, one.worst) for one in found] == [
        (one.first, one.last, one.count, one.worst) for one in expected(values, how, at)
    ]
    assert all(one.worst >= RAISE for one in found)
    for before, after in pairwise(found):
        assert after.first_ns - before.last_ns > clear_after_s * SECOND  # one episode at a time


def test_two_entities_have_an_episode_each():
    how = a_rule(0, 5, Block, Measure(of=(Block.in_flight,), unit="requests"))
    episodes = Episodes()
    for second in range(5):
        for name in ("sda", "sdb"):
            episodes.take(how, (name,), second * SECOND, 12.0, {"device_name": name})
    assert sorted((one.entity, one.count) for one in episodes.open) == [
        ("device_name=sda", 5),
        ("device_name=sdb", 5),
    ]


def test_an_entity_that_is_gone_has_no_episode_that_goes_on():
    episodes = Episodes()
    episodes.take(a_rule(0, 5), (), 0, 12.0, {})
    episodes.advance(5 * SECOND)
    assert len(episodes.open) == 1
    episodes.advance(5 * SECOND + 1)
    assert (episodes.open, [one.signal().end_ns for one in episodes.over]) == ([], [0])


def test_severity_is_that_of_the_worst_value():
    episodes = Episodes()
    for second, value in enumerate((12.0, 21.0, 6.0)):
        episodes.take(a_rule(0, 5), (), second * SECOND, value, {})
    [signal] = [one.signal() for one in episodes.open]
    assert (signal.severity, signal.value, signal.value_ns, signal.summary) == ("critical", 21.0, SECOND, "21")
    assert (signal.last_seen_ns, signal.count) == (2 * SECOND, 3)


def test_events_that_do_not_come_in_every_second_do_not_stay():
    how = a_rule(3, 5, OomKill, Measure(of=(COUNT,), unit="kills/s"))
    for gap, raised in ((1, True), (3, False)):
        episodes = Episodes()
        for turn in range(5):
            episodes.take(how, (7,), turn * gap * SECOND, 12.0, {"pid": 7})
        assert bool(episodes.open) is raised
