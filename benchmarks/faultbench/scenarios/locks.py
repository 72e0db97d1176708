"""Locks that many want: in one process, between processes, on files, and in the kernel; and waits that are none."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.faultbench.scenario import scenario
from benchmarks.faultbench.stage import Stage
from benchmarks.faultbench.truth import Truth

COMPUTE = """import sys, threading
def compute():
    total = 0
    while True:
        total += sum(range(100))
for _ in range(int(sys.argv[1]) - 1):
    threading.Thread(target=compute, daemon=True).start()
compute()
"""
SLEEP_WITH_LOCK = """import sys, threading, time
lock = threading.Lock()
def work():
    while True:
        with lock:
            time.sleep(float(sys.argv[2]))
for _ in range(int(sys.argv[1]) - 1):
    threading.Thread(target=work, daemon=True).start()
work()
"""
WRITE_WITH_LOCK = """import hashlib, os, sys, threading
lock = threading.Lock()
block = os.urandom(1 << 18)
def work():
    for _ in iter(int, 1):
        with lock:
            for _ in range(int(sys.argv[2])):
                hashlib.sha256(block).digest()
            os.pwrite(log, block[:4096], 0)
log = os.open("journal", os.O_CREAT | os.O_WRONLY)
for _ in range(int(sys.argv[1]) - 1):
    threading.Thread(target=work, daemon=True).start()
work()
"""
HOLD_FILE_LOCK = """import fcntl, sys, time
with open(sys.argv[1], "w") as file:
    while True:
        fcntl.flock(file, fcntl.LOCK_EX)
        time.sleep(float(sys.argv[2]))
        fcntl.flock(file, fcntl.LOCK_UN)
        time.sleep(float(sys.argv[3]))
"""
SHARE_RECORD_LOCK = """import fcntl, os, sys, time
for _ in range(int(sys.argv[2]) - 1):
    if os.fork() == 0:
        break
with open(sys.argv[1], "w") as file:
    while True:
        fcntl.lockf(file, fcntl.LOCK_EX, 100, 0)
        end = time.process_time() + float(sys.argv[3])
        while time.process_time() < end:
            pass
        fcntl.lockf(file, fcntl.LOCK_UN, 100, 0)
"""
MAKE_AND_REMOVE = """import os, sys
for i in range(int(sys.argv[1])):
    if os.fork() == 0:
        break
name = f"folder/{os.getpid()}"
while True:
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
    os.rename(name, name + "-done")
    os.unlink(name + "-done")
"""
WAIT_FOR_JOBS = """import queue, sys, threading, time
jobs = queue.Queue()
def work():
    while True:
        jobs.get()
        end = time.thread_time() + float(sys.argv[3])
        while time.thread_time() < end:
            pass
for _ in range(int(sys.argv[1])):
    threading.Thread(target=work, daemon=True).start()
while True:
    time.sleep(float(sys.argv[2]))
    jobs.put(1)
"""
WAIT_WITH_TIMER = """import sys, threading, time
wanted = threading.Condition()
def wait():
    while True:
        with wanted:
            wanted.wait(float(sys.argv[2]))
for _ in range(int(sys.argv[1])):
    threading.Thread(target=wait, daemon=True).start()
time.sleep(60)
"""
PASS_ON = """import queue, sys, threading, time, zlib
blocks = queue.Queue(8)
def consume():
    while True:
        zlib.crc32(blocks.get())
threading.Thread(target=consume, daemon=True).start()
while True:
    blocks.put(bytes(1 << 16))
    time.sleep(float(sys.argv[1]))
