"""Locks that threads wait for: where they are wanted, who has them, and where the holder stands."""

import os
import struct
import subprocess

import pytest
from observed import cannot_run, observe

from kernelsight.collectors.base import Host
from kernelsight.collectors.bpf.lock_wait import LockWaits, Look, Waiter, by_word
from kernelsight.collectors.mappings import Mapping, Process
from kernelsight.collectors.memory_of import callers
from kernelsight.events.lock_wait import LockWait
from kernelsight.events.stack import Stack
from kernelsight.linux.stacks import decoded

MS = 1_000_000


@pytest.fixture(scope="module")
def program(compile_c):
    if reason := cannot_run(LockWaits):
        pytest.skip(reason)
    return compile_c("lock_sites")


def functions(program):
    listed = subprocess.run(["nm", "-S", "--defined-only", program], check=True, capture_output=True, text=True).stdout
    words = [line.split() for line in listed.splitlines()]
    return {each[3]: range(int(each[0], 16), int(each[0], 16) + int(each[1], 16)) for each in words if len(each) == 4}


def sites(observed, program, number):
    """The functions of the program on a stack."""
    (stack,) = {row.frames for row in observed.of(Stack, stack_id=number)}
    frames = decoded(stack)
    return [
        name
        for file, offset in frames.places
        for name, place in functions(program).items()
        if file >= 0 and frames.files[file].path == str(program) and offset - 1 in place
    ]


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "inherit"])
def test_it_is_told_where_a_lock_is_wanted_and_where_its_holder_stands(program, kind):
    observed = observe([LockWaits], program, "5", kind)
    rows = observed.of(LockWait, pid=observed.pid)
    assert len(rows) >= 2, observed.events
    by_holder = [row for row in rows if row.holder_tid == observed.one_said("holder").ns]
    assert by_holder, rows
    row = max(by_holder, key=lambda row: row.waiters)
    assert row.waiters >= 2
    assert 10 < row.longest_ms < 5000
    assert "take_order" in sites(observed, program, row.waiter_stack_id)
    slept = [row for row in by_holder if row.holder_state == "sleeping"]
    assert {row.holder_call for row in slept} <= {"clock_nanosleep", "futex"}
    assert any("flush_log" in sites(observed, program, row.holder_stack_id)[:2] for row in slept), slept


@pytest.mark.root
@pytest.mark.slow
def test_threads_of_a_pool_that_wait_for_work_wait_for_no_lock(program):
    observed = observe([LockWaits], program, "4", "pool")
    assert observed.of(LockWait, pid=observed.pid) == []


def waiter(pid=7, tid=8, word=0x1000, asleep_ms=20):
    return Waiter(asleep_ms * MS, word, 0, 0, 0, 0, pid, tid, b"prog")


def test_words_with_most_waiters_come_first_and_of_their_waiters_the_one_that_came_first():
    locks = by_word(
        [waiter(word=1), waiter(tid=9, word=2), waiter(tid=10, word=2, asleep_ms=90), waiter(pid=6, word=2)]
    )
    assert (locks[0].waiters[0].pid, locks[0].waiters[0].word, len(locks[0].waiters)) == (7, 2, 2)
    assert locks[0].waiters[0].tid == 10


def looked_at(proc, value, owner, *, numbers="33"):
    """What is found out of a lock of a process with one more thread, 33, that has these numbers in its namespaces."""
    (proc / "7/task/33").mkdir(parents=True)
    (proc / "7/status").write_text("Name:\tprog\nNSpid:\t7" + "\t1" * numbers.count("\t") + "\n")
    (proc / "7/task/33/status").write_text(f"Name:\tprog\nNSpid:\t{numbers}\n")
    (proc / "7/mem").write_bytes(bytes(0x1000) + struct.pack("<III", value, 0, owner))
    (lock,) = Look(proc)(by_word([waiter()]))
    return lock.is_lock, lock.holder_tid


@pytest.mark.parametrize(
    ("value", "owner", "told"),
    [
        (2, 33, (True, 33)),  # a mutex of glibc
        (0x80000021, 0, (True, 33)),  # one with priority inheritance
        (2, 0, (True, None)),  # a lock that has no owner, as of Rust
        (2, 34, (True, None)),  # the owner is no thread of the process
        (0, 0, (False, None)),  # a condition variable
        (1, 33, (False, None)),
        (5, 33, (False, None)),
        (33, 0, (False, None)),  # nobody waits for it, by its own word
    ],
)
def test_a_lock_and_its_holder_are_told_by_the_word_and_what_is_beside_it(tmp_path, value, owner, told):
    assert looked_at(tmp_path, value, owner) == told


