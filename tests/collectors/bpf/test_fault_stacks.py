"""Stacks of page faults: of a program that takes memory in one function."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from kernelsight.collectors.base import Host, open_best
from kernelsight.collectors.bpf.stacks import FAULTS_PER_STACK
from kernelsight.errors import SourceUnavailableError, UsageError
from kernelsight.events.stack import FaultStack, Stack

SOURCE = Path(__file__).parents[3] / "benchmarks/workloads/takes_memory.c"
PATIENCE_S = 30


@pytest.fixture
def collector():
    try:
        _, opened = open_best("fault_stacks", Host())
    except SourceUnavailableError as error:
        pytest.skip(str(error))
    yield opened
    opened.close()


@pytest.mark.root
@pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
def test_the_function_that_takes_memory_has_nearly_all_faults(collector, tmp_path):
    program = tmp_path / "takes_memory"
    subprocess.run(["gcc", "-O2", "-fno-omit-frame-pointer", "-o", program, SOURCE], check=True)
    load = subprocess.Popen([program, "120"])
    rows: list[FaultStack] = []
    stacks: dict[int, list[object]] = {}
    deadline = time.monotonic() + PATIENCE_S
    try:
        while sum(row.faults or 0 for row in rows) < 200 * FAULTS_PER_STACK and time.monotonic() < deadline:
            time.sleep(0.2)
            for event in collector.collect(time.time_ns()):
                if isinstance(event, Stack):
                    stacks[event.stack_id] = json.loads(event.frames)
                elif event.pid == load.pid:
                    rows.append(event)
    finally:
        load.kill()
        load.wait()
    total = sum(row.faults or 0 for row in rows)
    assert total >= 200 * FAULTS_PER_STACK, "it faults some 100,000 times a second"
    assert all(row.faults % FAULTS_PER_STACK == 0 for row in rows)
    own = [row for row in rows if row.user_stack_id in stacks and "takes_memory" in str(stacks[row.user_stack_id])]
    assert sum(row.faults for row in own) > 0.8 * total


def test_a_threshold_of_locks_that_is_none_is_refused():
    for wrong in (0, -1, 1e9):
        with pytest.raises((UsageError, SourceUnavailableError)):
            open_best("lock_waits", Host(options={"lock_threshold_ms": wrong}))
