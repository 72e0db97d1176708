"""Processes through /proc: recorded kernels, damaged text, and processes that really run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moments import Moments

from kernelsight.collectors.base import Host
from kernelsight.collectors.procfs.process import ProcessCollector
from kernelsight.collectors.procfs.process_text import (
    parse_cgroup,
    parse_fd_limit,
    parse_io,
    parse_run_delay,
    parse_stat,
    parse_status,
    task_name,
)
from kernelsight.collectors.selection import Selection
from kernelsight.errors import SourceUnavailableError

FIXTURES = Path(__file__).parents[1] / "fixtures/proc"
RECORDED = sorted(path for path in FIXTURES.glob("linux-6.1*") if (path / "proc/1/stat").exists())
NOW = 1_800_000_000_000_000_000
S = 1_000_000_000
root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def recorded(path, now=NOW):
    collector = ProcessCollector(Host(proc=path / "proc", sys=path / "sys", cgroup=path / "sys/fs/cgroup"))
    try:
        return {event.pid: event for event in collector.collect(now)}
    finally:
        collector.close()


@pytest.fixture
def collector():
    collector = ProcessCollector(Host())
    yield collector
    collector.close()


@pytest.fixture
def start():
    """Starts Python programs, which say that they run, and ends them."""
    started = []

    def run(program, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", f"print('ready', flush=True)\n{program}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout.readline() == b"ready\n"
        return process

    yield run
    for process in started:
        process.kill()
        with process:
            pass


def until(collector, found, deadline_s=20):
    """Sample until one grid point shows what is looked for."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        events = {event.pid: event for event in collector.collect(time.time_ns())}
        if (answer := found(events)) is not None:
            return answer
        time.sleep(0.02)
    raise AssertionError("not seen in time")


# --- recorded kernels ---


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name)
def test_every_recorded_process_is_reported_as_its_files_say(path):
    events = recorded(path)
    folders = {int(folder.name): folder for folder in (path / "proc").glob("[0-9]*")}
    assert events.keys() == folders.keys()
    for pid, folder in folders.items():
        event, status = events[pid], dict(line.split(":", 1) for line in _lines(folder / "status"))
        assert event.state == status["State"].split()[0]
        assert (event.ppid, event.threads) == (int(status["PPid"]), int(status["Threads"]))
        assert event.uid == int(status["Uid"].split()[1])
        if "VmRSS" in status:
            assert event.anon_kb == int(status["RssAnon"].removesuffix("kB"))
            assert event.vsize_kb == int(status["VmSize"].removesuffix("kB"))
        if event.ppid == 2 or pid == 2:
            assert (event.rss_kb, event.vsize_kb, event.anon_kb) == (None, None, None)
        assert event.voluntary_switches == int(status["voluntary_ctxt_switches"])
        assert event.cpu_delay_ns == int((folder / "schedstat").read_text().split()[1])
        assert event.write_chars == int(dict(line.split(": ") for line in _lines(folder / "io"))["wchar"])
        assert event.blkio_delay_ns is None  # another machine's, and not counted


