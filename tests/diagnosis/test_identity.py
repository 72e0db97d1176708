"""A program is its name and its control group, from whichever row says them."""

import ast
import re
from pathlib import Path

import msgspec
import pytest
from scenes import FROM, SECOND, START, cpus, stored, used

import kernelsight
from hostile import HOSTILE, harmless, storable
from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.evidence_series import series_by_evidence
from kernelsight.diagnosis.identity import ProgramId, by_program, process_entity, program_id
from kernelsight.diagnosis.model import Bounds, Diagnosis, Entity
from kernelsight.diagnosis.naming import introduced
from kernelsight.diagnosis.page import page
from kernelsight.diagnosis.processes import identity_of, named, program_of
from kernelsight.diagnosis.report import report
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.process import Process
from kernelsight.events.scheduler import SchedProcess
from kernelsight.printable import printable

SHOP = "/system.slice/shop.service"


def test_an_id_and_a_path_of_one_group_are_one_program(scene_of):
    window = scene_of(
        Process(START, pid=10, ppid=1, comm="app", start_ticks=1, cgroup=SHOP, cgroup_id=7),
        SchedProcess(START + SECOND, pid=11, comm="app", forks=1, cgroup_id=7),
        SchedProcess(START + SECOND, pid=12, comm="app", forks=1, cgroup_id=8),
    )
    assert program_of(window, 10) == program_of(window, 11) == ProgramId("app", SHOP)
    assert program_of(window, 12) == ProgramId("app", 8)
    programs = {
        program: [row.pid for row in rows] for program, rows in by_program(window, window.rows(SchedProcess)).items()
    }
    assert programs == {ProgramId("app", SHOP): [11], ProgramId("app", 8): [12]}


def test_the_row_of_a_group_says_its_path_too(scene_of):
    assert program_id(scene_of(Cgroup(START, cgroup=SHOP, cgroup_id=7)), "app", 7) == ProgramId("app", SHOP)


def test_a_process_that_no_row_names_has_the_name_that_is_given(scene_of):
    window = scene_of(Process(START, pid=10, ppid=1, comm="app", start_ticks=1))
    assert named(window, 10, "other").name == "app"
    assert named(window, 11, "other") == Entity("process", "11", "other")
    assert program_of(window, 11, "other") == ProgramId("other", None)
    assert process_entity(11, None).name == "?"


UNIT = "postgresql@15-main.service"
DATABASE = f"/system.slice/system-postgresql.slice/{UNIT}"
INIT = Process(START, pid=1, ppid=0, comm="systemd", start_ticks=0, uid=0)
MAIN = Process(START, pid=40, ppid=1, comm="postgres", start_ticks=5, uid=114, cgroup=DATABASE)
SERVERS = [
    Process(START, pid=pid, ppid=40, comm="postgres", start_ticks=pid, uid=114, cgroup=DATABASE) for pid in (41, 42)
]


def introductions(window, *pids):
    """What a person reads of some processes."""
    entities = [named(window, pid) for pid in pids]
    identities = tuple(identity for entity in entities if (identity := identity_of(window, entity)))
    diagnosis = Diagnosis(Bounds(START, START + SECOND), False, (), identities=identities)
    return introduced(diagnosis, *entities)


def test_a_process_is_introduced_with_its_service_user_and_parent(scene_of):
    window = scene_of(INIT, MAIN, *SERVERS)
    assert introductions(window, 40) == f"postgres 40 ({UNIT}, uid 114, started by systemd)"
    assert introductions(window, 41, 42) == f"postgres 41, 42 ({UNIT}, uid 114, started by postgres 40)"
    identity = identity_of(window, named(window, 41))
    assert identity.unit == UNIT
    assert identity.cgroup == DATABASE
    assert [(parent.name, parent.id) for parent in identity.parents] == [("postgres", "40"), ("systemd", "1")]


def executed(comm, *executables):
    """What a person reads of a process with these executables in its rows, one after the other."""
    return [
        Process(START + place, pid=60, ppid=59, comm=comm, start_ticks=9, exe=exe)
        for place, exe in enumerate(executables)
    ]


