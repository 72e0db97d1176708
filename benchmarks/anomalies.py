"""The anomaly detector on labelled series: NAB's standard score, precision and recall, and cost; prints JSON.

    .venv/bin/python benchmarks/anomalies.py [--data DIR] [--detections FILE] [--threshold T] [--no-cost]

DIR holds one CSV a series (`timestamp,value`) and `windows.json` (file → windows that hold an anomaly). All series
are streamed side by side, each by its own clock, without look-ahead and with one setting. Scoring is that of the
Numenta Anomaly Benchmark (Lavin and Ahmad, "Evaluating real-time anomaly detection algorithms", 2015): standard
profile, the first 15 % of a series (of at most 5,000 rows) not scored.

NAB looks for the threshold that scores best on the corpus; `optimised` is that, for us and for NAB's windowed
Gaussian. Our own figure, `score`, is at the threshold that stands below, the middle of a plateau on eleven of NAB's
files; `neighbours` is the mean and the range of the score at the thresholds around it, which says more of series that
nobody has seen. `leave_one_out` chooses the threshold, and nothing else, on all files but one and scores that one;
`without_one` is the range of `score` when one file is left out. `workloads/series.py` writes a folder of other series.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from kernelsight.anomalies.arrays import Reals
from kernelsight.anomalies.detector import Detector
from kernelsight.anomalies.episodes import Episodes, Sensitivity

THRESHOLD = 1.5
"""For series of some thousand observations of which a tenth is labelled; see settings.py for a machine."""
THRESHOLDS = tuple(round(1.1 + 0.1 * step, 1) for step in range(13))
NEAR = 0.21
"""How far from the threshold its neighbours are."""
DATA = Path(__file__).parents[2] / "shared" / "data" / "nab"

TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE = 1.0, 0.11, 1.0
"""NAB's standard profile."""
PROBATION, PROBATION_ROWS = 0.15, 5000
GAUSSIAN_WINDOW = 1000
SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Labelled:
    """One series and the index ranges that hold an anomaly."""

    name: str
    stamps: tuple[str, ...]
    at_s: Reals
    values: Reals
    windows: tuple[tuple[int, int], ...]

    @property
    def probation(self) -> int:
        return int(min(math.floor(PROBATION * len(self.values)), PROBATION * PROBATION_ROWS))


# --- reading ---------------------------------------------------------------------------------------


def load(folder: Path) -> list[Labelled]:
    windows = json.loads((folder / "windows.json").read_text())
    return [_series(folder / name, windows[name]) for name in sorted(windows)]


def _series(path: Path, windows: Iterable[tuple[str, str]]) -> Labelled:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    at_s = np.array([_seconds(row["timestamp"]) for row in rows])
    ranges = []
    for first, last in windows:
        inside = np.flatnonzero((at_s >= _seconds(first)) & (at_s <= _seconds(last)))
        if len(inside):
            ranges.append((int(inside[0]), int(inside[-1])))
    values = np.array([float(row["value"]) for row in rows])
    return Labelled(path.name, tuple(row["timestamp"] for row in rows), at_s, values, tuple(ranges))


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


# --- NAB's scoring ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the detections of one series, or of several, are worth."""

    raw: float = 0.0
    windows: int = 0
    hits: int = 0
    false: int = 0
    inside: int = 0

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.raw + other.raw,
            self.windows + other.windows,
            self.hits + other.hits,
            self.false + other.false,
            self.inside + other.inside,
        )

    @property
    def score(self) -> float:
        """0: no detection at all; 100: every window at its first row and nothing else."""
        least, best = -FALSE_NEGATIVE * self.windows, TRUE_POSITIVE * self.windows
        return 100 * (self.raw - least) / (best - least) if self.windows else 0.0

    def figures(self) -> dict[str, object]:
        """Event-wise: each window is one event, found or not; each detection outside is one false alarm."""
        alarms = self.hits + self.false
        return {
            "score": round(self.score, 2),
            "windows": self.windows,
            "found": self.hits,
            "false_alarms": self.false,
            "precision": round(self.hits / alarms, 3) if alarms else None,
            "recall": round(self.hits / self.windows, 3) if self.windows else None,
        }


def sigmoid(position: float) -> float:
    """From 1 well before the end of a window (0), to -1 well after it."""
    return -1.0 if position > 3.0 else 2.0 / (1.0 + math.exp(5.0 * position)) - 1.0


def outcome(series: Labelled, detections: Iterable[int]) -> Outcome:
    earned = {window: -FALSE_NEGATIVE for window in series.windows if window[1] >= series.probation}
    scored = len(earned)
    penalty, false, hit, inside = 0.0, 0, set(), 0
    for row in detections:
        if row < series.probation:
            continue
        within = next((window for window in series.windows if window[0] <= row <= window[1]), None)
        if within is not None:
            width = within[1] - within[0] + 1
            worth = TRUE_POSITIVE * sigmoid(-(within[1] - row + 1) / width) / sigmoid(-1.0)
            earned[within] = max(earned[within], worth)
            hit.add(within)
            inside += 1
            continue
        false += 1
        before = [window for window in series.windows if window[1] < row]
        last = before[-1] if before else None
        past = (row - last[1]) / (last[1] - last[0]) if last and last[1] > last[0] else math.inf
        penalty += FALSE_POSITIVE * sigmoid(past)
    return Outcome(sum(earned.values()) + penalty, scored, len(hit), false, inside)


# --- detectors -------------------------------------------------------------------------------------


