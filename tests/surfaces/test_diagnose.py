"""`kernelsight diagnose` as a person types it."""

import json
import re
import sys
import time
from pathlib import Path

import pytest
from processes import kernelsight

sys.path.insert(0, str(Path(__file__).parents[1] / "diagnosis"))

from scenes import FROM, LENGTH, SECOND, START, cpus, stored, used

from kernelsight.events.memory import Memory
from kernelsight.events.process import Process


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    hogs = [event for pid in (70, 71) for event in used(pid, "cr[bold]unch\x1b[2J", 900, 600, group=5, since=FROM)]
    memory = [Memory(START + second * SECOND, mem_total_kb=8_000_000) for second in range(LENGTH)]
    quiet = [*cpus(2), *memory, *used(12, "web", 100, 1, group=2)]
    return stored(
        tmp_path_factory.mktemp("diagnose") / "db", [*quiet, *hogs, *used(13, "api", 90, 300, group=2, since=FROM)]
    )


def asked(database, *options):
    return kernelsight("diagnose", "--db-path", database, *options)


def test_a_page_says_who_does_it_and_what_shows_it(database):
    said = asked(database, "--since", START, "--until", START + 30 * SECOND)
    assert said.returncode == 1, said.stderr
    assert re.match(r"2 . cr\[bold\]unch.* use ", said.stdout)
    assert "; api (13) waits" in said.stdout
    assert "\x1b" not in said.stdout, "the name of a process commands no terminal"


def test_json_has_what_the_design_says(database):
    said = asked(database, "--at", START + 20 * SECOND, "--json")
    found = json.loads(said.stdout)
    assert set(found) >= {"window", "healthy", "findings"}
    [finding] = found["findings"]
    assert {"fault", "culprit", "victims", "onset_ns", "confidence", "path", "refuted_by", "actions"} <= set(finding)
    assert set(finding["culprit"]) == {"kind", "id", "name"}
    [evidence, *_] = finding["path"][0]["evidence"]
    assert {"table", "start_ns", "end_ns", "metric", "value", "baseline", "row_ids"} <= set(evidence)


def test_a_window_without_a_fault_is_healthy_and_says_what_it_cannot_exclude(database):
    window = "--since", START, "--until", START + (FROM - 1) * SECOND
    said, answer = asked(database, *window), asked(database, *window, "--json")
    assert "Healthy" in said.stdout
    assert "lock contention" in said.stdout.partition("Not excluded")[2]
    found = json.loads(answer.stdout)
    assert (said.returncode, answer.returncode, found["healthy"], found["unknown"]) == (0, 0, True, [])
    assert {"fault": "lock_contention", "collectors": ["wait"]} in found["not_excluded"]


@pytest.mark.parametrize(
    ("since", "until", "reason"),
    [
        (-600, -60, "nothing was recorded in the window; the first row is of"),
        (600, 700, "nothing was recorded in the window; the last row is of"),
        (-60, 9, "nothing was recorded from"),
        (10**8, 10**8 + 60, "the window lies in the future"),
    ],
)
def test_of_time_that_nobody_recorded_nothing_is_known(database, since, until, reason):
    window = "--since", START + since * SECOND, "--until", START + until * SECOND
    said, answer = asked(database, *window), asked(database, *window, "--json")
    assert (said.returncode, answer.returncode) == (3, 3)
    assert "Healthy" not in said.stdout
    assert reason in said.stdout.partition("Not known")[2]
    found = json.loads(answer.stdout)
    assert found["healthy"] is None
    assert reason in found["unknown"][0]


def test_findings_are_said_with_the_part_of_the_window_that_is_not_known(database):
    answer = asked(database, "--since", START, "--until", START + 120 * SECOND, "--json")
    found = json.loads(answer.stdout)
    assert (answer.returncode, found["healthy"]) == (1, False)
    assert [one["fault"] for one in found["findings"]] == ["cpu_saturation"]
    assert "nothing is known after" in found["unknown"][0]


def test_half_a_minute_around_now_ends_now(tmp_path):
    now = time.time_ns()
    rows = [Memory(now - second * SECOND, mem_total_kb=8_000_000) for second in range(40)]
    busy = [Process(row.timestamp, pid=1, comm="init", utime_ms=1, stime_ms=1) for row in rows]
    answer = asked(stored(tmp_path / "db", [*rows, *busy]), "--at", "now", "--json")
    assert (answer.returncode, json.loads(answer.stdout)["unknown"]) == (0, [])


def test_a_page_with_plots_is_written_beside_what_is_printed(database, tmp_path):
    file = tmp_path / "page.html"
    said = asked(database, "--at", START + 20 * SECOND, "--json", "--html", file)
    assert json.loads(said.stdout)["findings"]
    written = file.read_text()
    assert re.search(r"2 . cr\[bold\]unch", written)
    assert "<polyline" in written


def test_a_page_that_cannot_be_written_is_said_before_anything_is_collected(database, tmp_path):
    said = asked(database, "--live", "60", "--html", tmp_path / "no" / "page.html")
    assert said.returncode == 2
    assert "page.html" in said.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--at", "now", "--live", "5"), "give one of"),
        (("--since", "yesterday"), "is not a time"),
        (("--live", "1"), "live"),
    ],
)
def test_what_cannot_be_asked_is_said(database, options, said):
    answer = asked(database, *options)
    assert answer.returncode == 2
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_database_that_is_not_there_is_named(tmp_path):
    answer = asked(tmp_path / "none.db")
    assert answer.returncode == 3, "it is not known whether there is anything to find"
    assert "no such database" in answer.stderr


@pytest.mark.slow
def test_a_live_look_needs_no_database_and_leaves_none(tmp_path):
    said = kernelsight("diagnose", "--live", "4", "--json", cwd=tmp_path)
    found = json.loads(said.stdout)
    assert said.returncode == (1 if found["findings"] else 0), said.stderr
    assert found["unknown"] == []
    assert found["window"]["end_ns"] - found["window"]["start_ns"] >= 4 * SECOND
    assert list(tmp_path.iterdir()) == []
