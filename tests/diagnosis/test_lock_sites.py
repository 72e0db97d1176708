"""Where a lock is wanted and where its holder stands is said of its finding, with the rows that show it."""

import pytest
from scenes import FROM, LENGTH, SECOND, START, stored
from test_locks import QUIET, contention, threads, waits

from kernelsight.events.lock_wait import LockWait
from kernelsight.events.stack import Stack
from kernelsight.linux.stacks import File, Frames, encoded


def stack(number, *places):
    files = (File("/usr/lib/libc.so.6", "cd" * 20), File("/gone/app", "ab" * 20))
    return Stack(START, stack_id=number, space="user", pid=70, frames=encoded(Frames(files, places)), ends="scanned")


STACKS = [stack(1, (0, 16), (1, 0x101), (1, 0x201)), stack(2, (0, 32), (1, 0x301)), stack(3, (0, 16))]


def looks(word=4096, waiters=4, **columns):
    return [
        LockWait(
            START + second * SECOND + 11, pid=70, comm="app", word=word, waiters=waiters, longest_ms=80.0,
            waiter_tid=71, **{"waiter_stack_id": 1, **columns},
        )
        for second in range(FROM, LENGTH)
    ]  # fmt: skip


@pytest.fixture
def claims(tmp_path):
    def said(*rows):
        app = threads(70, "app", ran_ms=5, count=8, sleeps=200, most=26)
        waiting = [*waits(70, 70, "futex", 6.9, 100), *waits(70, 0, "clock_nanosleep", 0.97, 100)]
        [finding] = contention(stored(tmp_path / "db", [*QUIET, *app, *waiting, *STACKS, *rows]))
        return [step.claim for step in finding.path if "lock at" in step.claim or "has the lock" in step.claim]

    return said


def test_the_place_where_most_wait_and_that_of_the_holder_are_told(claims):
    holder = {"holder_tid": 72, "holder_comm": "log", "holder_state": "sleeping", "holder_call": "fsync"}
    wanted, held = claims(*looks(holder_stack_id=2, **holder), *looks(word=64, waiters=1))
    assert wanted == "4 threads of app wait for the lock at 0x1000 in a function without a name (`app+0x100`)"
    count = LENGTH - FROM
    assert held == (
        "thread log (72) that has the lock sleeps in a function without a name (`app+0x300`), in the call fsync, "
        f"in {count} of {count} looks"
    )


def test_a_holder_that_runs_is_told_to_run(claims):
    holder = {"holder_tid": 72, "holder_comm": "log", "holder_state": "running"}
    assert "thread log (72) that has the lock runs, or waits for a CPU" in claims(*looks(**holder))[1]


def test_a_holder_that_is_not_known_is_not_told(claims):
    assert len(claims(*looks())) == 1


@pytest.mark.parametrize("number", [None, 3, 99])
def test_nothing_is_said_of_a_stack_that_is_not_there_or_has_the_c_library_alone(claims, number):
    assert claims(*looks(waiter_stack_id=number)) == []


def test_nothing_is_said_of_a_single_look(claims):
    assert claims(looks()[0]) == []
