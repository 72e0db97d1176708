"""Limits of the kernel that programs meet, each in a control group, a namespace or with a user of its own."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.faultbench.scenario import scenario
from benchmarks.faultbench.stage import Stage
from benchmarks.faultbench.truth import Culprit, Truth

TAKE_SEMAPHORES = """import ctypes, sys, time
libc = ctypes.CDLL(None)
libc.unshare(0x08000000)  # an IPC namespace of its own
open("/proc/sys/kernel/sem", "w").write(f"32000 1024000000 500 {sys.argv[1]}")
while True:
    libc.semget(0, 1, 0o1600)
    time.sleep(0.05)
"""
TAKE_KEYS = """import ctypes, os, sys, time
libc = ctypes.CDLL(None)
os.setgroups([])
os.setresgid(int(sys.argv[1]), int(sys.argv[1]), int(sys.argv[1]))
os.setresuid(int(sys.argv[1]), int(sys.argv[1]), int(sys.argv[1]))
number = 0
while True:
    number += 1
    libc.syscall(248, b"user", f"key {number}".encode(), b"secret", 6, -2)
    time.sleep(0.01)
"""
LEAVE_ZOMBIES = """import os, sys, time
while True:
    try:
        if not os.fork():
            os._exit(0)
    except BlockingIOError:
        pass
    time.sleep(0.02)
"""


@scenario("no_semaphores_left", lasts_s=14)
def no_semaphores_left(stage: Stage) -> Iterator[Truth]:
    """A program takes sets of semaphores and gives none back, in an IPC namespace that allows few."""
    yield Truth()
    taker = stage.python(TAKE_SEMAPHORES, stage.chance.randint(4, 40))
    yield Truth("kernel_limit", culprits=(taker.at("kernel.sem"),))


@scenario("no_keys_left", lasts_s=14)
def no_keys_left(stage: Stage) -> Iterator[Truth]:
    """A program of an ordinary user adds keys until the kernel lets this user have no more."""
    yield Truth()
    taker = stage.python(TAKE_KEYS, stage.chance.randint(61_000, 63_000))
    yield Truth("kernel_limit", culprits=(taker.at("kernel.keys.maxkeys"),))


@scenario("zombies_fill_a_group", lasts_s=14)
def zombies_fill_a_group(stage: Stage) -> Iterator[Truth]:
    """A program never waits for its children, until its control group may have no more of them."""
    group = stage.cgroup("pids", {"pids.max": str(stage.chance.randint(40, 100))})
    yield Truth()
    parent = stage.python(LEAVE_ZOMBIES, groups=[group])
    own = parent.culprit
    yield Truth("task_limit", culprits=(Culprit(own.ids, own.names),))
