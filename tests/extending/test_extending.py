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
STORES = Path(__file__).parent / "added_stores"
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


def test_a_store_is_a_package_and_no_other_room_knows_it(copy, tmp_path):
    shutil.copytree(STORES / "elsewhere", copy / "stores" / "elsewhere")
    url = f"elsewhere://{tmp_path}/rows"
    since = ("--db-path", url, "--since", "2001-09-10")
    lines = [
        {
            "type": "process",
            "timestamp": NOW + second * 10**9,
            "pid": 7,
            "comm": "web",
            "start_ticks": 1,
            "rss_kb": second,
        }
        for second in range(40)
    ]
    given = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    assert b"no such" not in run(copy, "ingest", "--db-path", url, given=given)
    assert len(rows(copy, url, "process_stats")) == 40
    [top] = json.loads(
        b"[" + run(copy, "query", "top", "process_stats", "rss_kb", "--by", "comm", *since, "--format", "json") + b"]"
    )
    assert (top["comm"], top["value"]) == ("web", 39)
    buckets = run(
        copy, "query", "aggregate", "process_stats", "rss_kb", "--interval", "10s", *since, "--format", "json"
    ).splitlines()
    assert len(buckets) >= 4
    assert run(copy, "signals", *since) is not None
    assert b"process" in run(copy, "status", "--db-path", url)
    assert run(copy, "repair", "--db-path", url) == b""
    assert (tmp_path / "rows").exists()