def _lines(path):
    return path.read_text(errors="replace").splitlines()


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name)
def test_names_that_look_like_other_fields_are_names(path):
    names = {event.comm for event in recorded(path).values()}
    assert {"two words", "a) R (1", "new\nline", "bad\\xffutf"} <= names
    assert not any("-" in name for name in names if name.startswith("kworker/") and not name.startswith("kworker/R-"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name)
def test_the_group_the_limit_and_the_sockets_of_a_process_are_reported(path):
    events = recorded(path).values()
    assert sum(event.cgroup == "/work.slice/busy.service" for event in events) >= 10
    assert all(event.cgroup_id for event in events)
    assert {event.fd_limit for event in events if event.ppid == 1} == {1024}
    listener = [event for event in events if event.comm == "nc" and event.sockets == 1 and event.fds == 4]
    assert listener


@pytest.mark.parametrize("step_ns", [0, -3600 * S, 3600 * S], ids=["not set", "set back", "set ahead"])
def test_what_a_process_used_is_not_reported_again_until_it_changes(tmp_path, step_ns):
    moments = Moments()
    shutil.copytree(RECORDED[0], tmp_path / "host", symlinks=True)
    proc = tmp_path / "host/proc"
    collector = ProcessCollector(Host(proc=proc, cgroup=tmp_path / "host/sys/fs/cgroup", monotonic_ns=moments))
    first = {event.pid: event for event in collector.collect(NOW)}
    largest = {event.pid for event in collector.collect(moments.at(NOW + 1000))}
    assert len(largest) == 10 < len(first)
    quiet = next(pid for pid in first if pid not in largest)
    # Written in place: the file stays open, as in procfs.
    with (proc / f"{quiet}/schedstat").open("r+") as file:
        file.write("999999999 5 99\n")
    moments.step_ns = step_ns
    assert {event.pid for event in collector.collect(moments.at(NOW + 2000))} == largest | {quiet}
    seen = set()
    for second in range(1, 62):
        seen |= {event.pid for event in collector.collect(moments.at(NOW + second * S))}
    assert seen == first.keys()
    collector.close()


def test_a_machine_without_proc_is_unavailable(tmp_path):
    with pytest.raises(SourceUnavailableError, match="No such file"):
        ProcessCollector(Host(proc=tmp_path / "none"))


def test_a_kernel_that_does_not_count_runs_is_watched_by_what_was_used(tmp_path):
    proc = tmp_path / "proc"
    shutil.copytree(RECORDED[0] / "proc/1", proc / "1")
    (proc / "1/schedstat").write_text("0 0 0\n")
    collector = ProcessCollector(Host(proc=proc, cgroup=tmp_path))
    assert [event.cpu_delay_ns for event in collector.collect(NOW)] == [None]
    collector.close()


# --- damaged text ---

STAT = (RECORDED[0] / "proc/1/stat").read_bytes() if RECORDED else b""


@pytest.mark.parametrize("text", [b"", b"1", b"1 (init", b"1 (init) S 0", STAT[:60], b"\0" * 100])
def test_damaged_stat_is_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        parse_stat(text)


@given(st.binary(max_size=15).filter(lambda name: not name.startswith(b"kworker/") and b"\0" not in name))
def test_any_name_is_told_from_the_fields(name):
    stat = parse_stat(b"77 (" + name + b") " + STAT.partition(b") ")[2])
    assert (stat.comm, stat.state, stat.ppid) == (name.decode("utf-8", "backslashreplace"), "S", 0)


@given(st.binary(max_size=200))
@pytest.mark.parametrize("parse", [parse_stat, parse_status, parse_io, parse_run_delay])
def test_arbitrary_bytes_are_refused_as_no_value(parse, text):
    try:
        parse(text)
    except ValueError:
        return
    # What got through has the shape of the real thing.
    assert text.split()


def test_workers_have_their_plain_name():
    assert task_name(b"kworker/u4:1-writeback") == "kworker/u4:1"
    assert task_name(b"kworker/0:2H+events") == "kworker/0:2H"
    assert task_name(b"kworker/R-sync_wq") == "kworker/R-sync_"
    assert task_name(b"my-program") == "my-program"
    assert task_name(b"pool_workqueue_release") == "pool_workqueue_"


def test_status_of_a_process_without_memory():
    status = parse_status(b"Name:\tx\nUid:\t1\t2\t3\t4\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t8\n")
    assert status == (2, 0, 0, 0, 7, 8)


def test_unlimited_descriptors_are_no_limit():
    line = b"Limit   Soft Limit   Hard Limit   Units\nMax open files            %s   4096   files\n"
    assert parse_fd_limit(line % b"1024") == 1024
    assert parse_fd_limit(line % b"unlimited") is None
    assert parse_fd_limit(b"") is None


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        (b"0::/a.slice/b\n", ("/a.slice/b", "/a.slice/b", "/a.slice/b", "/a.slice/b")),
        (b"5:memory:/m\n2:cpu,cpuacct:/c\n1:name=systemd:/s\n0::/u\n", ("/u", "/u", "/m", "/u")),
        (b"6:blkio:/i\n5:memory:/m\n2:cpu,cpuacct:/c\n1:name=systemd:/s\n0::/\n", ("/c", "/", "/m", "/i")),
        (b"9:pids:/p\n5:memory:/m\n2:cpu,cpuacct:/\n1:name=systemd:/s\n0::/\n", ("/m", "/", "/m", "/")),
        (b"5:cpu:/c\n4:hugetlb,memory:/\n0::/u\n", ("/u", "/u", "/", "/u")),
        (b"5:memory:/m\n1:name=systemd:/s\n", ("/m", None, "/m", None)),
        (b"1:name=systemd:/s\n0::/\n", ("/", "/", "/", "/")),
        (b"0::/gone (deleted)\n", ("/gone", "/gone", "/gone", "/gone")),
        (b"0::/with:colon\n", ("/with:colon", "/with:colon", "/with:colon", "/with:colon")),
        (b"", ("/", None, None, None)),
    ],
)
def test_the_group_of_a_process(text, groups):
    assert parse_cgroup(text) == groups


