"""Signals of faults that were really played, and of machines with which nothing was wrong."""

from __future__ import annotations

import pytest
from benchmarks.faultbench.recording import about, cases, name_of
from recorded import SECOND, events_of, found_at_once, put, truth_of

from kernelsight.signals.registry import rules
from kernelsight.signals.run import classify
from kernelsight.stores.base import open_reader, open_writer

FAULTS = {
    "accepts_too_slowly": {"accept_queue_full", "listen_overflow"},
    "disk_fills_up": {"space_low", "syscalls_fail"},
    "files_left_open": {"descriptors_near_limit"},
    "no_descriptors_left": {"descriptors_near_limit", "syscalls_fail"},
    "no_inodes_left": {"inodes_low", "syscalls_fail"},
    "quota_too_small": {"cgroup_throttled", "waits_for_cpu"},
}
CONTROLS = sorted(name_of(case) for case in cases() if about(case)["truth"]["fault"] is None)


@pytest.fixture
def stored(tmp_path):
    def store(case):
        writer = open_writer(str(tmp_path / f"{case}.db"))
        put(writer, events_of(case))
        writer.close()
        return tmp_path / f"{case}.db"

    return store


@pytest.mark.slow
@pytest.mark.parametrize("case", FAULTS)
def test_a_played_fault_is_a_signal_that_begins_with_it(stored, case):
    onset = truth_of(case)["onset_ns"]
    found = {one.rule: one for one in found_at_once(stored(case)) if one.timestamp >= onset}
    assert FAULTS[case] <= set(found)
    for rule in FAULTS[case]:
        assert found[rule].severity in {"warning", "critical"}


@pytest.mark.slow
@pytest.mark.parametrize("case", FAULTS)
def test_the_quiet_seconds_before_a_fault_have_no_signal(stored, case):
    path = stored(case)
    onset = truth_of(case)["onset_ns"]
    reader = open_reader(str(path))
    try:
        first = min(event.timestamp for event in events_of(case)) // SECOND * SECOND
        assert classify(reader, rules(), first, onset // SECOND * SECOND) == []
    finally:
        reader.close()


@pytest.mark.slow
@pytest.mark.parametrize("case", CONTROLS)
def test_a_busy_machine_with_which_nothing_is_wrong_has_none_that_is_critical(stored, case):
    assert [one.summary for one in found_at_once(stored(case)) if one.severity == "critical"] == []
