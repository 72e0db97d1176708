"""Somebody changes the machine, and what follows is a fault, or nothing at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.faultbench.scenario import scenario
from benchmarks.faultbench.stage import Stage
from benchmarks.faultbench.truth import Culprit, Truth

RENEW_KEYS = """import ctypes, os, sys, time
libc = ctypes.CDLL(None)
os.setgroups([])
user = int(sys.argv[1])
os.setresgid(user, user, user)
os.setresuid(user, user, user)
number, kept = 0, []
while True:
    began, number = time.monotonic(), number + 1
    key = libc.syscall(248, b"user", f"session {number}".encode(), b"secret", 6, -2)  # add_key
    if key > 0:
        kept.append(key)
        measured(began)
    if len(kept) > 40:
        libc.syscall(250, 9, kept.pop(0), -2)  # keyctl(KEYCTL_UNLINK)
    time.sleep(0.02)
"""
SERVE_AND_ASK = """import socket, threading, time
left, right = socket.socketpair()
def serve():
    while data := right.recv(64):
        sum(range(2000))
        right.send(data)
threading.Thread(target=serve, daemon=True).start()
while True:
    began = time.monotonic()
    left.send(b"question")
    left.recv(64)
    measured(began)
    time.sleep(0.01)
"""


def set_for_a_while(stage: Stage, path: str, value: object) -> None:
    """Write a setting below /proc/sys, and write the old value back at the end."""
    file = Path("/proc/sys") / path
    before = file.read_text(encoding="ascii")
    stage.later(lambda: file.write_text(before, encoding="ascii"))
    file.write_text(str(value), encoding="ascii")


@scenario("limit_lowered_under_a_service", lasts_s=16)
def limit_lowered_under_a_service(stage: Stage) -> Iterator[Truth]:
    """Somebody lowers the number of keys that a user may have, and a program that renews its keys gets no more."""
    taker = stage.python(RENEW_KEYS, stage.chance.randint(61_000, 63_000))
    stage.wait(2)
    yield Truth()
    set_for_a_while(stage, "kernel/keys/maxkeys", stage.chance.randint(5, 20))
    limit = Culprit(names=("kernel.keys.maxkeys",))
    yield Truth("kernel_limit", culprits=(limit, taker.culprit), changed=("kernel.keys.maxkeys",))


@scenario("settings_changed_without_harm", lasts_s=14, tags=("control",))
def settings_changed_without_harm(stage: Stage) -> Iterator[Truth]:
    """Somebody changes settings that harm nobody, while a service answers as it did."""
    stage.python(SERVE_AND_ASK)
    yield Truth()
    set_for_a_while(stage, "fs/lease-break-time", stage.chance.randint(46, 90))
    set_for_a_while(stage, "kernel/keys/maxkeys", stage.chance.randint(201, 400))
    yield Truth()
