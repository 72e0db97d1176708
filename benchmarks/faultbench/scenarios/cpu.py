"""CPUs: few tasks that take them, very many that want them, and quotas."""

from __future__ import annotations

import os
from collections.abc import Iterator

from benchmarks.faultbench.scenario import Culprit, Truth, scenario
from benchmarks.faultbench.stage import Stage

SPIN = """import os, sys
for _ in range(int(sys.argv[1]) - 1):
    if os.fork() == 0:
        break
while True:
    pass
"""
SERVE = """import sys, time
work, pause = float(sys.argv[1]), float(sys.argv[2])
while True:
    end = time.process_time() + work
    while time.process_time() < end:
        pass
    time.sleep(pause)
"""


@scenario("hogs_beside_a_server", tags=())
def hogs_beside_a_server(stage: Stage) -> Iterator[Truth]:
    """A few endless loops take the CPUs from a server that needs little of them."""
    stage.python(SERVE, 0.004, stage.chance.uniform(0.006, 0.02))
    yield Truth()
    hog = stage.python(SPIN, (os.cpu_count() or 1) + stage.chance.randint(1, 2))
    yield Truth("cpu_saturation", culprits=(hog.culprit,))


@scenario("crowd_of_threads")
def crowd_of_threads(stage: Stage) -> Iterator[Truth]:
    """Dozens of loops at once: each gets next to nothing."""
    stage.python(SERVE, 0.003, 0.02)
    yield Truth()
    crowd = stage.python(SPIN, stage.chance.randint(14, 24) * (os.cpu_count() or 1))
    yield Truth("runqueue_contention", culprits=(crowd.culprit,))


@scenario("quota_too_small")
def quota_too_small(stage: Stage) -> Iterator[Truth]:
    """A batch job wants a CPU and its control group allows a fraction of one, on a machine that idles."""
    quota = stage.chance.choice((10_000, 20_000, 30_000))
    group = stage.cgroup("cpu", {"cpu.cfs_quota_us": str(quota)})
    yield Truth()
    job = stage.python(SPIN, stage.chance.randint(1, 3), groups=[group])
    where = Culprit((f"/{group.name}",), (f"/{group.name}", job.name))
    yield Truth("cpu_throttling", culprits=(where,))


@scenario("as_many_jobs_as_cpus", tags=("control",))
def as_many_jobs_as_cpus(stage: Stage) -> Iterator[Truth]:
    """One busy job less than there are CPUs, and nobody who waits."""
    yield Truth()
    stage.python(SPIN, max(1, (os.cpu_count() or 1) - 1))
    yield Truth()


@scenario("niced_cruncher", tags=("control",))
def niced_cruncher(stage: Stage) -> Iterator[Truth]:
    """A job with the lowest priority uses what nobody else wants."""
    stage.python(SERVE, 0.003, 0.03)
    yield Truth()
    stage.python("import os\nos.nice(19)\n" + SPIN, os.cpu_count() or 1)
    yield Truth()
