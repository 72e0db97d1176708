"""What nobody recorded is said to be that, by every command that is asked about it."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import pytest
from processes import kernelsight

sys.path.insert(0, str(Path(__file__).parents[1] / "diagnosis"))

from scenes import SECOND, stored

from kernelsight.agent.tool import Desk, call
from kernelsight.events.anomaly import Anomaly
from kernelsight.events.collector import CollectorReport
from kernelsight.events.memory import Memory
from kernelsight.events.scheduler import Cpu
from kernelsight.query.times import TimeRange

AGO = 1200
"""Seconds since everything stopped."""
LASTED = 120


@pytest.fixture(scope="module")
def stopped():
    return time.time_ns() - AGO * SECOND


@pytest.fixture(scope="module")
def database(tmp_path_factory, stopped):
    """A machine whose memory was used up when recording stopped, twenty minutes ago."""
    seconds = [stopped - second * SECOND for second in reversed(range(LASTED))]
    rows = [
        *(Memory(moment, mem_total_kb=1_000_000, mem_available_kb=5_000) for moment in seconds),
        *(Cpu(moment, cpu=-1, user=1, system=1, idle=i) for i, moment in enumerate(seconds)),
        CollectorReport(stopped, name="wait", status="unavailable", reason="needs CAP_BPF", kinds="wait"),
        CollectorReport(stopped, name="syscall_error", status="running", kinds="syscall_error"),
        Anomaly(seconds[0], table_name="memory_metrics", metric="mem_available_kb", score=5.0, kind="shift"),
    ]
    return stored(tmp_path_factory.mktemp("stopped") / "db", rows)


def query(database, *arguments):
    return kernelsight("query", *arguments, "--db-path", database)


@pytest.mark.parametrize(
    ("table", "since", "reason"),
    [
        ("wait", "30m", "wait_edges was never recorded here; its collector wait did not run: needs CAP_BPF"),
        ("syscall_error", "30m", "nothing was recorded in syscall_errors in that time, though its collector"),
        ("block", "30m", "block_stats was never recorded here; the collector block yields it"),
        ("memory", "10m", "memory_metrics was recorded only from"),
        ("forecast", "30m", "forecasts was never recorded here; its source is kernelsight agent"),
    ],
)
@pytest.mark.parametrize("form", ["table", "json"])
def test_a_query_without_rows_says_why(database, table, since, reason, form):
    done = query(database, "range", table, "--since", since, "--format", form)
    assert (done.returncode, done.stdout) == (0, "")
    assert reason in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("top", "wait", "wait_ns"),
        ("series", "wait", "wait_ns"),
        ("aggregate", "wait", "wait_ns"),
        ("percentiles", "wait", "wait_ns"),
        ("correlate", "wait.wait_ns", "memory.mem_free_kb"),
    ],
)
def test_every_question_about_rows_does(database, arguments):
    assert "its collector wait did not run: needs CAP_BPF" in query(database, *arguments, "--since", "30m").stderr


def test_rows_that_do_not_fit_are_told_from_rows_that_are_not_there(database):
    done = query(database, "top", "memory", "mem_free_kb", "--since", "30m", "--where", "mem_free_kb>0")
    assert "memory_metrics has rows in that time, but none with such a value" in done.stderr


def test_a_comparison_with_time_that_nobody_recorded_says_so(database):
    done = query(database, "compare", "30m", "20m", "10m", "now")
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d"
    assert re.search(f"nothing was recorded from {stamp} to {stamp};", done.stderr), "as times that can be pasted"
    assert "nothing changed" not in done.stderr
    told = query(database, "compare", "30m", "20m", "10m", "now", "--format", "json").stdout
    assert {json.loads(line)["after"] for line in told.splitlines()} == {None}, "what is not recorded is not zero"


def test_a_signal_does_not_go_on_after_recording_stopped(database):
    table = kernelsight("signals", "--db-path", database)
    assert table.returncode == 0, table.stderr
    assert "nothing recorded since" in table.stdout
    assert "goes on" not in table.stdout
    assert "nothing was recorded after" in table.stderr
    [row, *_] = map(json.loads, kernelsight("signals", "--db-path", database, "--json").stdout.splitlines())
    assert (row["state"], row["end_ns"]) == ("not known", None)


def test_a_signal_went_on_as_long_as_recording_did(database, stopped):
    done = kernelsight("signals", "--db-path", database, "--until", str(stopped), "--json")
    assert {json.loads(line)["state"] for line in done.stdout.splitlines()} == {"goes on"}
    assert done.stderr == ""


@pytest.mark.parametrize("command", [("signals",), ("anomalies", "list")])
def test_over_time_without_rows_there_is_no_list_but_an_exit_status(database, command):
    done = kernelsight(*command, "--db-path", database, "--since", "10m")
    assert (done.returncode, done.stdout) == (3, "")
    assert "not known: nothing was recorded in that time" in done.stderr


def test_an_anomaly_is_not_open_after_recording_stopped(database):
    done = kernelsight("anomalies", "list", "--db-path", database)
    assert "nothing recorded after" in done.stdout
    assert "open" not in done.stdout


@pytest.mark.parametrize(
    ("tool", "arguments", "key"),
    [
        ("top", {"table": "wait_edges", "metric": "wait_ns"}, "no_rows_because"),
        ("series", {"table": "wait_edges", "metric": "wait_ns"}, "no_rows_because"),
        ("rows", {"table": "wait_edges"}, "no_rows_because"),
        ("aggregate", {"table": "wait_edges", "metric": "wait_ns", "interval": "10s"}, "no_rows_because"),
        ("signals", {}, "not_known"),
        ("anomalies", {}, "not_known"),
    ],
)
def test_assistants_are_told(database, tool, arguments, key):
    now = time.time_ns()
    found = call(Desk(database, TimeRange(now - 600 * SECOND, now)), tool, arguments)
    assert "recorded" in found[key]
