"""Faults beside a program that is louder than the culprit, and harms nobody: who sorts by use blames the wrong one."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.faultbench.scenario import scenario
from benchmarks.faultbench.scenarios.cpu import CPUS, SERVE, SPIN, limited
from benchmarks.faultbench.stage import Stage
from benchmarks.faultbench.truth import Culprit, Truth


@scenario("pinned_hog_beside_an_encoder", needs=("taskset", "gcc", "nice"), tags=("red_herring",))
def pinned_hog_beside_an_encoder(stage: Stage) -> Iterator[Truth]:
    """A program takes a service's CPU; a patient encoder with the lowest priority has all of the others to itself."""
    cpu = stage.chance.randrange(CPUS)
    others = ",".join(str(other) for other in range(CPUS) if other != cpu)
    stage.python(SERVE, 0.02, 0.03, cpus=str(cpu))
    stage.c("spin", 2 * CPUS, cpus=others or str(cpu), through=["nice", "-n", "19"])
    yield Truth()
    hog = stage.c("spin", stage.chance.randint(1, 3), cpus=str(cpu))
    yield Truth("cpu_saturation", culprits=(hog.culprit,))


@scenario("quota_beside_an_encoder", needs=("gcc", "nice"), tags=("red_herring",))
def quota_beside_an_encoder(stage: Stage) -> Iterator[Truth]:
    """A job is held back by the small quota of its control group; an encoder with the lowest priority is far louder."""
    group = stage.cgroup("cpu", limited(stage.chance.choice((10_000, 20_000, 30_000))))
    stage.c("spin", CPUS, through=["nice", "-n", "19"])
    yield Truth()
    job = stage.python(SPIN, stage.chance.randint(1, 3), groups=[group])
    where = Culprit((f"/{group.name}",), (f"/{group.name}", job.name))
    yield Truth("cpu_throttling", culprits=(where,))
