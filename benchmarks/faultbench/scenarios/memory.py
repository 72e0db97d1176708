"""Memory: too little of it, ever more of it, none left, and pages that are asked for again and again."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.faultbench.memories import cold_file, limited, swap_space
from benchmarks.faultbench.scenario import scenario
from benchmarks.faultbench.stage import Stage
from benchmarks.faultbench.truth import Culprit, Truth

READ = """import os, random, sys, time
path, pause, times = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
file = os.open(path, os.O_RDONLY)
size = os.fstat(file).st_size
while times:
    for at in range(0, size, 1 << 18):
        os.pread(file, 1 << 18, at)
        time.sleep(pause)
    times -= 1
time.sleep(60)
"""
SERVE = """import os, random, sys, time
path, pause = sys.argv[1], float(sys.argv[2])
file = os.open(path, os.O_RDONLY)
size = os.fstat(file).st_size
for at in range(0, size, 1 << 18):
    os.pread(file, 1 << 18, at)
while True:
    began = time.monotonic()
    os.pread(file, 1 << 15, random.randrange(0, size, 1 << 15))
    measured(began)
    time.sleep(pause)
"""
KEEP = """import sys, time
kept, each, pause = [], int(sys.argv[1]), float(sys.argv[2])
while True:
    kept.append({"answer": b"x" * each, "at": time.time()})
    time.sleep(pause)
"""
RESTART = """import os, sys, time
while True:
    child = os.fork()
    if child == 0:
        kept = []
        while True:
            kept.append(b"x" * (1 << 20))
            time.sleep(float(sys.argv[1]))
    os.waitpid(child, 0)
    time.sleep(0.3)