# --- processes that run ---


def test_a_process_that_works_is_reported_each_time_and_one_that_sleeps_is_not(collector, start):
    busy, idle = start("while True: pass"), start("import time; time.sleep(600)")
    until(collector, lambda events: {busy.pid, idle.pid} <= events.keys() or None)
    collector._selection = Selection(largest=0)
    list(collector.collect(time.time_ns()))
    with_idle = 0
    for _ in range(10):
        pids = until(collector, lambda events: events.keys() if busy.pid in events else None)
        with_idle += idle.pid in pids
    assert with_idle <= 2  # on its way to sleep, and once a minute


def test_what_is_reported_agrees_with_status(collector, start):
    child = start("import sys; x = bytearray(30_000_000); print('filled', flush=True); sys.stdin.read()")
    assert child.stdout.readline() == b"filled\n"
    event = until(collector, lambda events: ((e := events.get(child.pid)) and e.rss_kb > 30_000 and e) or None)
    status = dict(line.split(":", 1) for line in _lines(Path(f"/proc/{child.pid}/status")))
    assert abs(event.rss_kb - int(status["VmRSS"].removesuffix("kB"))) < 1024
    assert abs(event.anon_kb - int(status["RssAnon"].removesuffix("kB"))) < 1024
    assert event.ppid == os.getpid()
    assert event.uid == os.geteuid()
    assert event.comm == status["Name"].strip()
    assert event.fds in (None, len(list(Path(f"/proc/{child.pid}/fd").iterdir())))
    limits = _lines(Path(f"/proc/{child.pid}/limits"))
    assert str(event.fd_limit) in next(line for line in limits if line.startswith("Max open files"))


def test_slow_growth_is_seen(collector, start):
    child = start("import sys\nx = []\nfor _ in sys.stdin: x.append(b'x' * 4_000_000); print('grown', flush=True)")
    before = until(collector, lambda events: events.get(child.pid))
    child.stdin.write(b"\n")
    child.stdin.flush()
    assert child.stdout.readline() == b"grown\n"
    grown = until(collector, lambda events: events.get(child.pid))
    assert grown.rss_kb >= before.rss_kb + 3000  # each CPU holds back up to 128 kB
    assert grown.minor_faults > before.minor_faults


def test_threads_count_even_when_the_main_thread_sleeps(collector, start):
    child = start(
        "import threading, time\ndef work():\n    while True: time.sleep(0.01)\nthreading.Thread(target=work).start()\n"
    )
    first = until(collector, lambda events: ((e := events.get(child.pid)) and e.threads == 2 and e) or None)
    if first.voluntary_switches is None:
        pytest.skip("the switches of threads need taskstats, which this user may not ask")
    more = first.voluntary_switches + 5
    later = until(
        collector, lambda events: ((e := events.get(child.pid)) and e.voluntary_switches > more and e) or None
    )
    assert later.cpu_delay_ns >= first.cpu_delay_ns


def test_switches_do_not_fall_when_a_thread_ends(collector, start):
    child = start(
        "import signal, sys, threading, time\n"
        "told = threading.Event(); signal.signal(signal.SIGUSR1, lambda *_: told.set())\n"
        "def work():\n    while not told.is_set(): time.sleep(0.001)\n"
        "thread = threading.Thread(target=work); thread.start()\n"
        "keep = threading.Thread(target=time.sleep, args=(600,)); keep.start()\n"
        "while thread.is_alive(): time.sleep(0.01)\n"
    )
    seen = []

    def left(events):
        event = events.get(child.pid)
        if event is not None and event.threads > 1:
            seen.append((event.threads, event.voluntary_switches))
        return (seen and seen[-1][0] == 2) or None

    until(collector, lambda events: ((e := events.get(child.pid)) and e.threads == 3) or None)
    child.send_signal(signal.SIGUSR1)
    until(collector, left)
    switches = [count for _, count in seen if count is not None]
    assert switches == sorted(switches)


