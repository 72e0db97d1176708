"""How a process ends is told with its status or signal, its parent and how long it lived."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing

import pytest

from kernelsight.collectors.base import Host
from kernelsight.collectors.bpf.process_exit import ProcessExits, signal_of, status_of
from kernelsight.errors import SourceUnavailableError

THREAD_ENDS_IT = """
import os, threading
threading.Thread(target=lambda: os._exit(3)).start()
threading.Event().wait()
"""

FIRST_THREAD_ENDS_FIRST = """
#include <pthread.h>
#include <unistd.h>
static void *run(void *with_exec)
{
	usleep(200000);
	if (with_exec)
		execl("/bin/sh", "sh", "-c", "exit 7", (char *)0);
	_exit(3);
}
int main(int count, char **words)
{
	pthread_t thread;
	pthread_create(&thread, 0, run, count > 1 ? words : 0);
	if (count > 1)
		pause();
	pthread_exit(0);
}
"""


@pytest.mark.parametrize(
    ("code", "status", "number"), [(0, 0, None), (0x100, 1, None), (0xFF00, 255, None), (9, None, 9), (0x8B, None, 11)]
)
def test_the_word_of_wait_is_read(code, status, number):
    assert (status_of(code), signal_of(code)) == (status, number)


@pytest.fixture
def ended():
    """Runs programs, and gives what is said of those that ended as children of this process."""
    try:
        collector = ProcessExits(Host())
    except SourceUnavailableError as error:
        pytest.skip(str(error))

    def run(*commands):
        list(collector.collect(0))
        for command in commands:
            subprocess.run(command, check=False)
        events = []
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and sum(event.count for event in events) < len(commands):
            events += [event for event in collector.collect(time.time_ns()) if event.parent_pid == os.getpid()]
        return events

    with closing(collector):
        yield run


@pytest.mark.root
def test_a_process_ends_with_its_last_thread_and_not_with_its_first(ended, tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc to build a program whose first thread ends first")
    (tmp_path / "late.c").write_text(FIRST_THREAD_ENDS_FIRST)
    subprocess.run(["gcc", "-pthread", "-o", tmp_path / "late", tmp_path / "late.c"], check=True)
    event, other = sorted(ended([tmp_path / "late"], [tmp_path / "late", "exec"]), key=lambda event: event.comm)
    assert (event.comm, event.exit_status, event.count, event.failed) == ("late", 3, 1, 1)
    assert event.lifetime_ms >= 200
    assert (other.comm, other.exit_status, other.count) == ("sh", 7, 1)


@pytest.mark.root
def test_ends_are_told_by_status_signal_and_name(ended):
    python = [sys.executable, "-c"]
    events = ended(
        ["sh", "-c", "exit 7"], ["sh", "-c", "exit 7"], ["true"], ["sh", "-c", "kill -SEGV $$"],
        [*python, THREAD_ENDS_IT],
    )  # fmt: skip
    told = {(event.comm, event.exit_status, event.exit_signal): (event.count, event.failed) for event in events}
    name = next(comm for comm, *_ in told if comm.startswith("python"))
    assert told == {
        ("sh", 7, None): (2, 2),
        ("true", 0, None): (1, 0),
        ("sh", None, signal.SIGSEGV): (1, 1),
        (name, 3, None): (1, 1),
    }
    assert all(event.executed for event in events)
    assert all(0 < event.lifetime_ms < 5_000 for event in events)


@pytest.mark.root
def test_a_copy_of_its_parent_has_executed_nothing(ended):
    events = ended(["true"])
    child = os.fork()
    if not child:
        os._exit(5)
    os.waitpid(child, 0)
    events += ended(["true"])
    assert [event.executed for event in events if event.exit_status == 0] == [True, True]
