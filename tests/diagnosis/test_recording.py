"""What is kept of a run: enough to find its fault again, and no more than that."""

from benchmarks.faultbench.recording import thinned

from kernelsight.events.scheduler import Load, SchedProcess, Wait

SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND


def test_of_a_thousand_short_processes_a_few_stay_and_everything_of_others_does():
    short = [SchedProcess(START, pid=pid, comm="true") for pid in range(1000, 2000)]
    ended = [Wait(START, pid=70, waker_pid=pid, waits_in="wait4") for pid in range(1000, 2000)]
    parent = [SchedProcess(START + at * SECOND, pid=70, comm="sh", forks=1000) for at in (0, 1)]
    others = [Load(START, load_1min=1.0)]
    kept = thinned([*short, *ended, *parent, *others], ours={})
    assert [event for event in kept if event in parent] == parent
    assert [event for event in kept if event in others] == others
    assert len(kept) == 5 + 5 + len(parent) + len(others)
    assert thinned(short, ours={event.pid: "true" for event in short}) == short
