"""In a time namespace, whose monotonic clocks are a day ahead of the kernel's, stamps and start times are right."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from kernelsight.collectors.time_namespace import Offsets, parse_offsets, read_offsets
from kernelsight.events.process import Process
from kernelsight.events.syscalls import Syscall
from kernelsight.events.wire import decoder

S = 1_000_000_000
AWAY = ("unshare", "--time", "--boottime", "86400", "--monotonic", "90000")
OWN_START = "print(open('/proc/self/stat').read().rpartition(') ')[2].split()[19], flush=True); input()"


def away(*command: str, **options) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*AWAY, *command], stdout=subprocess.PIPE, **options)


@pytest.mark.root
def test_what_tracers_and_the_list_of_tasks_say_is_in_the_time_of_the_namespace(tmp_path):
    if subprocess.run([*AWAY, "true"], capture_output=True, check=False).returncode:
        pytest.skip("unshare(1) or the kernel makes no time namespaces")
    began_ns = time.time_ns()
    with away(sys.executable, "-c", OWN_START, stdin=subprocess.PIPE) as quiet:
        start_ticks = int(quiet.stdout.readline())
        collect = (sys.executable, "-m", "kernelsight", "collect", "process", "syscall", "--duration", "2")
        options = ("-o", "include_waits=true", "-o", "threshold_ms=1")
        with away(*collect, *options, stderr=subprocess.PIPE) as collecting:
            output, log = collecting.communicate(timeout=60)
        quiet.communicate(b"\n")
    if b"cannot run" in log:
        pytest.skip(log.decode())
    events = decoder().decode_lines(output)
    calls = [event for event in events if isinstance(event, Syscall)]
    assert calls
    assert all(began_ns < event.timestamp < time.time_ns() + S // 10 for event in events)
    seen = {event.start_ticks for event in events if isinstance(event, Process) and event.comm.startswith("python")}
    assert start_ticks in seen


def test_offsets_are_parsed_with_their_signs():
    assert parse_offsets("monotonic       86400         5\nboottime      -2592000 1\n") == Offsets(
        86_400 * S + 5, -2_592_000 * S + 1
    )


@pytest.mark.parametrize(("childrens", "expected"), [("time:[1]", 7 * S), ("time:[2]", 0)])
def test_a_namespace_for_children_alone_is_not_our_own(tmp_path: Path, childrens, expected):
    (tmp_path / "self/ns").mkdir(parents=True)
    (tmp_path / "self/ns/time").symlink_to("time:[1]")
    (tmp_path / "self/ns/time_for_children").symlink_to(childrens)
    (tmp_path / "self/timens_offsets").write_text("monotonic 7 0\nboottime 7 0\n")
    assert read_offsets(tmp_path).monotonic_ns == expected
    assert read_offsets(tmp_path / "none") == Offsets()
