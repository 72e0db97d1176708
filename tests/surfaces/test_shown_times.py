"""A time that one command shows, pasted into the next: it is the same moment there, in every zone."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "diagnosis"))

from scenes import END, FROM, SECOND, START, cpus, stored, used

from kernelsight.events.action import ActionStep
from kernelsight.events.anomaly import Anomaly
from kernelsight.query.times import parse_time
from kernelsight.surfaces.cli.main import main

SHOWN = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?")
WHOLE = ("--since", str(START), "--until", str(END))


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    hogs = [event for pid in (70, 71) for event in used(pid, "crunch", 900, 600, group=5, since=FROM)]
    found = Anomaly(START + 12 * SECOND, table_name="cpu_stats", metric="user", kind="shift", score=9.0, value=1.5e9)
    step = ActionStep(START + 15 * SECOND, action_id="a1", stage="proposed", action="renice", target="70")
    events = [*cpus(2), *hogs, *used(12, "web", 90, 300, group=2, since=FROM), found, step]
    return stored(tmp_path_factory.mktemp("times") / "db", events)


@pytest.fixture(autouse=True)
def new_york(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def said(database, *arguments):
    place = 2 if arguments[0] in {"query", "anomalies", "agent"} else 1
    result = CliRunner().invoke(main, [*arguments[:place], "--db-path", database, *arguments[place:]])
    assert isinstance(result.exception, (SystemExit, type(None))), result.output
    assert result.exit_code != 2, result.output
    return result.output


COMMANDS = [
    ("query", "range", "sched_process", *WHOLE),
    ("query", "top", "sched_process", "runqueue_ms", *WHOLE),
    ("query", "series", "sched_process", "runqueue_ms", *WHOLE),
    ("query", "aggregate", "sched_process", "cpu_time_ms", "--interval", "5s", *WHOLE),
    ("query", "around", str(START + 20 * SECOND)),
    ("query", "correlate", "sched_process.cpu_time_ms", "sched_process.runqueue_ms", "--pairs", *WHOLE),
    ("signals", *WHOLE),
    ("anomalies", "list", *WHOLE),
    ("diagnose", *WHOLE),
    ("ask", "--offline", "--since", str(START), "--until", str(END), "when did it begin?"),
    ("agent", "history", *WHOLE),
    ("agent", "show", "a1"),
    ("status",),
]


@pytest.mark.parametrize("utc", [False, True], ids=["local", "utc"])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2])[:20])
def test_a_time_shown_is_the_same_moment_wherever_it_is_pasted(database, command, utc):
    shown = SHOWN.findall(said(database, *command, *(["--utc"] if utc else [])))
    assert shown, "the command shows a time"
    assert {text[19:].lstrip(".0123456789") for text in shown} == {"Z" if utc else "-04:00"}
    moments = [parse_time(text) for text in shown]
    assert min(moments) >= START - 5 * SECOND
    assert max(moments) <= END + SECOND
    first, last = min(zip(moments, shown, strict=True)), max(zip(moments, shown, strict=True))
    range_ = ("query", "range", "sched_process", "--since", first[1], "--until", last[1].replace("T", " "))
    if first != last:
        assert "crunch" in said(database, *range_)
    found = json.loads(said(database, "diagnose", "--at", last[1], "--json"))
    assert found["window"]["start_ns"] == last[0] - 30 * SECOND
    assert [finding["fault"] for finding in found["findings"]] == ["cpu_saturation"]


def test_a_row_is_hit_by_its_own_time(database):
    output = said(database, "query", "range", "sched_process", *WHOLE, "--format", "json", "--limit", "1")
    row = json.loads(output)
    hit = said(database, "query", "range", "sched_process", "--since", row["time"], "--until", row["time"])
    assert row["time"] in hit


def test_utc_is_taken_before_and_after_a_commands_name_and_holds_for_what_is_typed(database):
    naive = ("--since", "2026-09-21 14:13:20", "--until", "2026-09-21 14:13:50")
    assert "crunch" in said(database, "query", "range", "sched_process", *naive, "--utc")
    before = CliRunner().invoke(main, ["--utc", "query", "range", "sched_process", "--db-path", database, *naive])
    assert "crunch" in before.output
    assert "crunch" not in said(database, "query", "range", "sched_process", *naive)


def test_json_has_nanoseconds_and_their_text(database):
    found = json.loads(said(database, "diagnose", *WHOLE, "--json"))
    for stamped, name in ((found["window"], "start"), (found["window"], "end"), (found["findings"][0], "onset")):
        assert parse_time(stamped[name]) == stamped[f"{name}_ns"]
        assert stamped[name].endswith("-04:00")
    for command in (("signals", *WHOLE, "--json"), ("anomalies", "list", "--all", *WHOLE, "--format", "json")):
        row = json.loads(said(database, *command).splitlines()[0])
        assert parse_time(row["time"]) == row["timestamp"]
        assert (row["end"] is None) == (row["end_ns"] is None)
    table = json.loads(said(database, "status", "--json"))["tables"][0]
    assert parse_time(table["first"]) == table["first_ns"]