@pytest.mark.parametrize(
    ("comm", "executables", "expected"),
    [
        ("worker", ["/usr/bin/python3.11"], "/usr/bin/python3.11, "),
        ("worker", ["/usr/bin/python3.11", None, None], "/usr/bin/python3.11, "),
        ("worker", ["/bin/sh", None, "/opt/node", None], "/opt/node, "),
        ("python3", ["/usr/bin/python3.11"], ""),
        ("a-long-name-of-a", ["/srv/a-long-name-of-a-program"], ""),
        ("postgres", ["/usr/lib/postgresql/15/bin/postgres"], ""),
        ("postgres", ["/usr/lib/postgres (deleted)"], "/usr/lib/postgres (deleted), "),
        ("worker", [f"/{'d' * 4000}/python3"], f"…{'d' * 55}/python3, "),
        ("worker", [], ""),
        ("worker", ["", None], ""),
    ],
)
def test_the_executable_is_told_where_the_name_does_not_tell_it(scene_of, comm, executables, expected):
    rows = executed(comm, *executables or [None])
    assert introductions(scene_of(*rows), 60) == f"{comm} 60 ({expected}started by process 59)"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_an_executable_may_be_called_anything(tmp_path, text):
    hogs = [event for pid in (41, 42) for event in used(pid, "worker", 900, 600, group=5, since=FROM)]
    exe = f"/{storable(text)}"
    rows = [Process(START, pid=pid, ppid=40, comm="worker", start_ticks=pid, exe=exe) for pid in (41, 42)]
    path = stored(tmp_path / "db", [*cpus(2), *hogs, *used(13, "api", 90, 300, group=2, since=FROM), *rows])
    found = diagnose(path, START, START + 30 * SECOND)
    assert found.identity(found.findings[0].culprit).executable
    assert harmless("\n".join(printable(line.text) for line in report(found)))
    assert "<script" not in page(found, series_by_evidence(path, found))


def test_of_whom_the_first_process_has_adopted_nobody_says_that_it_started_it(scene_of):
    orphan = Process(START, pid=50, ppid=1, comm="job", start_ticks=9, uid=0, cgroup="/user.slice/session-3.scope")
    assert introductions(scene_of(INIT, orphan), 50) == "job 50 (session-3.scope, root, child of systemd)"


def test_what_no_row_says_is_left_out(scene_of):
    window = scene_of(Process(START, pid=50, ppid=49, comm="job", start_ticks=9), *SERVERS[:1])
    assert introductions(window, 50) == "job 50 (started by process 49)"
    assert introductions(window, 99) == "? (99)"
    assert identity_of(window, Entity("process", "50", "former")) is None, "another process had the pid"
    assert identity_of(window, Entity("cgroup", "50", "job")) is None


def test_a_pid_that_was_given_away_since_names_no_parent(scene_of):
    child = Process(START, pid=50, ppid=49, comm="job", start_ticks=9)
    later = Process(START, pid=49, ppid=1, comm="stranger", start_ticks=20)
    assert introductions(scene_of(child, later), 50) == "job 50 (started by process 49)"


def test_threads_of_the_kernel_are_called_so_and_parents_in_a_circle_end(scene_of):
    worker = Process(START, pid=60, ppid=2, comm="kworker/0:1", start_ticks=1, uid=0)
    assert introductions(scene_of(worker), 60) == "kworker/0:1 60 (kernel thread)"
    circle = [Process(START, pid=pid, ppid=parent, comm="x", start_ticks=1) for pid, parent in ((70, 71), (71, 70))]
    window = scene_of(*circle)
    assert len(identity_of(window, named(window, 70)).parents) == 2


def test_a_diagnosis_says_who_the_processes_of_its_findings_are(tmp_path):
    hogs = [event for pid in (41, 42) for event in used(pid, "postgres", 900, 600, group=5, since=FROM)]
    waiting = used(13, "api", 90, 300, group=2, since=FROM)
    path = stored(tmp_path / "db", [*cpus(2), *hogs, *waiting, INIT, MAIN, *SERVERS])
    found = diagnose(path, START, START + 30 * SECOND)
    culprit = found.findings[0].culprit
    assert found.identity(culprit).unit == UNIT
    assert found.identity(Entity("process", "13", "api")) is None
    text = "\n".join(line.text for line in report(found))
    assert re.match(rf"2 . postgres \(pids 4., 4.; {re.escape(UNIT)}, uid 114, started by postgres 40\) use ", text)
    assert "; api (13) waits" in text
    assert f"postgres {culprit.id} ({UNIT}, uid 114, started by postgres 40)" in page(
        found, series_by_evidence(path, found)
    )
    assert msgspec.json.decode(msgspec.json.encode(found), type=Diagnosis) == found


def test_a_process_becomes_an_entity_in_one_place():
    source = Path(kernelsight.__file__).parent
    files = [path.relative_to(source).as_posix() for path in source.rglob("*.py") if _makes_a_process(path)]
    assert files == ["diagnosis/identity.py"]


def _makes_a_process(path):
    return any(
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "Entity"
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and call.args[0].value == "process"
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
    )
