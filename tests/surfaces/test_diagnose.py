"""`kernelsight diagnose` as a person types it."""

import json
import sys
from pathlib import Path

import pytest
from processes import kernelsight

sys.path.insert(0, str(Path(__file__).parents[1] / "diagnosis"))

from scenes import FROM, SECOND, START, cpus, stored, used


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    hogs = [event for pid in (70, 71) for event in used(pid, "cr[bold]unch\x1b[2J", 900, 600, group=5, since=FROM)]
    quiet = [*cpus(2), *used(12, "web", 100, 1, group=2)]
    return stored(
        tmp_path_factory.mktemp("diagnose") / "db", [*quiet, *hogs, *used(13, "api", 90, 300, group=2, since=FROM)]
    )


def asked(database, *options):
    return kernelsight("diagnose", "--db-path", database, *options)


def test_a_page_says_who_does_it_and_what_shows_it(database):
    said = asked(database, "--since", START, "--until", START + 30 * SECOND)
    assert said.returncode == 0, said.stderr
    assert "CPU SATURATION by process cr[bold]unch" in said.stdout
    assert "suffering: api (13)" in said.stdout
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


def test_a_window_without_a_fault_is_healthy(database):
    said = asked(database, "--since", START, "--until", START + (FROM - 1) * SECOND)
    assert "Healthy" in said.stdout


def test_a_page_with_plots_is_written_beside_what_is_printed(database, tmp_path):
    file = tmp_path / "page.html"
    said = asked(database, "--at", START + 20 * SECOND, "--json", "--html", file)
    assert json.loads(said.stdout)["findings"]
    written = file.read_text()
    assert "cpu saturation by process cr[bold]unch" in written
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
    assert answer.returncode == 1
    assert "no such database" in answer.stderr


@pytest.mark.slow
def test_a_live_look_needs_no_database_and_leaves_none(tmp_path):
    said = kernelsight("diagnose", "--live", "4", "--json", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert found["window"]["end_ns"] - found["window"]["start_ns"] >= 4 * SECOND
    assert list(tmp_path.iterdir()) == []
