"""Whose I/O it is: what a child did is counted once, on the child's own rows or as its parent's children's."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time

import pytest

from kernelsight.collectors.base import Host, registered
from kernelsight.collectors.own_io import Account, OwnIo
from kernelsight.errors import SourceUnavailableError

MB = 1_000_000
SHELL = "read go; for i in 1 2 3; do dd if=/dev/zero of=$0 bs=1M count=8 2>/dev/null; done; echo done; read end"
LONG = (
    "import sys\n"
    'with open(sys.argv[1], "wb", buffering=0) as file:\n'
    "    for _ in range(3):\n"
    '        file.write(bytes(8 << 20)); print("wrote", flush=True); sys.stdin.readline()\n'
)
PARENT = (
    "import subprocess, sys, threading\n"
    "def write(size):\n"
    "    with open(sys.argv[1], 'wb', buffering=0) as file: file.write(bytes(size))\n"
    "print('ready', flush=True); sys.stdin.readline()\n"
    "thread = threading.Thread(target=write, args=(16 << 20,)); thread.start(); thread.join()\n"
    "print('thread', flush=True); sys.stdin.readline()\n"
    "subprocess.run(['dd', 'if=/dev/zero', f'of={sys.argv[1]}', 'bs=1M', 'count=8'], stderr=subprocess.DEVNULL)\n"
    "print('child', flush=True); sys.stdin.readline()\n"
)

pytestmark = pytest.mark.alone
MOMENTS = itertools.count(time.time_ns(), 10**12)
"""So far apart that each process has a row every time."""


@pytest.fixture(params=["bpf", "procfs"])
def process_rows(request):
    """Looks at all processes; answers the rows by pid."""
    entry = next(entry for entry in registered()["process"] if entry.source == request.param)
    moment = iter(MOMENTS)
    now = [next(moment)]
    try:
        collector = entry.factory(Host(monotonic_ns=lambda: now[0]))
    except SourceUnavailableError as error:
        pytest.skip(str(error))

    def look():
        now[0] = next(moment)
        return {row.pid: row for row in collector.collect(now[0])}

    yield look
    collector.close()


def ask(process, word="\n"):
    process.stdin.write(word)
    process.stdin.flush()
    return process.stdout.readline()


def running(*command):
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ)


@pytest.mark.root
def test_what_commands_wrote_that_nobody_saw_is_the_shells_childrens_and_not_its_own(process_rows, tmp_path):
    with running("sh", "-c", SHELL, str(tmp_path / "file")) as shell:
        before = process_rows()[shell.pid]
        assert ask(shell) == "done\n"
        after = process_rows()[shell.pid]
        ask(shell)
    assert after.write_bytes - before.write_bytes < MB
    assert after.write_chars - before.write_chars < MB
    assert 24 * MB <= after.children_write_bytes - before.children_write_bytes < 27 * MB


@pytest.mark.root
def test_a_child_that_was_seen_is_counted_once(process_rows, tmp_path):
    starts = f"{sys.executable} -c '{LONG}' $0; echo ended; read end"
    with running("sh", "-c", starts, str(tmp_path / "file")) as shell:
        assert shell.stdout.readline() == "wrote\n"
        before = process_rows()
        child = next(row.pid for row in before.values() if row.ppid == shell.pid)
        assert ask(shell) == "wrote\n"
        between = process_rows()
        assert between[child].write_bytes - before[child].write_bytes >= 8 * MB
        assert ask(shell) == "wrote\n"  # of this no row of the child tells
        assert ask(shell) == "ended\n"
        after = process_rows()[shell.pid]
        ask(shell)
    assert after.write_bytes - before[shell.pid].write_bytes < MB
    assert 8 * MB <= after.children_write_bytes - before[shell.pid].children_write_bytes < 9 * MB


@pytest.mark.root
def test_a_thread_that_has_ended_is_still_its_process_and_a_child_is_not(process_rows, tmp_path):
    with running(sys.executable, "-c", PARENT, str(tmp_path / "file")) as parent:
        assert parent.stdout.readline() == "ready\n"
        before = process_rows()[parent.pid]
        assert ask(parent) == "thread\n"
        thread = process_rows()[parent.pid]
        assert ask(parent) == "child\n"
        child = process_rows()[parent.pid]
        ask(parent)
    assert thread.write_bytes - before.write_bytes >= 16 * MB
    assert thread.children_write_bytes == before.children_write_bytes
    assert child.write_bytes - thread.write_bytes < MB
    assert 8 * MB <= child.children_write_bytes - thread.children_write_bytes < 9 * MB


def io(written: int) -> tuple[int, ...]:
    return (0, 0, 0, 0, 0, written, 0)


def test_where_threads_and_children_end_at_once_the_childrens_part_is_what_they_had_when_last_seen():
    divider: OwnIo[str] = OwnIo()
    divider.look({"parent", "child"})
    divider.divide("parent", 1, 0, Account(io(100), io(0), 0, 0))
    divider.divide("child", 2, 1, Account(io(30), io(0), 0, 0))
    divider.look({"parent"})
    shares = divider.divide("parent", 1, 0, Account(io(60), io(95), 7, 7))  # a thread with 45 ended, a child with 50
    assert (shares.own.write_bytes, shares.children_write_bytes) == (125, 0)


def test_what_grandchildren_told_of_is_not_counted_again_when_all_end_at_once():
    divider: OwnIo[str] = OwnIo()
    divider.look({"shell", "timeout", "sh", "dd"})
    for pid, (name, written) in enumerate({"shell": 0, "timeout": 0, "sh": 5, "dd": 300}.items(), start=1):
        divider.divide(name, pid, pid - 1, Account(io(written), io(0), 0, 0))
    divider.look({"shell"})
    shares = divider.divide("shell", 1, 0, Account(io(0), io(345), 0, 9))
    assert (shares.own.write_bytes, shares.children_write_bytes) == (0, 40), "what dd wrote after its last row"


def test_counters_never_fall():
    divider: OwnIo[str] = OwnIo()
    accounts = [(100, 0, 0, 0), (60, 45, 1, 0), (60, 90, 1, 5), (10, 150, 2, 6), (12, 150, 2, 6)]
    shown = []
    for live, ended, threads, children in accounts:
        divider.look({"it"})
        shares = divider.divide("it", 1, 0, Account(io(live), io(ended), threads, children))
        shown.append((shares.own.write_bytes, shares.children_write_bytes))
    assert shown == [(100, 0), (105, 0), (105, 45), (105, 55), (107, 55)]
