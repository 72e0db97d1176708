"""What the ceiling of CPU time has thinned is said by `status` and by `doctor`."""

from __future__ import annotations

import json
import time

import msgspec
from processes import kernelsight

from kernelsight.events.collector import CollectorReport
from kernelsight.stores.base import Batch, open_writer

WHY = "samples one second in 10: collecting used 4.9% of a CPU in the last minute and may use 1.0% (--max-cpu)"


def stored(path):
    now = time.time_ns()
    reports = [
        CollectorReport(now - 9, name="process", status="running", sampled_every=1),
        CollectorReport(now, name="process", status="running", sampled_every=10, reason=WHY),
        CollectorReport(now, name="cgroup", status="running", sampled_every=10, reason=WHY),
        CollectorReport(now, name="memory", status="running", sampled_every=1),
        CollectorReport(now, name="load", status="running"),
    ]
    writer = open_writer(str(path))
    assert not writer.write(Batch({CollectorReport: [msgspec.structs.astuple(report) for report in reports]}))
    writer.close()
    return str(path)


def test_status_and_doctor_say_what_was_thinned_and_why(tmp_path):
    path = stored(tmp_path / "db")
    rows = {
        row["name"]: row for row in json.loads(kernelsight("status", "--db-path", path, "--json").stdout)["collectors"]
    }
    assert (rows["process"]["sampled_every"], rows["process"]["reason"]) == (10, WHY)
    assert "samples one second in 10" in kernelsight("status", "--db-path", path).stdout
    assert json.loads(kernelsight("doctor", "--db-path", path, "--json").stdout)["thinned"] == {
        "cgroup": WHY,
        "process": WHY,
    }
    text = " ".join(kernelsight("doctor", "--db-path", path).stdout.split())
    assert (
        "Thinned by the last reports: cgroup, process: samples one second in 10: collecting used 4.9% of a CPU" in text
    )


def test_without_a_database_doctor_says_nothing_of_it(tmp_path):
    assert json.loads(kernelsight("doctor", "--db-path", str(tmp_path / "none"), "--json").stdout)["thinned"] == {}
