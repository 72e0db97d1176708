"""A column is named by its declaration: what mypy refuses, and what it is at run time."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from kernelsight.events.fields import getter, name_of, row_getter
from kernelsight.events.process import Process

ROOT = Path(__file__).parents[2]
HEAD = """
from kernelsight.agent.evidence import proof_of
from kernelsight.agent.questions.subjects import Metric
from kernelsight.diagnosis.window import Window
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.memory import Memory
from kernelsight.events.process import Process
from kernelsight.query.filters import Filter
from kernelsight.query.points import points_of
from kernelsight.query.stored import stored_rows
from kernelsight.query.top import leading
from kernelsight.signals.model import COUNT, Measure, if_known, minus, product, rule

def of_memory(measure: Measure[Memory], *tests: Filter[Memory]) -> None:
    rule("r", Memory, measure, scope="machine", levels={"warning": 1}, because="", summary="", where=tests)

WHO = (Process.pid, Process.comm)

def asked(window: Window, row: Process) -> None:
"""
RIGHT = (
    "window.rows(Process)[0].rss_kb",
    "window.evidence(window.rows(Process), Process.rss_kb, 'last')",
    "window.per_second(window.rows(Process), Process.fds)",
    "[delta.of(Process.utime_ms) for deltas in window.deltas(Process).values() for delta in deltas]",
    "max(window.rows(Process), key=lambda row: row.timestamp)",
    "of_memory(Measure((Memory.mem_total_kb, minus(Memory.mem_free_kb)), '%', per=(if_known(Memory.dirty_kb),)))",
    "of_memory(Measure((product(Memory.mem_total_kb, Memory.mem_free_kb), COUNT), 'B'))",
    "of_memory(Measure((Memory.mem_total_kb,), 'KiB'), Filter(Memory.dirty_kb, '>', 0))",
    "[one.of(Memory.dirty_kb) for one in points_of(window.reader, Memory, (Memory.dirty_kb,), window.when)]",
    "points_of(window.reader, Memory, (Memory.dirty_kb,), window.when, only=[Filter(Memory.dirty_kb, '>', 0)])",
    "[g.of(Process.pid) for g in leading(window.reader, Process, Process.fds, WHO, window.when, n=3)]",
    "stored_rows(window.reader, Process, window.when, where=[Filter(Process.pid, '=', 3)], order_by=Process.fds)",
    "proof_of(window.reader, Process.rss_kb, 'max', window.when, [Filter(Process.pid, '=', 3)])",
    "Metric(Process.rss_kb, (Process.pid, Process.comm))",
)
WRONG = (
    "window.rows(Process)[0].rss",
    "window.rows(Process)[0].rss_kb + 1",  # it may be NULL
    "window.evidence(window.rows(Process), Process.rss, 'last')",
    "window.evidence(window.rows(Process), Process.comm, 'last')",
    "window.evidence(window.rows(Process), Cgroup.memory_current_bytes, 'last')",
    "window.evidence(window.rows(Process), row.rss_kb, 'last')",
    "[delta.of(Process.utime) for deltas in window.deltas(Process).values() for delta in deltas]",
    "[delta.of(Cgroup.cpu_periods) for deltas in window.deltas(Process).values() for delta in deltas]",
    "of_memory(Measure((Memory.mem_total,), 'KiB'))",
    "of_memory(Measure((minus(Memory.mem_total),), 'KiB'))",
    "of_memory(Measure((Process.rss_kb,), 'KiB'))",
    "of_memory(Measure((COUNT, if_known(Process.rss_kb)), 'KiB'))",
    "of_memory(Measure(('mem_total_kb',), 'KiB'))",
    "of_memory(Measure((product(Memory.mem_total_kb, Process.rss_kb),), 'KiB'))",
    "of_memory(Measure((Memory.mem_total_kb,), 'KiB'), Filter(Process.rss_kb, '>', 0))",
    "of_memory(Measure((Memory.mem_total_kb,), 'KiB'), Filter(Memory.mem_total, '>', 0))",
    "of_memory(Measure((Memory.mem_total_kb,), 'KiB'), Filter(Memory.mem_total_kb, '>>', 0))",
    "points_of(window.reader, Memory, (Memory.dirty,), window.when)",
    "points_of(window.reader, Memory, (Memory.dirty_kb,), window.when, only=[Filter(Process.rss_kb, '>', 0)])",
    "[one.of(Memory.dirty) for one in points_of(window.reader, Memory, (Memory.dirty_kb,), window.when)]",
    "[one.of(Process.rss_kb) for one in points_of(window.reader, Memory, (Memory.dirty_kb,), window.when)]",
    "leading(window.reader, Process, Process.files, WHO, window.when, n=3)",
    "leading(window.reader, Process, Process.comm, WHO, window.when, n=3)",
    "leading(window.reader, Process, Process.fds, (Memory.dirty_kb,), window.when, n=3)",
    "leading(window.reader, Process, Process.fds, WHO, window.when, n=3, where=[Filter(Memory.dirty_kb, '=', 3)])",
    "[g.of(Process.pids) for g in leading(window.reader, Process, Process.fds, WHO, window.when, n=3)]",
    "[g.of(Memory.dirty_kb) for g in leading(window.reader, Process, Process.fds, WHO, window.when, n=3)]",
    "stored_rows(window.reader, Process, window.when, where=[Filter(Memory.dirty_kb, '=', 3)])",
    "stored_rows(window.reader, Process, window.when, where=[Filter(Process.pids, '=', 3)])",
    "stored_rows(window.reader, Process, window.when, order_by=Process.files)",
    "window.rows(Process)[0]['rss_kb']",
    "window.evidence(window.rows(Process), 'rss_kb', 'last')",
    "window.per_second(window.rows(Process), 'fds')",
    "[delta.of('utime_ms') for deltas in window.deltas(Process).values() for delta in deltas]",
    "proof_of(window.reader, Process.comm, 'max', window.when)",
    "Metric(Process.rss, (Process.pid, Process.comm))",
    "Metric(Process.comm, (Process.pid, Process.comm))",
    "Metric(Process.rss_kb, (Process.pid, Process.command))",
    "[delta.after.utime for deltas in window.deltas(Process).values() for delta in deltas]",
)


@pytest.mark.slow
def test_mypy_refuses_a_column_that_is_misspelt_or_of_another_kind_or_no_number(tmp_path):
    lines = [*RIGHT, *WRONG]
    program = tmp_path / "asks.py"
    program.write_text(HEAD + "".join(f"    {line}\n" for line in lines))
    first = HEAD.count("\n") + 1
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), str(program)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    refused = {int(number) for number in re.findall(r"asks\.py:(\d+): error: ", told)}
    assert {lines[number - first] for number in refused} == {*WRONG}, told


def test_a_column_takes_its_value_out_of_a_row():
    row = Process(2 * 10**18, pid=7, comm="cat", rss_kb=12)
    assert name_of(Process.rss_kb) == "rss_kb"
    assert getter(Process.rss_kb)(row) == 12
    assert getter(Process.timestamp)(row) == 2 * 10**18
    assert row_getter(Process.comm, Process.rss_kb)(row) == ("cat", 12)
    assert row_getter(Process.comm)(row) == ("cat",)
