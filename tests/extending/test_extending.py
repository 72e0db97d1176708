"""What docs/architecture.md says about where something new goes is true: done for real, on a copy of the package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import kernelsight

ADDED = Path(__file__).parent / "added"
NOW = 1_790_000_000_000_000_000


@pytest.fixture
def copy(tmp_path):
    """A copy of the package, to be changed."""
    package = tmp_path / "src" / "kernelsight"
    shutil.copytree(Path(kernelsight.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    return package


def run(copy, *arguments, given=b""):
    """Run a command of the copy; returns what it prints."""
    command = [sys.executable, "-m", "kernelsight", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(copy.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, input=given, env=environment, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, (arguments, done.stderr.decode())
    return done.stdout


def rows(copy, database, table):
    """All rows of a table."""
    found = run(copy, "query", "range", table, "--db-path", database, "--since", "2001-09-10", "--format", "json")
    return [json.loads(line) for line in found.splitlines()]


def test_a_collector_and_its_kind_are_a_file_each(copy, tmp_path):
    for file in ADDED.rglob("*.py"):
        shutil.copy(file, copy / file.relative_to(ADDED))
    assert b"softnet" in run(copy, "collect", "--list")
    printed = run(copy, "collect", "--duration", "1", "softnet")
    run(copy, "ingest", "--db-path", tmp_path / "k.db", given=printed)
    stored = rows(copy, tmp_path / "k.db", "softnet_stats")
    first = [row for row in stored if row["timestamp"] == stored[0]["timestamp"]]
    assert sorted(row["cpu"] for row in first) == sorted(os.sched_getaffinity(1))
    assert all(row["processed"] >= row["time_squeeze"] for row in stored)
    (tmp_path / "docs").mkdir()
    run(copy, "docs", "--write", "--folder", tmp_path / "docs")
    assert "softnet_stats" in (tmp_path / "docs" / "data-dictionary.md").read_text()


def test_a_column_is_a_line_of_its_kind_and_old_rows_lack_it(copy, tmp_path):
    old = json.dumps({"type": "process", "timestamp": NOW, "pid": 7, "rss_kb": 1}).encode() + b"\n"
    run(copy, "ingest", "--db-path", tmp_path / "k.db", given=old)
    declarations = copy / "events" / "process.py"
    text = declarations.read_text()
    before = "    swap_kb: Annotated["
    assert text.count(before) == 1
    column = '    huge_kb: Annotated[Int | None, Gauge("KiB"), Means("in transparent huge pages")] = None\n'
    declarations.write_text(text.replace(before, column + before))
    new = json.dumps({"type": "process", "timestamp": NOW + 10**9, "pid": 7, "rss_kb": 1, "huge_kb": 42}).encode()
    run(copy, "ingest", "--db-path", tmp_path / "k.db", given=new + b"\n")
    assert [(row["pid"], row["huge_kb"]) for row in rows(copy, tmp_path / "k.db", "process_stats")] == [
        (7, None),
        (7, 42),
    ]
