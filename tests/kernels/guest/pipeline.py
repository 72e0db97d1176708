"""All collectors, and the way from the kernel into the store."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections import Counter
from pathlib import Path

from guest import check_of_machine
from kernelsight.collectors.base import registered
from kernelsight.events.collector import CollectorReport
from kernelsight.events.declare import kind_of
from kernelsight.events.wire import decoder

KERNELSIGHT = ("python3", "-m", "kernelsight")


@check_of_machine
def doctor_finds_that_everything_works_and_every_source_can_run() -> None:
    done = subprocess.run([*KERNELSIGHT, "doctor", "--json"], capture_output=True, check=False, text=True)
    assert done.returncode == 0, done
    said = json.loads(done.stdout)
    assert said["complete"], said
    assert {(one["collector"], one["source"]) for one in said["collectors"]} == {
        (name, entry.source) for name, entries in registered().items() for entry in entries
    }
    refused = {
        f"{one['collector']}-{one['source']}": one["reason"] for one in said["collectors"] if not one["available"]
    }
    assert not refused, refused
    broken = {one["name"] for one in said["machine"] if one["works"] is False}
    assert broken <= {"perf hardware counters"}, said["machine"]  # which an emulated machine does not have


@check_of_machine
def all_that_is_collected_is_stored() -> None:
    lines, database = Path("/tmp/lines"), Path("/tmp/kernelsight.db")
    with lines.open("wb") as out:
        collected = subprocess.run(
            [*KERNELSIGHT, "collect", "--duration", "3"], stdout=out, stderr=subprocess.PIPE, text=True, check=True
        )
    assert collected.stderr == "", collected.stderr
    events = decoder().decode_lines(lines.read_bytes())
    with lines.open("rb") as source:
        subprocess.run(
            [*KERNELSIGHT, "ingest", "--db-path", database], stdin=source, capture_output=True, check=True, text=True
        )
    expected = Counter(kind_of(type(event)).table for event in events)
    with sqlite3.connect(database) as store:
        stored = {table: store.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in expected}
        rejected = store.execute("SELECT * FROM rejected_events").fetchall()
    assert stored == expected, (stored, expected)
    assert rejected == []
    last = {event.name: event for event in events if isinstance(event, CollectorReport)}
    bad = {
        name: (report.status, report.reason, report.failures, report.lost)
        for name, report in last.items()
        if report.status != "running" or report.failures or report.lost
    }
    assert not bad, bad
    silent = [name for name, report in last.items() if not report.events and name in SPEAK_ALWAYS]
    assert not silent, silent


SPEAK_ALWAYS = {
    "block", "cgroup", "cpu", "filesystem", "load", "memory", "network", "perf", "pressure", "process", "scheduler",
    "tcp", "tcp_retransmit", "vmstat", "wait",
}  # fmt: skip
"""Collectors that have something to say of any machine within three seconds."""
