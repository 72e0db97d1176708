"""CPUs: few tasks that take them, very many that want them, and quotas."""

from __future__ import annotations

import os
from collections.abc import Iterator

from benchmarks.faultbench.scenario import scenario
from benchmarks.faultbench.stage import CGROUPS, Stage
from benchmarks.faultbench.truth import Culprit, Truth

CPUS = os.cpu_count() or 1
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
    began = time.monotonic()
    end = time.process_time() + work
    while time.process_time() < end:
        pass
    measured(began)
    time.sleep(pause)
"""
SERVE_WITH_WORKERS = """import os, sys, time
for _ in range(int(sys.argv[1]) - 1):
    if os.fork() == 0:
        break
while True:
    end = time.process_time() + float(sys.argv[2])
    while time.process_time() < end:
        pass
    time.sleep(float(sys.argv[3]))
"""


def limited(quota_us: int, period_us: int = 100_000) -> dict[str, str]:
    """What gives a control group a quota."""
    if (CGROUPS / "cpu").is_dir():
        return {"cpu.cfs_period_us": str(period_us), "cpu.cfs_quota_us": str(quota_us)}
    return {"cpu.max": f"{quota_us} {period_us}"}


def stress(stage: Stage, *arguments: object, **options: object) -> Culprit:
    """Start stress-ng, whose workers have the name of what they do, or the random one."""
    chosen = ("--keep-name",) if stage.chance.random() < 0.5 else ()
    started = stage.start(["stress-ng", *chosen, *arguments], **options)  # type: ignore[arg-type]
    return Culprit((str(started.pid),), (started.name, f"stress-ng-{str(arguments[0]).removeprefix('--')}"))


@scenario("hogs_beside_a_server")
def hogs_beside_a_server(stage: Stage) -> Iterator[Truth]:
    """A few endless loops more than there are CPUs, beside a server that needs little."""
    stage.python(SERVE, 0.004, stage.chance.uniform(0.006, 0.02))
    yield Truth()
    hog = stage.python(SPIN, CPUS + stage.chance.randint(1, 2))
    yield Truth("cpu_saturation", culprits=(hog.culprit,))


@scenario("stress_on_every_cpu", needs=("stress-ng",))
def stress_on_every_cpu(stage: Stage) -> Iterator[Truth]:
    """stress-ng with up to three workers a CPU, and nobody beside it but themselves."""
    yield Truth()
    method = stage.chance.choice(("matrixprod", "fft", "loop", "int64", "sqrt", "all"))
    workers = stage.chance.randint(CPUS + 1, 3 * CPUS)
    yield Truth("cpu_saturation", culprits=(stress(stage, "--cpu", workers, "--cpu-method", method),))


@scenario("pinned_to_one_cpu", needs=("taskset", "gcc"))
def pinned_to_one_cpu(stage: Stage) -> Iterator[Truth]:
    """A program and a service share one CPU by their affinity, while the others idle."""
    cpu = str(stage.chance.randrange(CPUS))
    stage.python(SERVE, 0.02, 0.03, cpus=cpu)
    yield Truth()
    hog = stage.c("spin", stage.chance.randint(2, 4), cpus=cpu)
    yield Truth("cpu_saturation", culprits=(hog.culprit,))


@scenario("realtime_loop", needs=("taskset", "gcc"))
def realtime_loop(stage: Stage) -> Iterator[Truth]:
    """A real-time thread that never sleeps leaves a service what the kernel keeps for the others."""
    cpu = str(stage.chance.randrange(CPUS))
    stage.python(SERVE, 0.01, stage.chance.uniform(0.02, 0.05), cpus=cpu)
    yield Truth()
    hog = stage.c("spin", 1, "realtime", cpus=cpu)
    yield Truth("cpu_saturation", culprits=(hog.culprit,))


@scenario("loop_in_the_kernel", needs=("gcc",))
def loop_in_the_kernel(stage: Stage) -> Iterator[Truth]:
    """Threads of one process read from a device that always has more: all its time is system time."""
    stage.python(SERVE_WITH_WORKERS, 2, 0.01, 0.03)
    yield Truth()
    hog = stage.c("spin", stage.chance.randint(CPUS + 1, 3 * CPUS), "kernel")
    yield Truth("cpu_saturation", culprits=(hog.culprit,))


@scenario("several_programs_together", needs=("awk", "perl", "openssl"))
def several_programs_together(stage: Stage) -> Iterator[Truth]:
    """Programs of different kinds, none of which is much by itself, want twice what there is."""
    stage.python(SERVE, 0.01, 0.03)
    yield Truth()
    programs = [
        ["awk", "BEGIN { while (1) x++ }"],
        ["perl", "-e", "1 while 1"],
        ["openssl", "speed", "-seconds", 60, "sha256"],
        ["sh", "-c", "while :; do :; done"],
    ]
    hogs = [stage.start(program) for program in programs for _ in range(max(1, CPUS // 2))]
    yield Truth("cpu_saturation", culprits=tuple(hog.culprit for hog in hogs))


@scenario("heavy_group")
def heavy_group(stage: Stage) -> Iterator[Truth]:
    """No more loops than CPUs, but in a control group whose weight leaves a service in another one nothing."""
    v1 = (CGROUPS / "cpu").is_dir()
    file = "cpu.shares" if v1 else "cpu.weight"
    light = stage.cgroup("cpu", {file: "2" if v1 else "1"})
    heavy = stage.cgroup("cpu", {file: "100000" if v1 else "10000"})
    stage.python(SERVE_WITH_WORKERS, CPUS, 0.02, 0.03, groups=[light])
    yield Truth()
    hog = stage.python(SPIN, CPUS + stage.chance.randint(0, 1), groups=[heavy])
    where = Culprit((f"/{heavy.name}", str(hog.pid)), (f"/{heavy.name}", hog.name))
    yield Truth("cpu_saturation", culprits=(where,))


@scenario("crowd_of_processes")
def crowd_of_processes(stage: Stage) -> Iterator[Truth]:
    """Dozens of loops at once: each gets next to nothing."""
    stage.python(SERVE, 0.003, 0.02)
    yield Truth()
    crowd = stage.python(SPIN, stage.chance.randint(14, 24) * CPUS)
    yield Truth("runqueue_contention", culprits=(crowd.culprit,))


@scenario("crowd_of_threads", needs=("gcc",))
def crowd_of_threads(stage: Stage) -> Iterator[Truth]:
    """One process with far more threads that compute than there are CPUs."""
    stage.python(SERVE, 0.003, 0.02)
    yield Truth()
    crowd = stage.c("spin", stage.chance.randint(12, 40) * CPUS)
    yield Truth("runqueue_contention", culprits=(crowd.culprit,))


@scenario("crowd_of_stressors", needs=("stress-ng",))
def crowd_of_stressors(stage: Stage) -> Iterator[Truth]:
    """stress-ng with very many workers."""
    yield Truth()
    crowd = stress(stage, "--cpu", stage.chance.randint(12, 20) * CPUS)
    yield Truth("runqueue_contention", culprits=(crowd,))


@scenario("quota_too_small")
def quota_too_small(stage: Stage) -> Iterator[Truth]:
    """A batch job wants a CPU and its control group allows a fraction of one, on a machine that idles."""
    quota = stage.chance.choice((10_000, 20_000, 30_000))
    group = stage.cgroup("cpu", limited(quota))
    yield Truth()
    job = stage.python(SPIN, stage.chance.randint(1, 3), groups=[group])
    where = Culprit((f"/{group.name}",), (f"/{group.name}", job.name))
    yield Truth("cpu_throttling", culprits=(where,))


@scenario("service_outgrows_its_quota", needs=("stress-ng",))
def service_outgrows_its_quota(stage: Stage) -> Iterator[Truth]:
    """A service of several processes in a group below the one that has the quota gets more to do."""
    outer = stage.cgroup("cpu", limited(20_000, 50_000))
    inner = stage.cgroup("cpu", {}, below=outer)
    service = stage.python(SERVE_WITH_WORKERS, 3, 0.002, 0.1, groups=[inner])
    yield Truth()
    more = stress(stage, "--cpu", 2, "--cpu-load", stage.chance.randint(30, 60), groups=[inner])
    where = Culprit((f"/{outer.name}",), (f"/{outer.name}", service.name, *more.names))
    yield Truth("cpu_throttling", culprits=(where,))
