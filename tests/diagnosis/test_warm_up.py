"""Memory that was set aside beforehand is filled, and not leaked."""

from __future__ import annotations

import math

import pytest
from scenes import END, FROM, LENGTH, SECOND, START, stored

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import check
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.memory import Memory
from kernelsight.events.process import Process

MIB_KB = 1024
RATE = 60 * MIB_KB
"""KiB a second."""


def grown_kb(second):
    return RATE * max(0, second - FROM)


def machine(left_mib, *, shared=False):
    for second in range(LENGTH):
        yield Memory(
            START + second * SECOND + 1, mem_total_kb=24 << 20, mem_available_kb=left_mib * MIB_KB - grown_kb(second),
            swap_free_kb=0, shmem_kb=9000 + shared * grown_kb(second),
        )  # fmt: skip


def grows(pid, *, reserved_mib=None, shared=False, writes=False):
    """A process that grows; within memory that it has mapped, or mapping more."""
    for second in range(LENGTH):
        size = 20 * MIB_KB + grown_kb(second)
        mapped = size + 30 * MIB_KB if reserved_mib is None else reserved_mib * MIB_KB
        small = 20 * MIB_KB
        yield Process(
            START + second * SECOND + 3, pid=pid, ppid=1, comm="server", start_ticks=pid, threads=4,
            rss_kb=small if writes else size, anon_kb=small if shared or writes else size, swap_kb=0, vsize_kb=mapped,
            read_chars=0, write_chars=1024 * grown_kb(second) if writes else 0,
        )  # fmt: skip


def workers(reserved_mib=None):
    for pid in (70, 71, 72):
        yield from grows(pid, reserved_mib=reserved_mib, shared=True)


def spool(left_mib):
    for second in range(LENGTH):
        left = 1024 * (left_mib * MIB_KB - grown_kb(second))
        yield Filesystem(
            START + second * SECOND + 4, mount_point="/tmp", device="tmpfs", fs_type="tmpfs", size_bytes=32 << 30,
            free_bytes=left, avail_bytes=left, inodes_total=1000, inodes_free=900,
        )  # fmt: skip


def leaks(path):
    found = diagnose(path, START, END)
    assert check(path, found) == []
    return [one for one in found.findings if one.fault == "memory_leak"]


@pytest.mark.parametrize(
    ("rows", "how_many"),
    [
        ([*machine(20_000), *grows(70, reserved_mib=4000)], 0),
        ([*machine(20_000), *grows(70)], 1),
        ([*machine(20_000), *grows(70, reserved_mib=40_000)], 1),
        ([*machine(3000), *grows(70, reserved_mib=6000)], 1),
        ([*machine(20_000, shared=True), *workers(reserved_mib=4000)], 0),
        ([*machine(20_000, shared=True), *workers()], 1),
        ([*machine(20_000, shared=True), *spool(6000), *grows(70, writes=True)], 0),
        ([*machine(20_000, shared=True), *spool(26_000), *grows(70, writes=True)], 1),
    ],
    ids=[
        "a heap that is filled", "memory mapped as it grows", "more is reserved than there is",
        "what is reserved does not fit", "workers that map shared buffers", "shared memory that grows is counted once",
        "a file system in memory with a size", "one that is larger than the memory",
    ],
)  # fmt: skip
def test_what_is_filled_ends_with_its_size_and_what_is_mapped_anew_does_not(tmp_path, rows, how_many):
    assert len(leaks(stored(tmp_path / "db", rows))) == how_many


def mib_of_process(level):
    for second in range(LENGTH):
        mib = level(second)
        yield Memory(
            START + second * SECOND + 1, mem_total_kb=24 << 20, mem_available_kb=(12_000 - mib) * MIB_KB,
            swap_free_kb=0, shmem_kb=9000,
        )  # fmt: skip
        size = (20 + mib) * MIB_KB
        yield Process(
            START + second * SECOND + 3, pid=70, ppid=1, comm="server", start_ticks=70, threads=4, rss_kb=size,
            anon_kb=size, swap_kb=0, vsize_kb=size + 9000, read_chars=0, write_chars=0,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("level", "how_many"),
    [
        (lambda second: min(20, second) * 100, 0),
        (lambda second: int(3000 * (1 - math.exp(-second / 8))), 0),
        (lambda second: second // 6 * 600, 1),
        (lambda second: min(4, second) * 400 + second * 60, 1),
    ],
    ids=["stops", "levels off", "grows in steps", "goes on after it has started"],
)
def test_memory_that_no_longer_grows_is_not_leaked(tmp_path, level, how_many):
    assert len(leaks(stored(tmp_path / "db", mib_of_process(level)))) == how_many
