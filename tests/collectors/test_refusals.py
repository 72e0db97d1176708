"""The kernel as bad input: what it refuses is one clear line, and the rest goes on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from capable import COMMAND, PATIENCE_S, PYTHON, as_nobody, parse
from grid import EPOCH, HandClock, S

from kernelsight.collectors.clock import EpochTime
from kernelsight.collectors.privileges import BPF
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Load

BTF = Path("/sys/kernel/btf")
NAMES = ("io_latency", "load", "process", "scheduler", "syscall", "wait")

root = pytest.mark.root
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to hide things from a process")


def collect(*prefix, names=NAMES):
    command = [*prefix, *COMMAND, "collect", *names, "--interval", "0.2", "--duration", "0.6"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE_S)
    return parse(done.stdout, done.stderr, done.returncode)


@root
@only_root
@pytest.mark.skipif(not BTF.is_dir() or shutil.which("unshare") is None, reason="no BTF to hide, or no way to")
def test_without_btf_the_tracers_say_so_and_their_stand_ins_run():
    ran = collect("unshare", "-m", "sh", "-c", f'mount -t tmpfs none {BTF} && exec "$@"', "sh")
    assert ran.code == 0
    unable = {name for name, report in ran.reports.items() if report.status == "unavailable"}
    assert unable == {"io_latency", "scheduler", "syscall", "wait"}
    [line] = ran.log
    assert line.count("use a kernel built with CONFIG_DEBUG_INFO_BTF") <= 3
    assert set(unable) <= set(re.findall(r"\w+", line))
    assert ran.reports["process"].source == "procfs"
    assert any(isinstance(event, Process) for event in ran.events)


@pytest.mark.parametrize("few", [24, 48])
def test_with_too_few_descriptors_what_was_opened_runs_and_the_others_say_why(few):
    names = ("load", "memory", "vmstat", "scheduler", "syscall", "wait", "cpu", "network", "pressure", "tcp")
    ran = collect("sh", "-c", f'ulimit -n {few} && exec "$@"', "sh", names=names)
    assert ran.code == 0
    assert any(isinstance(event, Load) for event in ran.events)
    refused = {name for name, report in ran.reports.items() if report.status != "running"}
    failed = {line.split()[1] for line in ran.log if line.startswith("collector ")}
    left_out = {word for line in ran.log if line.startswith("cannot run: ") for word in re.findall(r"\w+", line)}
    assert refused == failed | (left_out & set(names))
    assert len(ran.log) == len(failed) + bool(left_out)


@root
@only_root
def test_a_tracepoint_that_is_missing_is_named_also_to_who_may_not_list_modules(tmp_path):
    """Without CAP_SYS_ADMIN libbpf cannot look for it in modules, which is not what the person needs to hear."""
    if shutil.which("clang-14") is None:
        pytest.skip("needs clang-14 to compile a program for a tracepoint that does not exist")
    source = tmp_path / "gone.bpf.c"
    source.write_text('#include "common.h"\nSEC("tp_btf/no_such_tracepoint")\nint gone(u64 *ctx) { return 0; }\n')
    headers = Path(__file__).parents[2] / "bpf"
    made = tmp_path / "gone.o"
    subprocess.run(
        ["clang-14", "-O2", "-g", "-target", "bpf", f"-I{headers}", "-c", str(source), "-o", str(made)], check=True
    )
    program = (
        "import sys\n"
        "from kernelsight.collectors.bpf.libbpf import Object\n"
        "from kernelsight.errors import SourceUnavailableError\n"
        "try: Object(sys.stdin.buffer.read(), 'gone')\n"
        "except SourceUnavailableError as error: print(error)\n"
    )
    done = subprocess.run(
        [*as_nobody(*BPF), *PYTHON, "-c", program],
        input=made.read_bytes(), capture_output=True, check=True, timeout=PATIENCE_S,
    )  # fmt: skip
    (line,) = done.stdout.decode().splitlines()
    assert "no_such_tracepoint" in line
    assert "iterate" not in line


def test_stamps_of_the_kernel_follow_a_clock_that_is_set_within_a_second():
    clock = HandClock()
    epoch = EpochTime(clock)
    stamp = clock.now
    assert epoch.at(stamp) == EPOCH
    clock.offset -= 3600 * S
    clock.now += S // 4
    epoch.refresh()
    assert epoch.at(stamp) == EPOCH  # measured a quarter of a second ago
    clock.now += S // 4
    epoch.refresh()
    assert epoch.at(stamp) == EPOCH - 3600 * S


def test_being_scheduled_away_between_two_clocks_shifts_no_stamp():
    clock = HandClock()
    delays = iter([0, 5_000_000, 0, 0, 0, 2_000_000, 0, 0, 0])
    plain = clock.monotonic_ns

    def late():
        clock.now += next(delays, 0)
        return plain()

    clock.monotonic_ns = late
    epoch = EpochTime(clock)
    assert epoch.at(clock.now) == clock.epoch_ns()
