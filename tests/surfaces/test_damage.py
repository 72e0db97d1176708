"""What is missing because of damage is said by the commands that answer, and `status` does not end with 0."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "stores"))
from damaging import damage
from rows import row, struct

from kernelsight.stores.base import Batch, open_writer

SECOND = 10**9
PARTS = ("syscall_events", "memory_metrics")


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kernelsight", *map(str, words)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A store of the last five minutes whose system calls cannot be read."""
    path = tmp_path_factory.mktemp("damage") / "k.db"
    start = time.time_ns() - 300 * SECOND
    with closing(open_writer(str(path))) as writer:
        writer.write(Batch({struct(name): [row(name, n, start + n * SECOND) for n in range(300)] for name in PARTS}))
    damage(path, "syscall_events__1", leaf=-1)
    return path


def test_status_finds_it_and_does_not_end_with_0(path):
    done = run("status", "--db-path", path)
    assert done.returncode == 1
    assert "DAMAGED: syscall_events: 300 rows from " in done.stdout
    assert "kernelsight repair" in done.stdout
    [missing] = json.loads(run("status", "--db-path", path, "--json").stdout)["damaged"]
    assert (missing["table"], missing["rows"]) == ("syscall_events", 300)


def test_a_query_answers_from_the_rest_and_says_what_is_missing(path):
    done = run("query", "range", "syscall_events", "--since", "10m", "--db-path", path, "--format", "json")
    assert done.returncode == 0
    assert "missing here: syscall_events: 300 rows from " in done.stderr
    whole = run(
        "query", "range", "memory_metrics", "--since", "10m", "--db-path", path, "--format", "json", "--limit", "0"
    )
    assert whole.returncode == 0


def test_a_diagnosis_does_not_call_a_window_healthy_of_which_rows_are_missing(path, tmp_path):
    copy = tmp_path / "k.db"
    shutil.copy(path, copy)
    damage(copy, "memory_metrics__1", leaf=-1)
    done = run("diagnose", "--since", "4m", "--db-path", copy, "--json")
    assert "memory_metrics: 300 rows from " in " ".join(json.loads(done.stdout)["unknown"])
    assert done.returncode != 0


def test_repair_says_what_is_recovered_and_status_ends_with_0_again(path, tmp_path):
    copy = tmp_path / "k.db"
    shutil.copy(path, copy)
    done = run("repair", "--db-path", copy)
    assert done.returncode == 1
    recovered, lost = map(int, re.search(r"__1: (\d+) rows recovered, (\d+) rows are lost", done.stdout).groups())
    assert recovered + lost == 300
    assert lost < 100
    assert [file.name in done.stdout for file in tmp_path.glob("k.db.before-repair-*")] == [True]
    status = run("status", "--db-path", copy)
    assert status.returncode == 0
    assert "DAMAGED" not in status.stdout
    assert "no part of it is damaged" in run("repair", "--db-path", copy).stdout
