"""The benchmark scores as NAB publishes it, and the detector reaches what it claims on NAB's server metrics."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from streams import noise

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "anomalies.py"
SPEC = importlib.util.spec_from_file_location("benchmark_of_anomalies", PROGRAM)
benchmark = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = benchmark
SPEC.loader.exec_module(benchmark)


def labelled(*windows, rows=1000):
    return benchmark.Labelled("x.csv", tuple(map(str, range(rows))), np.arange(rows) * 300.0, noise(rows), windows)


def test_no_detection_is_0_and_the_first_row_of_each_window_is_100():
    series = labelled((300, 399), (600, 699))
    assert benchmark.outcome(series, []).score == 0
    assert benchmark.outcome(series, [300, 600]).score == pytest.approx(100)


def test_a_window_is_worth_less_the_later_it_is_found_and_only_once():
    series = labelled((300, 399))
    worth = [benchmark.outcome(series, [row]).raw for row in (300, 350, 390, 399)]
    assert worth == sorted(worth, reverse=True)
    assert worth[1] == pytest.approx(0.8483 / 0.98661, abs=1e-3)
    assert benchmark.outcome(series, [350, 360, 399]).raw == worth[1]


def test_a_false_detection_costs_little_just_behind_a_window_and_011_far_from_any():
    series = labelled((300, 399))
    missed = -1.0
    assert benchmark.outcome(series, [200]).raw == pytest.approx(missed - 0.11)
    assert benchmark.outcome(series, [900]).raw == pytest.approx(missed - 0.11)
    assert missed - 0.01 < benchmark.outcome(series, [401]).raw < missed


def test_the_first_rows_are_not_scored():
    assert benchmark.outcome(labelled((300, 399)), [149]).raw == -1.0
    assert labelled().probation == 150
    assert labelled(rows=20_000).probation == 750


@pytest.mark.slow
def test_a_folder_of_ones_own_is_scored_and_detections_are_written(tmp_path):
    values = noise(1500)
    values[1200:1204] = 160.0
    rows = [f"2026-01-{1 + row // 288:02d} {row % 288 // 12:02d}:{row % 12 * 5:02d}:00" for row in range(1500)]
    text = "".join(f"{stamp},{value}\n" for stamp, value in zip(rows, values, strict=True))
    (tmp_path / "a.csv").write_text("timestamp,value\n" + text)
    (tmp_path / "windows.json").write_text(json.dumps({"a.csv": [[rows[1150], rows[1250]]]}))
    command = [sys.executable, PROGRAM, "--data", tmp_path, "--detections", tmp_path / "found.csv", "--no-cost"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["recall"] == 1.0
    head, *found = (tmp_path / "found.csv").read_text().splitlines()
    assert head == "file,timestamp"
    assert f"a.csv,{rows[1200]}" in found or f"a.csv,{rows[1201]}" in found


@pytest.mark.slow
@pytest.mark.skipif(not benchmark.DATA.is_dir(), reason=f"needs the labelled series of NAB in {benchmark.DATA}")
def test_server_metrics_of_two_weeks_are_scored_69_or_more():
    """Without the two series of months, which take most of the time: `make bench` scores these, too."""
    corpus = [series for series in benchmark.load(benchmark.DATA) if len(series.values) < 5000]
    assert len(corpus) == 9
    found = benchmark.stream(corpus, [benchmark.THRESHOLD])[benchmark.THRESHOLD]
    total = sum((benchmark.outcome(one, found[one.name]) for one in corpus), benchmark.Outcome())
    assert total.score >= 69
