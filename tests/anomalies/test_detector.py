"""What the detector finds in series with known contents, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest
from streams import DAY, FINE, MINUTE, Course, episodes, episodes_of_each, noise, starts

from kernelsight.anomalies.baselines import REBASE_AFTER
from kernelsight.anomalies.detector import Detector
from kernelsight.anomalies.episodes import Sensitivity
from kernelsight.anomalies.timeofday import TimeOfDay

AT_ONCE = {2000, 2001}
"""The onset, or the observation after it."""


def with_values(values, first, odd):
    """A series of which some values are other ones."""
    values[first : first + len(odd)] = odd
    return values


def bursts():
    values, rng = np.zeros(6000), np.random.default_rng(3)
    for first in range(40, 6000, 50):
        values[first : first + 3] = rng.uniform(1.3e8, 1.9e8)
    return values


def shifted(by):
    return with_values(noise(3500), 2000, noise(3500)[2000:] + by)


def with_holes():
    values = noise(2500)
    values[500:900] = np.nan
    values[1500::7] = np.nan
    return with_values(values, 2000, [160.0] * 3)


def cycle(deviation, level):
    return level + 20.0 * np.sin(np.arange(4000) / 10.0) + noise(4000, level=0.0, deviation=deviation)


def cycle_left_out():
    values = cycle(3.0, 50.0)
    return with_values(values, 3000, values[3000:3063].mean() + noise(63, level=0.0, deviation=3.0))


def quantised():
    return with_values(np.round(noise(3000, level=3.0, deviation=0.7)).clip(0), 2500, [14.0] * 20)


def often_still():
    values = np.repeat(np.round(noise(80)), 40)
    return with_values(values, 2600, [values[2600]] * 600)


def stopped(values, at):
    return with_values(values, at, [values[at - 1]] * (len(values) - at))


COURSES = {
    "noise 0": Course(noise(4000, 0)),
    "noise 1": Course(noise(4000, 1)),
    "noise 2": Course(noise(4000, 2)),
    "constant": Course(np.full(2000, 7.0)),
    "bursts": Course(bursts()),
    "spike": Course(with_values(noise(2500), 2000, [160.0] * 3)),
    "dip": Course(with_values(noise(2500), 2000, [40.0] * 10)),
    "shift": Course(shifted(40.0)),
    "shift and spike": Course(with_values(shifted(400.0), 3000, shifted(400.0)[3000:3005] + 60.0), FINE),
    "more variation": Course(with_values(noise(2500), 2000, noise(100, seed=9, deviation=25.0))),
    "less variation": Course(with_values(noise(2500), 2000, noise(150, seed=9, deviation=0.3)), FINE),
    "cycle left out": Course(cycle_left_out(), Sensitivity(1.5)),
    "stopped": Course(stopped(noise(2500), 2000)),
    "often still": Course(often_still()),
    "unknown course": Course(with_values(cycle(0.5, 30.0), 3000, 30.0 + 10.0 * (-1.0) ** np.arange(40)), FINE),
    "with holes": Course(with_holes()),
    "by one": Course(with_values(np.zeros(2500), 2000, [1.0] * 3)),
    "by one of 20": Course(with_values(np.zeros(2500), 2000, [1.0] * 3), least=20.0),
    "quantised": Course(quantised()),
    "two spikes, soon calm": Course(
        with_values(with_values(noise(2500), 2000, [160.0] * 3), 2030, [160.0] * 3), Sensitivity(1.9, calm=10)
    ),
    "two spikes, late calm": Course(
        with_values(with_values(noise(2500), 2000, [160.0] * 3), 2030, [160.0] * 3), Sensitivity(1.9, calm=48)
    ),
    "early spike": Course(with_values(noise(2500), 1700, [160.0] * 3)),
    "early spike, then zero": Course(with_values(with_values(noise(2500), 1700, [160.0] * 3), 1800, np.zeros(700))),
}


@pytest.fixture(scope="module")
def of():
    """The episodes of each of these, by its name."""
    return episodes_of_each(COURSES)


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_not_an_anomaly(of, seed):
    assert of[f"noise {seed}"] == []


def test_a_constant_series_is_not_an_anomaly(of):
    assert of["constant"] == []


def test_bursts_that_come_again_and_again_are_usual(of):
    assert [one for one in starts(of["bursts"]) if one > 1000] == []


def test_a_spike_is_found_while_it_lasts_with_its_value_and_what_was_usual(of):
    (found,) = of["spike"]
    assert starts([found])[0] in AT_ONCE
    assert (found.shape, found.direction, found.value) == ("spike", "up", 160.0)
    assert 90 < found.low < 95
    assert 105 < found.high < 110
    assert found.end_ns is not None


def test_a_dip_goes_down(of):
    (found,) = of["dip"]
    assert starts([found])[0] in AT_ONCE
    assert (found.shape, found.direction) == ("spike", "down")


def test_a_shift_is_one_anomaly_and_becomes_the_new_usual(of):
    (found,) = of["shift"]
    assert starts([found])[0] in AT_ONCE
    assert (found.shape, found.direction) == ("shift", "up")
    assert found.end_ns == (2000 + REBASE_AFTER - 1) * 1_000_000_000


def test_after_a_shift_a_small_spike_on_the_new_level_is_found(of):
    shift, spike = starts(of["shift and spike"])
    assert shift in AT_ONCE
    assert 3000 <= spike <= 3002


def test_greater_variation_around_the_same_level_is_found(of):
    found = starts(of["more variation"])
    assert found
    assert 2000 <= found[0] < 2010


def test_less_variation_around_the_same_level_is_found(of):
    found = starts(of["less variation"])
    assert found
    assert 2000 <= found[0] < 2080


def test_a_cycle_that_is_left_out_is_found_at_a_level_that_is_usual(of):
    found = [one for one in starts(of["cycle left out"]) if one > 1000]
    assert found
    assert 3000 <= found[0] < 3063


def test_another_value_than_at_this_time_of_other_days_is_found():
    step_s = 30 * MINUTE
    rows = np.arange(12 * 48)
    values = 50.0 + 30.0 * np.sin(2 * np.pi * rows / 48) + noise(len(rows), level=0.0, deviation=1.0)
    odd = 10 * 48 + 8
    values[odd : odd + 6] = 25.0  # as at any night, but it is morning
    found = [one for one in starts(episodes(values, every_s=step_s, sensitivity=FINE), step_s) if one > 4 * 48]
    assert found
    assert odd <= found[0] < odd + 6


def test_this_half_hour_is_compared_with_the_same_of_other_days():
    one, series = TimeOfDay(1), np.zeros(1, np.intp)

    def at(day: int, half_hour: int, value: float) -> float:
        moment = np.array([86_400.0 * day + 1800 * half_hour])
        return float(one.distances(series, moment, np.array([value]))[0])

    for day in range(4):
        apart = [at(day, half_hour, float(half_hour)) for half_hour in range(48)]
        assert np.isnan(apart).all() == (day < 3)
    assert at(4, 0, 0.0) == 0.0
    assert at(4, 1, 20.0) == 19.0
    one.forget(series)
    assert at(4, 1, 1.0) == 0.0, "what was before is of another baseline"
    assert at(5, 1, 1.0) == 0.0


def test_after_a_shift_the_recent_past_is_not_measured_by_the_new_baseline():
    values = noise(3500)
    values[2000:] += 40.0
    scores: list[float] = []
    detector = Detector(np.zeros(1))
    for row, value in enumerate(values):
        scores.extend(detector.step(np.zeros(1, np.intp), float(row), np.array([value])).score)
    assert max(scores[2000 + REBASE_AFTER + 10 : 2000 + REBASE_AFTER + 100]) < FINE.threshold


def test_a_series_that_stands_still_is_flat(of):
    (found,) = [one for one in of["stopped"] if one.shape == "flat"]
    assert 2000 < starts([found])[0] <= 2080
    assert (found.direction, found.end_ns) == (None, None)


def test_a_series_that_often_stands_still_is_not_flat(of):
    assert [one for one in of["often still"] if one.shape == "flat" and starts([one])[0] < 2700] == []


def test_an_unknown_course_within_the_range_is_a_pattern(of):
    found = [one for one in of["unknown course"] if starts([one])[0] > 1000]
    assert found
    assert 3000 <= starts(found)[0] <= 3010
    assert found[0].shape == "pattern"
    assert found[0].direction is None


def test_what_happens_every_day_at_the_same_time_is_usual_and_at_another_time_it_is_not():
    step_s = 5 * MINUTE
    each_day = DAY // step_s
    rows = np.arange(9 * each_day)
    values = noise(len(rows), level=10.0, deviation=0.3)
    at_three = rows % each_day // 3 == 12
    values[at_three] += 50.0
    odd = 8 * each_day + 180
    values[odd : odd + 3] += 50.0
    found = starts(episodes(values, every_s=step_s, sensitivity=FINE), step_s)
    assert found[0] < 3 * each_day
    assert next(one for one in found if one > 4 * each_day) in {odd, odd + 1}


def test_missing_observations_are_passed_over(of):
    (found,) = starts(of["with holes"])
    assert found in AT_ONCE


def test_a_change_smaller_than_what_matters_is_left_alone(of):
    assert starts(of["by one"]) == [2000]
    assert of["by one of 20"] == []


def test_a_quantised_series_is_left_alone_until_it_does_something_new(of):
    (found,) = starts(of["quantised"])
    assert found in {2500, 2501}


def test_series_do_not_influence_each_other(of):
    (alone,), (among,) = episodes(COURSES["spike"].values), of["spike"]
    assert among.series == list(COURSES).index("spike")
    assert (among.start_ns, among.score, among.value) == (alone.start_ns, alone.score, alone.value)


def test_two_spikes_soon_after_each_other_are_one_anomaly(of):
    assert len(of["two spikes, late calm"]) == 1
    assert len(of["two spikes, soon calm"]) == 2


def test_what_comes_later_changes_nothing_of_what_was_said(of):
    first, second = of["early spike"][0], of["early spike, then zero"][0]
    assert 1700 <= starts([first])[0] <= 1701
    assert first.start_ns == second.start_ns
    assert (first.score, first.value, first.low, first.high) == (second.score, second.value, second.low, second.high)


def test_state_does_not_grow():
    detector = Detector(np.zeros(4))
    everyone = np.arange(4)
    sizes = set()
    values = noise(6000).reshape(1500, 4)
    for row in range(1500):
        detector.step(everyone, float(row), values[row])
        if row % 500 == 0:
            sizes.add(_bytes(detector))
    assert len(sizes) == 1
    assert sizes.pop() / 4 < 50_000


def _bytes(thing: object) -> int:
    total = 0
    for value in vars(thing).values():
        if isinstance(value, np.ndarray):
            total += value.nbytes
        elif hasattr(value, "__dict__"):
            total += _bytes(value)
    return total