def test_in_a_container_the_holder_is_told_by_its_number_outside(tmp_path):
    assert looked_at(tmp_path, 2, 2, numbers="33\t2") == (True, 33)


def test_in_a_container_a_number_of_outside_is_no_holder(tmp_path):
    assert looked_at(tmp_path, 2, 33, numbers="33\t5") == (True, None)


def test_a_process_that_is_gone_or_has_unmapped_the_word_has_no_lock(tmp_path):
    (lock,) = Look(tmp_path)(by_word([waiter()]))
    assert not lock.is_lock
    (tmp_path / "7").mkdir()
    (tmp_path / "7/mem").write_bytes(b"short")
    (lock,) = Look(tmp_path)(by_word([waiter()]))
    assert not lock.is_lock


def test_a_holder_that_ends_meanwhile_leaves_the_other_locks_of_its_process(tmp_path):
    looked_at(tmp_path, 2, 33)
    (tmp_path / "7/maps").write_text("")
    (tmp_path / "7/mem").write_bytes(bytes(0x1000) + struct.pack("<III4xIII", 2, 0, 33, 2, 0, 33))
    locks = Look(tmp_path)(by_word([waiter(), waiter(tid=9, word=0x1010)]))  # there is no task/33/comm any more
    assert [(lock.is_lock, lock.holder_tid, lock.holder_comm) for lock in locks] == [(True, 33, None)] * 2


@pytest.mark.root
def test_a_word_is_passed_over_when_two_looks_in_a_row_took_it_for_no_lock():
    if reason := cannot_run(LockWaits):
        pytest.skip(reason)
    locks = LockWaits(Host())
    words = [*by_word([waiter()])]
    key = struct.pack("<QII", 0x1000, 7, 0)
    try:
        for found, is_passed_over in ((words, False), ([], False), (words, False), (words, True)):
            locks._pass_over(found)
            assert (locks._no_locks.lookup(key) is not None) == is_passed_over
    finally:
        locks.close()


LIBC = Mapping(0x1000, 0x2000, 0, "fd:00 1", "/lib/libc.so.6")
PROGRAM = Mapping(0x5000, 0x6000, 0, "fd:00 2", "/bin/prog")


def reader(stack, code):
    def read(address, size):
        for start, data in (*code, stack):
            if start <= address < start + len(data):
                return data[address - start : address - start + size]
        return b""

    return read


def test_the_caller_of_the_c_library_is_the_first_word_that_a_call_returns_to():
    if os.uname().machine != "x86_64":
        pytest.skip("instructions of x86-64")
    code = bytearray(0x1000)
    code[0x100:0x105] = b"\xe8\0\0\0\0"  # returns to 0x5105
    code[0x200:0x206] = b"\xff\x15\0\0\0\0"  # returns to 0x5206
    frame = struct.pack("<6Q", 0x5300, 7, 0x1100, 0x5105, 0x8038, 0xDEAD) + struct.pack("<3Q", 0, 0x9000, 0x5206)
    read = reader((0x8000, frame), [(0x5000, bytes(code)), (0x1000, bytes(0x1000))])
    process = Process([LIBC, PROGRAM])
    assert callers(read, process, 0x1234, 0x8000) == [0x1234, 0x5105], "0x5300 is no place that a call returns to"
    assert callers(read, process, 0x1234, 0x8000, 0x8038) == [0x1234, 0x5105, 0x5206]
    assert callers(read, process, 0x1234, 0x8000, 0x8001) == [0x1234, 0x5105]
    assert callers(read, process, 0x1234, 0x7000) == [0x1234]

    code[0x305:0x30A] = b"\xe8" + struct.pack("<i", 0x5100 - 0x530A)  # calls the function that begins at 0x5100
    code[0x405:0x40A] = b"\xe8" + struct.pack("<i", 0x5900 - 0x540A)  # calls another one
    frame = struct.pack("<6Q", 7, 0x1100, 0x5105, 0x540A, 9, 0x530A)
    read = reader((0x8000, frame), [(0x5000, bytes(code)), (0x1000, bytes(0x1000))])
    assert callers(read, process, 0x1234, 0x8000) == [0x1234, 0x5105, 0x530A]
    assert callers(read, process, 0xFFFF, 2**63 + 5, 2**64 - 1) == [0xFFFF]
