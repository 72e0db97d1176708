"""The screen of `top` and `replay`: what it shows of a recorded second, its keys, and that no name commands it."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from processes import COMMAND, environment, started, until

sys.path.insert(0, str(Path(__file__).parents[1] / "diagnosis"))

from scenes import START, stored

from hostile import HOSTILE, harmless, storable
from kernelsight.events.action import DiagnosisRow
from kernelsight.events.block import Block
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.memory import Memory
from kernelsight.events.network import Network
from kernelsight.events.pending_wait import PendingWait
from kernelsight.events.pressure import Pressure
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Cpu, SchedProcess, Wait
from kernelsight.events.service import ServiceStats
from kernelsight.events.syscalls import Syscall
from kernelsight.stores.base import open_reader
from kernelsight.surfaces.top.app import Top
from kernelsight.surfaces.top.look import Look, rate
from kernelsight.surfaces.top.table import Head, Order, shown
from kernelsight.surfaces.top.views import VIEWS

S = 1_000_000_000
SECONDS = 20
SAID = "crunch (70) uses 98 % of a CPU since 14:05:03; web (12) waits 400 ms of every second for a CPU. 95 % sure."


def second(at, busy):
    """What was recorded of one second: `crunch` computes from the tenth on, `web` always a little."""
    stamp, ran = START + at * S, 50 * at + busy
    yield Process(stamp, pid=12, uid=33, comm="web", state="S", threads=4, utime_ms=50 * at, stime_ms=0, rss_kb=20_480,
                  read_bytes=1_000_000 * at, write_bytes=0, start_ticks=1)  # fmt: skip
    yield Process(stamp, pid=70, uid=0, comm="crunch", state="R", threads=1, utime_ms=ran, stime_ms=0, rss_kb=10_240,
                  read_bytes=0, write_bytes=0, start_ticks=1)  # fmt: skip
    yield SchedProcess(stamp, pid=12, comm="web", cpu_time_ms=50, runqueue_ms=400, context_switches=9)
    yield Cpu(stamp, cpu=-1, procs_running=3, procs_blocked=1)
    yield Cpu(stamp, cpu=0, user=75 * at, idle=25 * at)
    yield Memory(stamp, mem_total_kb=4_000_000, mem_available_kb=3_000_000)
    yield Pressure(stamp, "cpu", "system", some_total_us=400_000 * at, full_total_us=0)
    yield Block(stamp, device_name="sda", read_ios=10 * at, write_ios=0, read_sectors=2_000 * at, write_sectors=0,
                io_ticks=500 * at, time_in_queue=900 * at)  # fmt: skip
    yield Network(stamp, interface_name="eth0", rx_bytes=125_000 * at, tx_bytes=0, rx_packets=100 * at, tx_packets=0,
                  rx_drops=0, tx_drops=0, rx_errors=0, tx_errors=0)  # fmt: skip
    yield Cgroup(stamp, cgroup="/system.slice/web.service", cpu_usage_us=50_000 * at, memory_current_bytes=2**20)
    yield Wait(stamp, pid=12, comm="web", waker_pid=70, waker_comm="crunch", waits_in="futex", state="interruptible",
               count=5, wait_ns=300_000_000, max_wait_ns=100_000_000)  # fmt: skip
    yield PendingWait(stamp, pid=12, comm="web", waits_for="answer", peer_pid=70, peer_comm="crunch", waited_ms=1500)
    yield ServiceStats(stamp, protocol="tcp", address="127.0.0.1", port=80, netns=1, pid=12, comm="web", requests=40,
                       latency_p50_us=900, latency_p95_us=2_000, latency_max_us=9_000)  # fmt: skip


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    events = [event for at in range(SECONDS) for event in second(at, 900 * max(0, at - 10))]
    events.append(
        Syscall(START + 15 * S, pid=12, comm="web", syscall_name="fsync", latency_ns=40_000_000, blocked_ns=39_000_000)
    )
    events.append(DiagnosisRow(START + 12 * S, diagnosis_id="d1", verdict="findings", rank=1, fault="cpu_saturation",
                               culprit_kind="process", culprit="70", culprit_name="crunch", sentence=SAID))  # fmt: skip
    return stored(tmp_path_factory.mktemp("top") / "db", events)


def screen(app):
    """The text of the screen, a line each."""
    return [
        "".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips()
    ]  # the compositor is what draws the screen


def played(database, at_s, *steps, size=(80, 24), diagnose=None):
    """Show a second, press keys, and give what is on the screen after each step."""
    seen = []

    async def play():
        reader = open_reader(database)
        try:
            app = Top(
                reader, database, at_ns=None if at_s is None else START + at_s * S, diagnose=diagnose or (lambda _: [])
            )
            async with app.run_test(size=size) as pilot:
                await pilot.pause()
                seen.append(screen(app))
                for step in steps:
                    await pilot.press(*step)
                    await app.workers.wait_for_complete()
                    await pilot.pause()
                    seen.append(screen(app))
        finally:
            reader.close()

    with ThreadPoolExecutor(1) as executor:  # the browser of other tests has a loop of its own in this thread
        executor.submit(asyncio.run, play()).result(240)
    return seen


def test_the_screen_says_the_verdict_the_machine_and_who_uses_what(database):
    [lines] = played(database, 15)
    text = "\n".join(lines)
    assert len(lines) == 24
    assert {len(line) for line in lines} == {80}
    assert "".join(line.rstrip() for line in lines[:2]).replace(" ", "") == SAID.removesuffix(".").replace(" ", "")
    assert "CPU 75 % of 1" in text
    assert "3 run, 1 blocked" in text
    assert "cpu 40 %" in text
    crunch, web = (next(line for line in lines[4:] if f" {name} " in line) for name in ("crunch", "web"))
    assert lines[6:8] == [crunch, web]
    assert crunch.split() == ["70", "0", "crunch", "R", "95", "·", "10", "MiB", "0", "B/s", "0", "B/s", "1"]
    assert web.split() == ["12", "33", "web", "S", "5.0", "40", "20", "MiB", "1", "MB/s", "0", "B/s", "4"]


def test_each_view_shows_what_was_recorded_of_the_second(database):
    expected = {
        "2": ["slice/web.service", "5.0", "1 MiB"],
        "3": ["sda", "50", "1.02 MB/s"],
        "4": ["eth0", "125 kB/s", "100"],
        "5": ["12 web", "40", "5.0"],
        "6": ["web", "fsync", "40 ms", "98"],
        "7": ["web 127.0.0.1:80", "900 us", "2 ms"],
        "8": ["web 12", "crunch 70", "futex", "300 ms", "still answer", "1.5 s"],
    }
    _, *seen = played(database, 15, *expected)
    for lines, texts in zip(seen, expected.values(), strict=True):
        assert [text for text in texts if text not in "\n".join(lines)] == []


def test_rows_are_sorted_filtered_and_followed(database):
    first, by_name, turned, filtered, all_again = played(database, 15, "<<", "r", "/web\r", ["escape"])[:5]

    def names(lines):
        return [name for line in lines[6:] for name in ("crunch", "web") if f" {name} " in line]

    assert names(first) == ["crunch", "web"]
    assert names(by_name) == ["crunch", "web"]
    assert names(turned) == ["web", "crunch"]
    assert names(filtered) == ["web"]
    assert names(all_again) == ["web", "crunch"]


def test_any_second_is_reached_by_arrow_keys_and_played_on(database):
    now, back, before, first, last = played(database, 15, ["left"], ["shift+left"], ["home"], ["end"])
    seconds = [
        re.search(r":(\d\d)(?:Z|[+-]\d\d:\d\d) (?:still|playing|live)", "\n".join(lines)).group(1)
        for lines in (now, back, before)
    ]
    assert (int(seconds[0]) - int(seconds[1])) % 60 == 1
    assert (int(seconds[1]) - int(seconds[2])) % 60 == 10
    crunch = next(line for line in before if " crunch " in line)
    assert crunch.split()[4] == "5.0", "it computes from the tenth second on only"
    assert "No verdict" in first[0]
    assert "crunch (70)" in last[0]


def test_a_question_is_answered_on_the_screen_and_left_again(database):
    asked = []

    def diagnose(end_ns):
        asked.append(end_ns)
        return [("[bold]x[/bold] \x1b[2J is to blame", "bold red")]

    _, answer, left = played(database, 15, "d", ["escape"], diagnose=diagnose)
    assert asked == [START + 15 * S]
    assert any("[bold]x[/bold] \\x1b[2J is to blame" in line for line in answer)
    assert any("crunch" in line for line in left[6:])


def test_nothing_was_recorded_and_it_says_so(tmp_path):
    empty = stored(tmp_path / "db", [Memory(START, mem_total_kb=1)])
    text = "\n".join(played(empty, 10)[0])
    assert "recorded nothing in this second" in text


def test_no_name_commands_the_screen(tmp_path):
    names = {5000 + at: storable(name[:100]) for at, name in enumerate(HOSTILE.values())}
    events = [
        Process(START + at * S, pid=pid, comm=comm, state="S", utime_ms=at, stime_ms=0, start_ticks=1)
        for pid, comm in names.items()
        for at in (1, 2)
    ]
    [lines] = played(stored(tmp_path / "db", events), 2, size=(80, 50))
    assert len(lines) == 50
    assert all(line.isprintable() and harmless(line) for line in lines)
    rows = {int(line[:7]): line for line in lines[5:] if line[:7].strip().isdigit()}
    assert rows.keys() == names.keys()
    for pid, comm in names.items():
        if comm.isascii() and comm.isprintable():
            assert rows[pid][14:29].rstrip() == comm[:15].rstrip()


def test_a_small_terminal_shows_less_and_breaks_nothing(database):
    for size in ((30, 6), (200, 60)):
        [lines] = played(database, 15, size=size)
        assert len(lines) == size[1]


def test_every_view_fits_80_columns():
    for view in VIEWS:
        assert sum(head.width + 1 for head in view.heads) - 1 <= 80, view.name
        assert all(len(head.title) <= head.width for head in view.heads), view.name


def test_what_is_not_known_comes_last_and_is_no_zero(database):
    reader = open_reader(database)
    try:
        look = Look(reader, START)  # the first second: nothing is known of the one before
        processes = VIEWS[0]
        [first, *_] = shown(processes, look, Order(processes.sorts_by)).rows
        assert first.cells[processes.sorts_by] is None
        assert Head("CPU%", 5, "%").text(None) == "·"
        [sample] = [
            one
            for one in Look(reader, START + 5 * S).samples(Process, (Process.comm, Process.utime_ms))
            if one.row.pid == 12
        ]
        assert rate(sample, Process.utime_ms) == pytest.approx(50)
    finally:
        reader.close()


def test_without_a_terminal_it_says_what_prints_lines(database):
    said = started("top", "--db-path", database, stdin=subprocess.DEVNULL)
    assert said.returncode == 1
    assert "this needs a terminal" in said.stderr


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_in_a_real_terminal_it_shows_the_second_and_ends_cleanly(database, tmp_path):
    socket, words = str(tmp_path / "tmux"), [*COMMAND, "replay", "--db-path", database, "--at", str(START + 15 * S)]

    def tmux(*arguments):
        asked = subprocess.run(
            ["tmux", "-S", socket, *arguments],
            capture_output=True,
            text=True,
            check=True,
            env={**environment(TERM="xterm-256color"), "COLUMNS": ""},
        )
        return asked.stdout

    tmux(
        "-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", *words, ";", "set", "-g", "remain-on-exit", "on"
    )
    try:
        seen = until(lambda: (text := tmux("capture-pane", "-p")).count(" crunch ") and text, "the screen")
        assert "crunch (70) uses 98 % of a CPU" in seen
        tmux("send-keys", "q")
        until(lambda: tmux("display", "-p", "#{pane_dead}").strip() == "1", "the end")
        assert until(lambda: tmux("display", "-p", "#{pane_dead_status}").strip(), "its exit status") == "0"
    finally:
        tmux("kill-server")