"""


@scenario("one_mutex_for_all_threads", lasts_s=10, needs=("gcc",))
def one_mutex_for_all_threads(stage: Stage) -> Iterator[Truth]:
    """Threads compute under one mutex, and do little outside of it."""
    yield Truth()
    held = stage.chance.randint(20, 500)
    program = stage.c("lock", "mutex", stage.chance.randint(4, 24), held, held // stage.chance.randint(4, 20))
    yield Truth("lock_contention", culprits=(program.culprit,))


@scenario("interpreter_lock", lasts_s=10)
def interpreter_lock(stage: Stage) -> Iterator[Truth]:
    """Threads of a Python program compute, and only one at a time may."""
    yield Truth()
    program = stage.python(COMPUTE, stage.chance.randint(4, 12))
    yield Truth("lock_contention", culprits=(program.culprit,))


@scenario("sleeps_with_the_lock", lasts_s=10)
def sleeps_with_the_lock(stage: Stage) -> Iterator[Truth]:
    """Whoever has the lock waits for something with it, and nothing is used meanwhile."""
    yield Truth()
    program = stage.python(SLEEP_WITH_LOCK, stage.chance.randint(4, 16), stage.chance.uniform(0.002, 0.05))
    yield Truth("lock_contention", culprits=(program.culprit,))


@scenario("hashes_with_the_lock", lasts_s=10)
def hashes_with_the_lock(stage: Stage) -> Iterator[Truth]:
    """Threads could compute beside each other in a library that lets go of the interpreter, but for a lock."""
    yield Truth()
    program = stage.python(WRITE_WITH_LOCK, stage.chance.randint(4, 12), stage.chance.randint(1, 20))
    yield Truth("lock_contention", culprits=(program.culprit,))


@scenario("mutex_between_processes", lasts_s=10, needs=("gcc",))
def mutex_between_processes(stage: Stage) -> Iterator[Truth]:
    """Processes share a mutex in shared memory."""
    yield Truth()
    held = stage.chance.randint(50, 2000)
    program = stage.c("lock", "shared", stage.chance.randint(4, 12), held, held // stage.chance.randint(4, 20))
    yield Truth("lock_contention", culprits=(program.culprit,))


@scenario("convoy_behind_a_file_lock", lasts_s=10, needs=("flock",))
def convoy_behind_a_file_lock(stage: Stage) -> Iterator[Truth]:
    """One program keeps a file locked for long, and others wait for their short turn."""
    path = stage.folder / "database"
    for _ in range(stage.chance.randint(4, 8)):
        stage.start(["sh", "-c", f"while :; do flock {path} sleep 0.01; sleep 0.05; done"])
    yield Truth()
    holder = stage.python(HOLD_FILE_LOCK, path, stage.chance.uniform(0.5, 3), 0.02)
    yield Truth("lock_contention", culprits=(holder.culprit,))


@scenario("never_lets_go_of_a_file", lasts_s=10)
def never_lets_go_of_a_file(stage: Stage) -> Iterator[Truth]:
    """A program has locked a file and forgotten it; those that come later wait for good."""
    path = stage.folder / "spool"
    yield Truth()
    holder = stage.python(HOLD_FILE_LOCK, path, 60, 0)
    stage.run("sleep", 0.5)
    for _ in range(stage.chance.randint(3, 6)):
        stage.python(HOLD_FILE_LOCK, path, 0.01, 0.02)
    yield Truth("lock_contention", culprits=(holder.culprit,))


@scenario("one_record_for_all_processes", lasts_s=10)
def one_record_for_all_processes(stage: Stage) -> Iterator[Truth]:
    """Processes update one record of a file, which is locked while they compute."""
    path = stage.folder / "table"
    yield Truth()
    program = stage.python(SHARE_RECORD_LOCK, path, stage.chance.randint(4, 10), stage.chance.uniform(0.002, 0.03))
    yield Truth("lock_contention", culprits=(program.culprit,))


@scenario("one_folder_for_all_processes", lasts_s=10)
def one_folder_for_all_processes(stage: Stage) -> Iterator[Truth]:
    """Processes make, rename and remove files in one folder, whose lock in the kernel they share."""
    (stage.folder / "folder").mkdir()
    yield Truth()
    program = stage.python(MAKE_AND_REMOVE, stage.chance.randint(6, 16))
    yield Truth("lock_contention", culprits=(program.culprit,), faults=("cpu_saturation", "runqueue_contention"))


@scenario("spins_and_yields", lasts_s=10, needs=("gcc",))
def spins_and_yields(stage: Stage) -> Iterator[Truth]:
    """Threads that wait for a spin lock give their CPU to each other, over and over."""
    yield Truth()
    program = stage.c("lock", "yield", stage.chance.randint(4, 12), stage.chance.randint(200, 2000), 50)
    yield Truth("lock_contention", culprits=(program.culprit,), faults=("context_switch_storm",))


@scenario("threads_that_wait_for_work", lasts_s=10, needs=("gcc",), tags=("control",))
def threads_that_wait_for_work(stage: Stage) -> Iterator[Truth]:
    """A pool has more threads than work."""
    yield Truth()
    stage.c("pool", stage.chance.randint(8, 24), stage.chance.randint(500, 20000), stage.chance.randint(50, 400))
    yield Truth()


@scenario("python_pool_that_idles", lasts_s=10, tags=("control",))
def python_pool_that_idles(stage: Stage) -> Iterator[Truth]:
    """The threads of a Python program take jobs out of a queue that is mostly empty."""
    yield Truth()
    stage.python(WAIT_FOR_JOBS, stage.chance.randint(4, 16), stage.chance.uniform(0.005, 0.05), 0.001)
    yield Truth()


@scenario("conditions_with_timers", lasts_s=10, tags=("control",))
def conditions_with_timers(stage: Stage) -> Iterator[Truth]:
    """Threads wake by themselves now and then to see whether there is anything to do."""
    yield Truth()
    stage.python(WAIT_WITH_TIMER, stage.chance.randint(4, 16), stage.chance.uniform(0.005, 0.2))
    yield Truth()


@scenario("producer_and_consumer", lasts_s=10, tags=("control",))
def producer_and_consumer(stage: Stage) -> Iterator[Truth]:
    """A thread hands blocks to another one, which keeps up."""
    yield Truth()
    stage.python(PASS_ON, stage.chance.uniform(0.0005, 0.005))
    yield Truth()