"""
ADVISE = """import mmap, sys, time
area = mmap.mmap(-1, int(sys.argv[1]) << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
while True:
    for at in range(0, len(area), mmap.PAGESIZE):
        area[at] = 1
    area.madvise(mmap.MADV_DONTNEED)
"""
SNAPSHOT = """import mmap, os, sys, time
area = mmap.mmap(-1, int(sys.argv[1]) << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
pages = range(0, len(area), mmap.PAGESIZE)
for at in pages:
    area[at] = 1
while True:
    child = os.fork()
    if not child:
        for at in pages:
            area[at] = 2
        os._exit(0)
    os.waitpid(child, 0)
    time.sleep(float(sys.argv[2]))
"""
SORT = """import random, sys, time
values = [random.random() for _ in range(int(sys.argv[1]))]
values.sort()
time.sleep(60)
"""


@scenario("cache_pushed_out_by_a_hog", needs=("gcc",), lasts_s=20)
def cache_pushed_out_by_a_hog(stage: Stage) -> Iterator[Truth]:
    """A reader has its file in the cache of its group, until a neighbour's memory leaves no room for it."""
    limit = stage.chance.choice((200, 256, 320))
    group = limited(stage, limit)
    stage.python(SERVE, cold_file(stage, limit * 6 // 10), 0.0005, groups=[group])
    yield Truth()
    hog = stage.c("grow", limit // 4, stage.chance.randint(30, 60), limit * 7 // 10, groups=[group])
    where = hog.at(f"/{group.name}")
    yield Truth("memory_pressure", culprits=(where,))


@scenario("more_files_than_fit", needs=("fio",))
def more_files_than_fit(stage: Stage) -> Iterator[Truth]:
    """A program reads again and again from a file that is larger than what its group may have."""
    group = limited(stage, stage.chance.choice((64, 96, 128)))
    file = cold_file(stage, 300)
    yield Truth()
    reader = stage.start(
        ["fio", "--name=read", f"--filename={file}", "--rw=randread", "--bs=16k", "--size=300m", "--time_based",
         "--runtime=40", "--invalidate=0", "--thread", "--fadvise_hint=0", f"--numjobs={stage.chance.randint(1, 3)}"],
        groups=[group],
    )  # fmt: skip
    where = reader.at(f"/{group.name}")
    yield Truth("memory_pressure", culprits=(where,))


@scenario("swaps_within_its_group", needs=("gcc", "mkswap", "swapon"))
def swaps_within_its_group(stage: Stage) -> Iterator[Truth]:
    """A program works on more memory than its group may have, and what it needs next was just swapped out."""
    limit = stage.chance.choice((128, 192, 256))
    group = limited(stage, limit)
    swap_space(stage, 1024)
    yield Truth()
    hog = stage.c("walk", limit * stage.chance.randint(5, 7) // 4, stage.chance.randint(15, 40), groups=[group])
    where = hog.at(f"/{group.name}")
    yield Truth("memory_pressure", culprits=(where,))


@scenario("keeps_every_answer", needs=("gcc",), lasts_s=22, tags=("red_herring",))
def keeps_every_answer(stage: Stage) -> Iterator[Truth]:
    """A Python program never forgets an answer, beside one that has much more memory and is content with it."""
    stage.c("grow", stage.chance.randint(500, 900), 1, 1)
    yield Truth()
    leak = stage.python(KEEP, 1 << 20, stage.chance.uniform(0.02, 0.05))
    yield Truth("memory_leak", culprits=(leak.culprit,))


@scenario("grows_towards_its_limit", needs=("gcc",), lasts_s=22, tags=("red_herring",))
def grows_towards_its_limit(stage: Stage) -> Iterator[Truth]:
    """A C program takes ever more of what its group may have, while another one reads its files into the cache."""
    group = limited(stage, 1024)
    stage.python(READ, cold_file(stage, 250), 0.02, 1)
    yield Truth()
    leak = stage.c("grow", stage.chance.randint(5, 60), stage.chance.randint(6, 25), groups=[group])
    yield Truth("memory_leak", culprits=(leak.culprit,))


@scenario("killed_at_its_limit", needs=("gcc",))
def killed_at_its_limit(stage: Stage) -> Iterator[Truth]:
    """A program takes more memory than its group may have and is killed; its neighbour is left alone."""
    limit = stage.chance.choice((128, 192, 256))
    group = limited(stage, limit)
    stage.c("grow", limit // 5, 1, 1, groups=[group])
    yield Truth()
    hog = stage.c("grow", 20, stage.chance.randint(60, 120), groups=[group])
    where = hog.at(f"/{group.name}")
    yield Truth("oom_kill", culprits=(where,))


@scenario("killed_and_started_again")
def killed_and_started_again(stage: Stage) -> Iterator[Truth]:
    """A supervisor starts its worker again each time that the kernel has killed it."""
    group = limited(stage, stage.chance.choice((64, 96, 128)))
    yield Truth()
    worker = stage.python(RESTART, stage.chance.uniform(0.005, 0.02), groups=[group])
    where = worker.at(f"/{group.name}")
    yield Truth("oom_kill", culprits=(where,))


@scenario("killed_for_anothers_memory", needs=("gcc", "choom"), tags=("red_herring",))
def killed_for_anothers_memory(stage: Stage) -> Iterator[Truth]:
    """A program takes what its group may have; its small neighbours are the ones that may be killed for it."""
    limit = stage.chance.choice((128, 192, 256))
    group = limited(stage, limit)
    for _ in range(2):
        small = stage.c("grow", limit // 8, 1, 1, groups=[group])
        stage.run("choom", "-n", "1000", "-p", small.pid)
    yield Truth()
    hog = stage.c("grow", 10, stage.chance.randint(30, 60), limit * 9 // 10, groups=[group])
    where = hog.at(f"/{group.name}")
    yield Truth("oom_kill", culprits=(where,))


@scenario("maps_and_unmaps", needs=("gcc",))
def maps_and_unmaps(stage: Stage) -> Iterator[Truth]:
    """A C program maps memory, touches every page of it and gives it back, over and over."""
    yield Truth()
    storm = stage.c("remap", stage.chance.randint(4, 64), stage.chance.choice((0, 50)), "unmap")
    yield Truth("page_fault_storm", culprits=(storm.culprit,))


@scenario("gives_back_what_it_needs_again")
def gives_back_what_it_needs_again(stage: Stage) -> Iterator[Truth]:
    """A Python program tells the kernel that it needs no page of its buffer, and then needs them all."""
    yield Truth()
    storm = stage.python(ADVISE, stage.chance.randint(8, 64))
    yield Truth("page_fault_storm", culprits=(storm.culprit,))


@scenario("snapshots_that_are_written_to")
def snapshots_that_are_written_to(stage: Stage) -> Iterator[Truth]:
    """A Python program copies itself again and again, and each copy writes to every page that it has."""
    yield Truth()
    storm = stage.python(SNAPSHOT, stage.chance.randint(16, 96), stage.chance.choice((0, 0.002)))
    yield Truth("page_fault_storm", culprits=(storm.culprit,))


@scenario("faults_of_many_kinds", needs=("stress-ng",))
def faults_of_many_kinds(stage: Stage) -> Iterator[Truth]:
    """stress-ng touches pages of files and of memory that it has only just mapped."""
    yield Truth()
    storm = stage.start(["stress-ng", "--fault", "1", "--timeout", "40"])
    where = Culprit((str(storm.pid),), (storm.name, "stress-ng-fault"))
    yield Truth("page_fault_storm", culprits=(where,))


@scenario("backup_in_a_small_group", tags=("control",))
def backup_in_a_small_group(stage: Stage) -> Iterator[Truth]:
    """A backup reads much more than its group may have, but each file once: its group is full and nobody minds."""
    group = limited(stage, stage.chance.choice((48, 64, 96)))
    file = cold_file(stage, 700)
    yield Truth()
    stage.python(READ, file, 0.003, 1, groups=[group])
    yield Truth()


@scenario("fills_its_cache_and_stops", tags=("control",), needs=("gcc",))
def fills_its_cache_and_stops(stage: Stage) -> Iterator[Truth]:
    """A server fills the cache in its own memory for some seconds, and then has what it needs."""
    yield Truth()
    stage.c("grow", 30, stage.chance.randint(30, 80), stage.chance.randint(200, 400))
    yield Truth()


@scenario("reads_its_files_into_the_cache", tags=("control",))
def reads_its_files_into_the_cache(stage: Stage) -> Iterator[Truth]:
    """A program reads its files at its start: the cache of the machine grows, and no process does."""
    file = cold_file(stage, 500)
    yield Truth()
    stage.python(READ, file, 0.006, 1)
    yield Truth()


@scenario("sorts_in_memory", tags=("control",), lasts_s=18)
def sorts_in_memory(stage: Stage) -> Iterator[Truth]:
    """A program takes some hundred megabytes as fast as it can make them, sorts them, and keeps the result."""
    yield Truth()
    stage.python(SORT, stage.chance.randint(4_000_000, 8_000_000))
    yield Truth()
