"""Labelled series of many sorts with anomalies of many sorts, as a folder that `anomalies.py --data DIR` reads.

    python benchmarks/workloads/series.py DIR [--seed N] [--each K]

Twenty-one sorts of telemetry (cycles of a day and of a week, bursts, counts, steps, rare events, wandering levels)
at several intervals and lengths, some with gaps, a slow drift or a rare event that is no anomaly; 0 to 4 anomalies
each, of fourteen sorts. A window is a tenth of the series divided by the number of its anomalies, about the anomaly's
beginning and not quite centred, as in NAB. Many of the anomalies are hard to see on purpose: the figures compare
detectors, and are not to be compared with those of recorded series.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Random = np.random.Generator

DAY_S = 86_400
START_S = 16_000 * DAY_S


@dataclass(frozen=True, slots=True)
class Clock:
    """When the observations of one series are."""

    at_s: Values
    of_day: Values
    """0 to 1."""
    weekend: NDArray[np.bool_]
    day: int
    """Observations a day, at most 300, at least 24."""

    @property
    def rows(self) -> int:
        return len(self.at_s)

    def wave(self, shift: float = 0.0) -> Values:
        return np.asarray(np.sin(2 * np.pi * (self.of_day + shift)))

    def peak(self, of_day: float, width: float) -> Values:
        return np.asarray(np.exp(-(((self.of_day - of_day) / width) ** 2)))


def clock(rng: Random) -> Clock:
    """Mostly two weeks of every five minutes; sometimes other intervals, irregular ones, and gaps."""
    step_s, least, most, irregular = [
        (300, 4032, 4033, False),
        (300, 1100, 4800, False),
        (1800, 3500, 5000, False),
        (3600, 1500, 3200, False),
        (900, 1500, 2500, True),
    ][rng.choice(5, p=[0.45, 0.2, 0.1, 0.12, 0.13])]
    rows = int(rng.integers(least, most))
    gaps = np.full(rows, float(step_s))
    if irregular:
        gaps *= rng.choice([1, 1, 1, 2, 3, 8], rows)
    elif rng.random() < 0.2:
        gaps[rng.random(rows) < 0.003] *= rng.integers(2, 20)
    at_s = START_S + rng.integers(0, 288) * 300.0 + np.cumsum(gaps)
    weekend = (at_s // DAY_S + rng.integers(7)) % 7 >= 5
    return Clock(at_s, at_s % DAY_S / DAY_S, weekend, int(np.clip(DAY_S / step_s, 24, 300)))


def wandering(rng: Random, rows: int, memory: float, size: float) -> Values:
    values, now = np.empty(rows), 0.0
    for row, shock in enumerate(rng.normal(0, size, rows)):
        now = memory * now + shock
        values[row] = now
    return values


def blips(rng: Random, rows: int, share: float, longest: int) -> Values:
    """Mostly 0; a share of the observations begins one to so many of 1."""
    values = np.zeros(rows)
    for row in np.flatnonzero(rng.random(rows) < share):
        values[row : row + rng.integers(1, longest + 1)] = 1.0
    return values


def bursts(rng: Random, when: Clock) -> Values:
    size = rng.lognormal(18.5, 0.3, when.rows)
    return rng.exponential(1e4, when.rows) + size * blips(rng, when.rows, rng.uniform(0.003, 0.03), 4)


def counts(rng: Random, when: Clock) -> Values:
    rate = rng.uniform(5, 60) * (1 + 0.7 * when.wave(-0.4)) * np.exp(wandering(rng, when.rows, 0.9, 0.12))
    values = rng.poisson(rate).astype(float)
    for row in np.flatnonzero(rng.random(when.rows) < 0.004):
        echo = np.exp(-np.arange(min(10, when.rows - row)) / 2.5)
        values[row : row + len(echo)] += np.round(rng.pareto(2.0) * rate[row] * echo)
    return values


def regimes(rng: Random, when: Clock) -> Values:
    levels, values, row = rng.uniform(10, 80, rng.integers(2, 4)), rng.normal(0, 1.5, when.rows), 0
    while row < when.rows:
        length = int(rng.exponential(120)) + 5
        values[row : row + length] += rng.choice(levels)
        row += length
    return values


def peaks(rng: Random, when: Clock) -> Values:
    phase = (np.arange(when.rows) + rng.normal(0, 2, when.rows)) % rng.uniform(25, 140)
    return 20 + rng.normal(0, 1, when.rows) + rng.uniform(8, 40) * np.exp(-phase / rng.uniform(1, 4))


def square(rng: Random, when: Clock) -> Values:
    period = int(rng.choice([20, 36, 50, 72, 288]))
    high = (np.arange(when.rows) + rng.integers(period)) % period < rng.uniform(0.2, 0.8) * period
    return 40 + rng.uniform(5, 30) * high + rng.normal(0, rng.uniform(0.2, 2), when.rows)


def travel(rng: Random, when: Clock) -> Values:
    rush = (when.peak(0.35, 0.05) + 1.2 * when.peak(0.73, 0.06)) * ~when.weekend
    noise = np.abs(rng.normal(0, 0.25, when.rows)) + (rng.random(when.rows) < 0.01) * rng.exponential(0.7, when.rows)
    return np.asarray(np.round((200 + 150 * rush) * np.exp(noise)))


def speeds(rng: Random, when: Clock) -> Values:
    rush = (when.peak(0.35, 0.04) + when.peak(0.73, 0.05)) * ~when.weekend * rng.uniform(0, 1, when.rows)
    slow = (rng.random(when.rows) < 0.01) * rng.exponential(12, when.rows)
    return np.asarray(np.round(70 - 15 * rush + rng.normal(0, 3, when.rows) - slow).clip(2))


def costs(rng: Random, when: Clock) -> Values:
    dear = (rng.random(when.rows) < 0.01) * rng.exponential(0.6, when.rows)
    return np.asarray(0.1 * np.exp(0.25 * when.wave(rng.uniform()) + rng.normal(0, 0.25, when.rows) + dear))


def weekly(rng: Random, when: Clock) -> Values:
    course = 15_000 + 8_000 * (when.wave(-0.3) + 0.5 * np.sin(4 * np.pi * (when.of_day - 0.1)))
    quiet = np.where(when.weekend, rng.uniform(0.6, 0.9), 1.0)
    return np.maximum(0.0, course * quiet * np.exp(rng.normal(0, 0.07, when.rows)))


def daily_spike(rng: Random, when: Clock) -> Values:
    high = (when.of_day - rng.uniform()) % 1 < rng.uniform(0.004, 0.02)
    return 0.13 + rng.normal(0, 0.01, when.rows) + high * rng.uniform(0.5, 3) * rng.normal(1, 0.1, when.rows)


def night_rest(rng: Random, when: Clock) -> Values:
    rate = np.maximum(0.0, rng.uniform(30, 200) * when.wave(-0.25)) * np.exp(rng.normal(0, 0.15, when.rows))
    return rng.poisson(rate).astype(float)


def stepped_day(rng: Random, when: Clock) -> Values:
    noise = rng.choice([0.0, 1.0, 3.0]) * rng.uniform(0, 1, when.rows)
    return 40 + 20.0 * ((when.of_day > 0.37) & (when.of_day < 0.75)) + noise


def sawtooth(rng: Random, when: Clock) -> Values:
    period = int(rng.integers(40, 400))
    return 100 + np.arange(when.rows) % period / period * rng.uniform(20, 80) + rng.normal(0, 2, when.rows)


SORTS: dict[str, Callable[[Random, Clock], Values]] = {
    "noise": lambda rng, when: rng.normal(rng.uniform(5, 90), rng.uniform(0.3, 5), when.rows),
    "skewed": lambda rng, when: 20 * np.exp(rng.normal(0, rng.uniform(0.3, 0.9), when.rows)),
    "wandering": lambda rng, when: 80 + 2 * wandering(rng, when.rows, float(rng.choice([0.9, 0.97, 0.99])), 1.0),
    "daily": lambda rng, when: (
        100 + rng.uniform(15, 45) * when.wave(rng.uniform()) + rng.normal(0, rng.uniform(1, 8), when.rows)
    ),
    "weekly": weekly,
    "daily_spike": daily_spike,
    "bursts": bursts,
    "few": lambda rng, when: np.round(rng.normal(rng.uniform(1, 6), rng.uniform(0.4, 1.2), when.rows)).clip(0),
    "counts": counts,
    "square": square,
    "temperature": lambda rng, when: (
        70 + wandering(rng, when.rows, 0.995, 0.25) + 2 * when.wave() + rng.normal(0, 0.3, when.rows)
    ),
    "travel": travel,
    "speeds": speeds,
    "costs": costs,
    "regimes": regimes,
    "rare": lambda rng, when: (
        rng.uniform(0, 3)
        + rng.choice([0.0, 0.02]) * rng.normal(0, 1, when.rows)
        + rng.uniform(5, 9) * blips(rng, when.rows, rng.uniform(0.001, 0.006), 2)
    ),
    "peaks": peaks,
    "louder_by_day": lambda rng, when: 30 + rng.normal(0, 1, when.rows) * (1 + rng.uniform(1, 4) * (when.wave() > 0)),
    "night_rest": night_rest,
    "stepped_day": stepped_day,
    "sawtooth": sawtooth,
}


@dataclass(frozen=True, slots=True)
class Usual:
    """What a series is without its anomalies."""

    low: float
    median: float
    high: float
    scale: float
    day: int


def usual(values: Values, day: int) -> Usual:
    low, lower, median, upper, high = map(float, np.percentile(values, [1, 16, 50, 84, 99]))
    scale = max((upper - lower) / 2, float(values.std()) / 2, 1e-3 * abs(median) + 1e-6)
    return Usual(low, median, high, scale, day)


def length(rng: Random, least: float, most: float) -> int:
    return max(1, int(rng.uniform(least, most)))


def spike(rng: Random, part: Values, of: Usual) -> None:
    part[: rng.integers(1, 5)] = of.high + of.scale * rng.uniform(2.5, 9)


def two_spikes(rng: Random, part: Values, of: Usual) -> None:
    spike(rng, part, of)
    spike(rng, part[rng.integers(10, 60) :], of)


def dip(rng: Random, part: Values, of: Usual) -> None:
    part[: rng.integers(1, 8)] = of.low - of.scale * rng.uniform(2, 6)


def shift(rng: Random, part: Values, of: Usual) -> None:
    part += rng.choice([-1, 1]) * of.scale * rng.uniform(1.5, 5)


def detour(rng: Random, part: Values, of: Usual) -> None:
    shift(rng, part[: length(rng, 20, 250)], of)


def louder(rng: Random, part: Values, of: Usual) -> None:
    odd = part[: length(rng, 40, 200)]
    odd += rng.normal(0, of.scale * rng.uniform(1.5, 3.5), len(odd))


def calmer(rng: Random, part: Values, of: Usual) -> None:
    odd = part[: length(rng, 100, 300)]
    odd += -0.85 * (odd - of.median)


def stuck(rng: Random, part: Values, of: Usual) -> None:
    part[: length(rng, 80, 300)] = rng.choice([part[0], of.median])


def no_cycle(rng: Random, part: Values, of: Usual) -> None:
    odd = part[: length(rng, 0.4 * of.day, 1.2 * of.day)]
    odd[:] = rng.choice([of.low, of.median]) + 0.1 * (odd - of.median)


def other_amplitude(rng: Random, part: Values, of: Usual) -> None:
    odd = part[: length(rng, 0.5 * of.day, 1.5 * of.day)]
    odd[:] = of.median + (odd - of.median) * rng.choice([0.3, 1.8, 2.5])


def twice_as_fast(rng: Random, part: Values, of: Usual) -> None:
    half = len(part[: 2 * length(rng, 0.3 * of.day, 0.6 * of.day)]) // 2
    part[: 2 * half] = np.tile(part[: 2 * half : 2], 2)


def ramp(rng: Random, part: Values, of: Usual) -> None:
    odd = part[: length(rng, 60, 300)]
    odd += np.linspace(0, rng.choice([-1, 1]) * of.scale * rng.uniform(3, 7), len(odd))


def many_peaks(rng: Random, part: Values, of: Usual) -> None:
    odd = part[: length(rng, 80, 200)]
    peak = rng.random(len(odd)) < 0.15
    odd[peak] = of.high + of.scale * rng.uniform(-0.3, 0.5, int(peak.sum()))


def shuffled(rng: Random, part: Values, of: Usual) -> None:
    rng.shuffle(part[: length(rng, 0.4 * of.day, 0.8 * of.day)])


ANOMALIES = (
    spike, two_spikes, dip, shift, detour, louder, calmer, stuck, no_cycle, other_amplitude, twice_as_fast, ramp,
    many_peaks, shuffled,
)  # fmt: skip


def labelled(rng: Random, sort: str) -> tuple[Clock, Values, list[tuple[int, int]]]:
    """One series, and the rows of its windows."""
    when = clock(rng)
    values = SORTS[sort](rng, when).astype(float)
    if rng.random() < 0.25:
        values *= np.linspace(1, rng.uniform(0.7, 1.4), when.rows)
    of = usual(values, when.day)
    for row in rng.integers(30, when.rows - 5, rng.poisson(0.6)):
        values[row : row + rng.integers(1, 4)] = of.high + of.scale * rng.uniform(0.5, 3)
    number = int(rng.choice(5, p=[0.12, 0.35, 0.3, 0.15, 0.08]))
    windows: list[tuple[int, int]] = []
    half = int(0.05 * when.rows / max(number, 1))
    places = np.linspace(int(0.17 * when.rows) + half // 2, when.rows - half - 10, number + 1)
    for first, last in pairwise(places):
        row = int(rng.uniform(first, last - 0.25 * (last - first)))
        ANOMALIES[rng.integers(len(ANOMALIES))](rng, values[row:], of)
        middle = row + int(rng.normal(0, 0.12 * half))
        start, end = max(0, middle - half), min(when.rows - 1, middle + half)
        if windows and start <= windows[-1][1]:
            windows[-1] = (windows[-1][0], end)
        else:
            windows.append((start, end))
    return when, np.maximum(values, 0.0) if of.low >= 0 else values, windows


def write(folder: Path, seed: int, each: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    windows: dict[str, list[tuple[str, str]]] = {}
    for place, sort in enumerate(SORTS):
        for number in range(each):
            when, values, rows = labelled(np.random.default_rng([seed, place, number]), sort)
            stamps = [str(datetime.fromtimestamp(round(at), UTC).replace(tzinfo=None)) for at in when.at_s]
            name = f"{sort}_{number}.csv"
            with (folder / name).open("w", newline="") as file:
                lines = csv.writer(file, lineterminator="\n")
                lines.writerow(("timestamp", "value"))
                lines.writerows(zip(stamps, values.tolist(), strict=True))
            windows[name] = [(stamps[first], stamps[last]) for first, last in rows]
    (folder / "windows.json").write_text(json.dumps(windows, indent=1))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--each", type=int, default=5, help="series of each sort")
    given = options.parse_args()
    write(given.folder, given.seed, given.each)


if __name__ == "__main__":
    main()
