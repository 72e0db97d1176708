"""What began together is one incident, named by its strongest series."""

from __future__ import annotations

from streams import SECOND

from kernelsight.anomalies.episodes import AnomalyEpisode
from kernelsight.anomalies.incidents import TOGETHER_NS, grouped


def episode(series: int, start_s: float, score: float, end_s: float | None = None) -> AnomalyEpisode:
    start = round(start_s * SECOND)
    end = None if end_s is None else round(end_s * SECOND)
    return AnomalyEpisode(
        series=series, start_ns=start, score=score, value=9.0, distance=7.0, low=1.0, high=2.0, level=1.5,
        shape="spike", last_ns=start, end_ns=end,
    )  # fmt: skip


def test_forty_series_that_leave_together_are_one_incident():
    found = grouped([episode(series, 100 + series % 9, 4 + series / 10, 200) for series in range(40)])
    assert len(found) == 1
    assert found[0].onset_ns == 100 * SECOND
    assert found[0].episodes[0].series == 39
    assert found[0].end_ns == 200 * SECOND


def test_onsets_far_apart_are_different_incidents_and_a_chain_does_not_join_them():
    step = TOGETHER_NS / SECOND
    found = grouped([episode(n, 100 + n * (step - 1), 5, 300) for n in range(4)])
    assert [len(one.episodes) for one in found] == [2, 2]


def test_an_incident_is_open_while_one_of_its_series_is():
    assert grouped([episode(0, 1, 5, 9), episode(1, 2, 6)])[0].end_ns is None


def test_no_episodes_no_incidents():
    assert grouped([]) == []
