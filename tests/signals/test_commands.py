"""`kernelsight signals` and `kernelsight reclassify` as processes."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest
from recorded import events_of, found_at_once, kept, put

from kernelsight.stores.base import open_writer

sys.path.append(str(Path(__file__).parents[1] / "surfaces"))
from processes import ask, kernelsight, rows, running, until

ALL = ("--since", "2020-01-01")
SOME = ("--since", "2020-01-01", "--until", "2200-01-01")


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """The recorded case of a disk that fills up; only read."""
    path = tmp_path_factory.mktemp("commands") / "k.db"
    writer = open_writer(str(path))
    put(writer, events_of("disk_fills_up"))
    writer.close()
    return path


def listed(database, *options):
    done = kernelsight("signals", "--db-path", database, *SOME, "--json", *options)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_range_that_nobody_has_looked_at_is_looked_at_on_the_spot(database):
    assert [row["rule"] for row in listed(database)] == [one.rule for one in found_at_once(database)]
    assert rows(database, "signals") == 0  # it only reads


def test_they_can_be_chosen_by_severity_and_rule(database):
    assert {row["severity"] for row in listed(database, "--severity", "critical")} == {"critical"}
    assert {row["rule"] for row in listed(database, "--rule", "space_low")} == {"space_low"}
    wrong = kernelsight("signals", "--db-path", database, *SOME, "--rule", "nonsense")
    assert wrong.returncode == 2
    assert "no rule 'nonsense'" in wrong.stderr


def test_people_get_a_table_or_are_told_that_there_is_nothing(database):
    done = kernelsight("signals", "--db-path", database, *SOME)
    assert done.stdout.splitlines()[0].split() == ["time", "end", "severity", "rule", "summary"]
    assert "of the space of" in done.stdout
    none = kernelsight("signals", "--db-path", database, "--since", "2020-01-01", "--until", "2020-01-02")
    assert (none.returncode, none.stdout) == (3, "")
    assert "not known: nothing was recorded in that time; events were recorded from" in none.stderr


@pytest.mark.slow
def test_watching_stores_what_reclassify_stores_and_a_list_shows(tmp_path):
    path = tmp_path / "k.db"
    events = events_of("disk_fills_up")
    with running("signals", "watch", "--db-path", path, "--every", "0.1", "--verbose") as watching:
        writer = open_writer(str(path))
        for start in range(0, len(events), 400):
            put(writer, events[start : start + 400])
        until(lambda: rows(path, "signals"), "signals")
        watching.send_signal(signal.SIGTERM)
        _, said = watching.communicate(timeout=30)
        writer.close()
    assert watching.returncode == 0, said
    assert "critical: space_low" in said
    found = kept(path)
    assert found == found_at_once(path)
    assert [row["summary"] for row in listed(path)] == [one.summary for one in found]
    again = kernelsight("reclassify", "--db-path", path, *ALL)
    assert (again.returncode, again.stdout) == (0, f"{len(found)} signals since 2020-01-01\n")
    assert kept(path) == found
    what = ask(path, "SELECT DISTINCT what FROM coincidences")
    assert ("slow_syscall",) in what or ("stall",) in what or ("page_fault",) in what


def test_reclassify_takes_out_what_the_events_do_not_have(tmp_path, database):
    path = tmp_path / "k.db"
    path.write_bytes(database.read_bytes())
    assert kernelsight("reclassify", "--db-path", path, *ALL).returncode == 0
    before = kept(path)
    writer = open_writer(str(path))
    put(writer, [before[0].__class__(before[0].timestamp + 1, rule="space_low", entity="mount_point=/none", count=1)])
    writer.close()
    assert len(kept(path)) == len(before) + 1
    assert kernelsight("reclassify", "--db-path", path, *ALL).returncode == 0
    assert kept(path) == before


@pytest.mark.parametrize("arguments", [("signals",), ("reclassify",)])
def test_a_database_that_is_not_there_is_one_line(arguments):
    done = kernelsight(*arguments, "--db-path", "/nonexistent/k.db")
    assert done.returncode == 1
    assert "no such database" in done.stderr
    assert "Traceback" not in done.stderr
