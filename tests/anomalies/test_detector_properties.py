"""Whatever a series holds, scores are numbers and nothing is raised."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernelsight.anomalies.detector import Detector
from kernelsight.anomalies.episodes import Episodes, Sensitivity

VALUES = st.one_of(
    st.just(0.0),
    st.floats(allow_nan=True, allow_infinity=True),
    st.integers(-(2**63), 2**63 - 1).map(float),
    st.sampled_from([1e308, -1e308, 5e-324, 1e30, 1.0, 2.0]),
)


@pytest.mark.slow
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    pieces=st.lists(st.tuples(VALUES, st.integers(1, 120)), min_size=1, max_size=12),
    odd=st.lists(VALUES, max_size=30),
    seed=st.integers(0, 2**16),
)
def test_scores_are_finite_whatever_the_values(pieces, odd, seed):
    values = np.concatenate([np.full(length, value) for value, length in pieces] * 2)
    rng = np.random.default_rng(seed)
    values[rng.integers(0, len(values), len(odd))] = odd
    detector = Detector(np.zeros(2))
    episodes = Episodes(detector.baselines, Sensitivity(2.0))
    for row, value in enumerate(values):
        there = np.arange(2) if row % 3 else np.zeros(1, np.intp)
        scores = detector.step(there, 1e9 + row, np.full(len(there), value))
        assert np.isfinite(scores.score).all()
        assert (scores.score >= 0).all()
        begun, over = episodes.step(row, scores)
        for one in (*begun, *over):
            assert np.isfinite([one.score, one.value, one.low, one.high, one.distance]).all()


def test_a_step_without_observations_says_nothing():
    detector = Detector(np.zeros(3))
    scores = detector.step(np.zeros(0, np.intp), 0.0, np.zeros(0))
    assert len(scores.score) == 0
    scores = detector.step(np.arange(3), 0.0, np.full(3, np.nan))
    assert len(scores.score) == 0


def test_no_series_at_all():
    assert len(Detector(np.zeros(0)).step(np.zeros(0, np.intp), 0.0, np.zeros(0)).score) == 0