def stream(corpus: Sequence[Labelled], thresholds: Sequence[float]) -> dict[float, dict[str, list[int]]]:
    """Our detections (the rows where an episode begins) of every series at every threshold, in one pass."""
    detector = Detector(np.zeros(len(corpus)))
    watchers = {threshold: Episodes(detector.baselines, Sensitivity(threshold)) for threshold in thresholds}
    starts: dict[float, dict[str, list[int]]] = {
        threshold: {series.name: [] for series in corpus} for threshold in thresholds
    }
    lengths = np.array([len(series.values) for series in corpus])
    for row in range(int(lengths.max())):
        there = np.flatnonzero(lengths > row)
        at_s = np.array([corpus[name].at_s[row] for name in there])
        scores = detector.step(there, at_s, np.array([corpus[name].values[row] for name in there]))
        for threshold, episodes in watchers.items():
            begun, _ = episodes.step(row, scores)
            for episode in begun:
                starts[threshold][corpus[episode.series].name].append(row)
    return starts


def gaussian(values: Reals) -> Reals:
    """NAB's windowed Gaussian: one minus the tail probability by mean and deviation of the last 1,000 values."""
    scores = np.zeros(len(values))
    for row in range(1, len(values)):
        window = values[max(0, row - GAUSSIAN_WINDOW) : row]
        deviation = float(np.std(window)) or 0.000001
        scores[row] = 1.0 - 0.5 * math.erfc(abs(values[row] - float(np.mean(window))) / deviation / 1.4142)
    return scores


def optimised_gaussian(corpus: Sequence[Labelled]) -> tuple[float, Outcome]:
    """The best threshold on this corpus, of all that tell two of its scores apart at the top of the scale."""
    scores = {series.name: gaussian(series.values) for series in corpus}
    top = np.unique(np.concatenate(list(scores.values())))[-2000:]
    best = (1.1, sum((outcome(series, ()) for series in corpus), Outcome()))
    for threshold in map(float, top):
        total = Outcome()
        for series in corpus:
            total += outcome(series, map(int, np.flatnonzero(scores[series.name] >= threshold)))
        best = max(best, (threshold, total), key=lambda pair: pair[1].score)
    return best


# --- cost ------------------------------------------------------------------------------------------


def cost(series: int = 500, warm: int = 1500, steps: int = 300) -> dict[str, float]:
    """CPU time of one step for so many series that all have a value, as at 1 Hz, once memory is full."""
    rng = np.random.default_rng(1)
    detector = Detector(np.zeros(series), np.arange(series))
    episodes = Episodes(detector.baselines, Sensitivity(5.0))
    everyone = np.arange(series)
    values = rng.normal(100.0, 3.0, (warm + steps, series))
    for step in range(warm):
        episodes.step(step * SECOND, detector.step(everyone, float(step), values[step]))
    began = time.process_time()
    for step in range(warm, warm + steps):
        episodes.step(step * SECOND, detector.step(everyone, float(step), values[step]))
    each = (time.process_time() - began) / steps
    return {"series": series, "ms_per_step": round(1e3 * each, 3), "percent_of_a_core_at_1_hz": round(100 * each, 3)}


# --- report ----------------------------------------------------------------------------------------


def report(
    corpus: Sequence[Labelled], threshold: float, starts: dict[float, dict[str, list[int]]]
) -> dict[str, object]:
    by_threshold = {
        level: {series.name: outcome(series, starts[level][series.name]) for series in corpus} for level in starts
    }
    names = [series.name for series in corpus]

    def total(level: float, chosen: Iterable[str]) -> Outcome:
        return sum((by_threshold[level][name] for name in chosen), Outcome())

    def best(chosen: Sequence[str]) -> float:
        return max(THRESHOLDS, key=lambda level: total(level, chosen).score)

    left_out = sum((by_threshold[best([n for n in names if n != name])][name] for name in names), Outcome())
    near = [total(level, names).score for level in THRESHOLDS if abs(level - threshold) <= NEAR]
    without = [total(threshold, [n for n in names if n != name]).score for name in names]
    gauss_threshold, gauss = optimised_gaussian(corpus)
    return {
        "threshold": threshold,
        **total(threshold, names).figures(),
        "optimised": {"threshold": best(names), **total(best(names), names).figures()},
        "leave_one_out": left_out.figures(),
        "neighbours": {
            "mean": round(float(np.mean(near)), 2),
            "least": round(min(near), 2),
            "greatest": round(max(near), 2),
        },
        "without_one": {"least": round(min(without), 2), "greatest": round(max(without), 2)},
        "by_threshold": {str(level): round(total(level, names).score, 2) for level in THRESHOLDS},
        "by_file": {name: by_threshold[threshold][name].figures() for name in names},
        "windowed_gaussian": {"optimised": {"threshold": gauss_threshold, **gauss.figures()}},
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, default=DATA, help="folder with the series and windows.json")
    options.add_argument("--detections", type=Path, help="write `file,timestamp` of each detection there")
    options.add_argument("--threshold", type=float, default=THRESHOLD)
    options.add_argument("--no-cost", action="store_true", help="leave out the cost, which no series has a say in")
    given = options.parse_args()
    if not (given.data / "windows.json").is_file():
        print(f"skipped: {given.data} has no windows.json; give a folder of labelled series with --data")
        sys.exit(0)
    corpus = load(given.data)
    began = time.process_time()
    starts = stream(corpus, sorted({*THRESHOLDS, given.threshold}))
    took = time.process_time() - began
    if given.detections:
        with given.detections.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("file", "timestamp"))
            for series in corpus:
                rows = (row for row in starts[given.threshold][series.name] if row >= series.probation)
                writer.writerows((series.name, series.stamps[row]) for row in rows)
    figures = {**report(corpus, given.threshold, starts), "stream_cpu_s": round(took, 1)}
    print(json.dumps(figures if given.no_cost else {**figures, "cost": cost()}, indent=2))


if __name__ == "__main__":
    main()
