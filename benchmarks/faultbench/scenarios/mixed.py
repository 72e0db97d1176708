"""Faults that are hard to tell: beside loud but harmless programs, seen mostly in their victims, and two at once."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.faultbench.scenario import scenario
from benchmarks.faultbench.scenarios.controls import filled, sources
from benchmarks.faultbench.scenarios.cpu import CPUS, SERVE, SPIN, limited, stress
from benchmarks.faultbench.scenarios.descriptors import (
    ACCEPT_SLOWLY,
    CROWD,
    OPEN,
    SERVE_AND_FORGET,
    VISIT,
    free_port,
)
from benchmarks.faultbench.scenarios.space import WRITE, mounted
from benchmarks.faultbench.stage import Stage
from benchmarks.faultbench.truth import Culprit, Truth

COMPLAIN = """import os, sys, threading, time
def ask():
    while True:
        asks, answers = os.pipe()
        threading.Timer(float(sys.argv[2]), os.write, (answers, b"x")).start()
        os.read(asks, 1)
        os.close(asks)
        os.close(answers)
for _ in range(int(sys.argv[1])):
    threading.Thread(target=ask, daemon=True).start()
time.sleep(60)
"""
"""Threads whose every call is a slow one: a collector of slow calls hears of nobody else."""


@scenario("leak_beside_niced_crunchers", tags=("red_herring",))
def leak_beside_niced_crunchers(stage: Stage) -> Iterator[Truth]:
    """Jobs with the lowest priority fill all CPUs; what is wrong is a program that closes no file."""
    stage.python("import os\nos.nice(19)\n" + SPIN, CPUS + 1)
    yield Truth()
    leak = stage.python(OPEN, stage.chance.choice((1024, 2048)), stage.chance.uniform(0.01, 0.02))
    yield Truth("fd_leak", culprits=(leak.culprit,))


@scenario("quota_beside_a_busy_job", tags=("red_herring",))
def quota_beside_a_busy_job(stage: Stage) -> Iterator[Truth]:
    """The largest consumer of CPU has a CPU of its own; who suffers is held back by a quota."""
    stage.python(SPIN, max(1, CPUS - 1))
    group = stage.cgroup("cpu", limited(stage.chance.choice((10_000, 15_000, 20_000))))
    yield Truth()
    service = stage.python(SERVE, 0.03, 0.02, groups=[group])
    where = Culprit((f"/{group.name}",), (f"/{group.name}", service.name))
    yield Truth("cpu_throttling", culprits=(where,))


@scenario("loud_victims_of_hogs", tags=("red_herring",))
def loud_victims_of_hogs(stage: Stage) -> Iterator[Truth]:
    """Dozens of threads make slow calls all the time, before and after; who takes the CPUs makes none."""
    stage.python(COMPLAIN, stage.chance.randint(20, 40), stage.chance.uniform(0.05, 0.1))
    stage.python(SERVE, 0.01, 0.02)
    yield Truth()
    hog = stage.python(SPIN, CPUS + stage.chance.randint(1, 2))
    yield Truth("cpu_saturation", culprits=(hog.culprit,))


@scenario("full_disk_beside_a_compile", needs=("gcc", "make", "mkfs.ext4", "losetup"), tags=("red_herring",))
def full_disk_beside_a_compile(stage: Stage) -> Iterator[Truth]:
    """A compile uses all CPUs and writes many files; a quiet program fills a small file system."""
    sources(stage.folder / "project", 40, 100)
    folder = mounted(stage, stage.chance.choice((48, 64)))
    stage.start(["sh", "-c", f"cd project; while :; do make -s -B -j {CPUS}; done"])
    yield Truth()
    writer = stage.python(WRITE, folder, 1 << 20, stage.chance.uniform(0.08, 0.15))
    where = writer.at(folder)
    yield Truth("disk_full", culprits=(where,))


@scenario("slow_accepts_beside_a_backup", needs=("tar", "gzip", "nice"), tags=("red_herring",))
def slow_accepts_beside_a_backup(stage: Stage) -> Iterator[Truth]:
    """A backup reads and compresses in the background; clients are refused by a server that sleeps."""
    filled(stage.folder / "files", 8, 8)
    stage.start(["nice", "-n", 15, "sh", "-c", "while :; do tar cf - files | gzip > b.gz; done"])
    port = free_port()
    server = stage.python(ACCEPT_SLOWLY, port, stage.chance.randint(4, 16), stage.chance.uniform(0.1, 0.3))
    yield Truth()
    stage.python(CROWD, port, stage.chance.randint(40, 60))
    where = server.at(f"127.0.0.1:{port}")
    yield Truth("listen_overflow", culprits=(where,))


@scenario("leak_and_hogs", tags=("two_at_once",))
def leak_and_hogs(stage: Stage) -> Iterator[Truth]:
    """One program closes no file, another one takes the CPUs: neither has to do with the other."""
    stage.python(SERVE, 0.006, 0.02)
    yield Truth()
    leak = stage.python(OPEN, stage.chance.choice((1024, 2048)), stage.chance.uniform(0.01, 0.02))
    hog = stage.python(SPIN, CPUS + stage.chance.randint(1, 2))
    other = Truth("fd_leak", culprits=(leak.culprit,))
    yield Truth("cpu_saturation", culprits=(hog.culprit,), also=(other,))


@scenario("quota_and_full_disk", needs=("mkfs.ext4", "losetup"), tags=("two_at_once",))
def quota_and_full_disk(stage: Stage) -> Iterator[Truth]:
    """A job is held back by its quota while a program fills a file system."""
    folder = mounted(stage, stage.chance.choice((48, 64)))
    group = stage.cgroup("cpu", limited(stage.chance.choice((10_000, 20_000))))
    yield Truth()
    job = stage.python(SPIN, stage.chance.randint(1, 2), groups=[group])
    writer = stage.python(WRITE, folder, 1 << 20, stage.chance.uniform(0.08, 0.15))
    full = writer.at(folder)
    where = Culprit((f"/{group.name}",), (f"/{group.name}", job.name))
    yield Truth("cpu_throttling", culprits=(where,), also=(Truth("disk_full", culprits=(full,)),))


@scenario("quota_on_a_full_machine", needs=("stress-ng",), tags=("two_at_once",))
def quota_on_a_full_machine(stage: Stage) -> Iterator[Truth]:
    """A job is held back by its quota, and what it may use it has to share with too many others."""
    group = stage.cgroup("cpu", limited(stage.chance.choice((10_000, 20_000))))
    yield Truth()
    job = stage.python(SPIN, 2, groups=[group])
    hogs = stress(stage, "--cpu", CPUS + stage.chance.randint(1, 2))
    where = Culprit((f"/{group.name}",), (f"/{group.name}", job.name))
    yield Truth("cpu_throttling", culprits=(where,), also=(Truth("cpu_saturation", culprits=(hogs,)),))


@scenario("unclosed_connections_and_a_crowd", tags=("two_at_once",))
def unclosed_connections_and_a_crowd(stage: Stage) -> Iterator[Truth]:
    """A server does not close its connections, and dozens of loops want the CPUs."""
    port = free_port()
    server = stage.python(SERVE_AND_FORGET, port)
    yield Truth()
    stage.python(VISIT, port, stage.chance.uniform(0.01, 0.03))
    crowd = stage.python(SPIN, stage.chance.randint(10, 16) * CPUS)
    other = Truth("connection_leak", culprits=(server.culprit,))
    yield Truth("runqueue_contention", culprits=(crowd.culprit,), also=(other,))