def test_a_process_that_ended_is_forgotten_with_its_files(collector, start):
    child = start("import sys; sys.stdin.read()")
    until(collector, lambda events: events.get(child.pid))
    child.stdin.close()
    child.wait()
    assert until(collector, lambda events: child.pid not in events or None)
    assert str(child.pid) not in collector._tracked
    links = [str(file.readlink()) for file in Path("/proc/self/fd").iterdir() if file.is_symlink()]
    assert not [link for link in links if link.startswith(f"/proc/{child.pid}/")]


def test_close_leaves_no_file_open():
    before = sorted(Path("/proc/self/fd").iterdir())
    collector = ProcessCollector(Host())
    list(collector.collect(NOW))
    collector.close()
    collector.close()
    assert sorted(Path("/proc/self/fd").iterdir()) == before


def test_nothing_is_lost_when_no_file_may_stay_open(collector):
    collector._budget.left = 0
    events = {event.pid: event for event in collector.collect(NOW)}
    assert os.getpid() in events
    assert events[os.getpid()].write_chars is not None
    assert not any(process.files._open for process in collector._tracked.values())


def test_processes_that_come_and_go_between_two_reads_do_no_harm(collector):
    stop = threading.Event()

    def fork():
        while not stop.is_set():
            subprocess.run(["true"], check=True)

    forker = threading.Thread(target=fork)
    forker.start()
    try:
        for _ in range(50):
            assert any(event.pid == os.getpid() for event in collector.collect(time.time_ns()))
            time.sleep(0.001)  # who waits has run again; of who is on a CPU all the time, that shows with the next tick
    finally:
        stop.set()
        forker.join()


@root
def test_another_user_sees_what_may_be_seen():
    program = (
        "import os\n"
        "from kernelsight.collectors.base import Host\n"
        "from kernelsight.collectors.procfs.process import ProcessCollector\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "collector = ProcessCollector(Host(options={'enable_delayacct': True}))\n"
        "init = next(e for e in collector.collect(1_800_000_000_000_000_000) if e.pid == 1)\n"
        "print(init.rss_kb > 0, init.uid, init.read_bytes, init.sockets, init.blkio_delay_ns)\n"
        "print(collector.limitations)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    seen, limits = done.stdout.splitlines()
    assert seen == "True 0 None None None"
    assert "CAP_NET_ADMIN" in limits


@root
@pytest.mark.root
@pytest.mark.parametrize("hidepid", [1, 2])
def test_where_others_are_hidden_a_user_sees_his_own(hidepid):
    program = (
        "import os\n"
        "from kernelsight.collectors.base import Host\n"
        "from kernelsight.collectors.procfs.process import ProcessCollector\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "collector = ProcessCollector(Host())\n"
        "print(*{e.uid for e in collector.collect(1_800_000_000_000_000_000)})\n"
    )
    # A mount of its own, in a mount namespace that ends with the command.
    mount = f'mount -t proc -o hidepid={hidepid} proc /proc && exec "$0" -c "$1"'
    command = ["unshare", "-m", "sh", "-c", mount, sys.executable, program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "mount:" in done.stderr or "unshare:" in done.stderr:
        pytest.skip(f"no mount namespace of its own: {done.stderr}")
    assert (done.stdout, done.stderr) == ("65534\n", "")


def test_without_taskstats_a_process_whose_threads_end_is_read_on():
    """From then on its wait for a CPU comes from another file than the one that was read to see whether it ran."""
    program = (
        "import os, threading\n"
        "from kernelsight.collectors.base import Host\n"
        "from kernelsight.collectors.privileges import keep_only\n"
        "from kernelsight.collectors.procfs.process import ProcessCollector\n"
        "keep_only([])\n"
        "collector = ProcessCollector(Host())\n"
        "end = threading.Event()\n"
        "thread = threading.Thread(target=end.wait)\n"
        "thread.start()\n"
        "def mine(second): return [e for e in collector.collect(second * 10**9) if e.pid == os.getpid()][0]\n"
        "print(mine(1).threads, mine(2).threads)\n"
        "end.set(); thread.join(); second = 3\n"
        "while (event := mine(second)).threads > 1 and second < 10_000: second += 1\n"
        "print(event.threads, mine(second + 1).cpu_delay_ns is not None)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "2 2\n1 True\n"
