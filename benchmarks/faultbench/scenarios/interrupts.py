"""Interrupts: timers that run out all the time, and machines on which many interrupts harm nobody."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.faultbench.scenario import scenario
from benchmarks.faultbench.stage import Stage
from benchmarks.faultbench.truth import Culprit, Truth

COMPUTE_AND_REST = """import time
while True:
    end = time.process_time() + 0.01
    while time.process_time() < end:
        pass
    time.sleep(0.02)
"""
WAKE_OFTEN = """import sys, time
while True:
    time.sleep(float(sys.argv[1]))
"""


@scenario("timers_run_out_all_the_time", needs=("stress-ng", "taskset"), lasts_s=14)
def timers_run_out_all_the_time(stage: Stage) -> Iterator[Truth]:
    """A program has a timer that runs out so often that its CPU does little but take its interrupts."""
    stage.python(COMPUTE_AND_REST, cpus="0")
    yield Truth()
    rate = stage.chance.randint(400_000, 1_000_000)
    storm = stage.start(["stress-ng", "--timer", 1, "--timer-freq", rate, "--timeout", 60], cpus="0")
    where = Culprit((str(storm.pid), "LOC"), (storm.name, "stress-ng-timer", "stress-ng"))
    yield Truth("irq_storm", culprits=(where,))


@scenario("programs_that_wake_up_often", lasts_s=12, tags=("control",))
def programs_that_wake_up_often(stage: Stage) -> Iterator[Truth]:
    """Programs wake up a thousand times a second by timers, as they always did, and the CPUs have time left."""
    yield Truth()
    for _ in range(2):
        stage.python(WAKE_OFTEN, stage.chance.uniform(0.0005, 0.001))
    yield Truth()
