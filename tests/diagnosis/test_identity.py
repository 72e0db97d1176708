"""A program is its name and its control group, from whichever row says them."""

from scenes import SECOND, START

from kernelsight.diagnosis.identity import ProgramId, by_program, process_entity, program_id
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.processes import named, program_of
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.process import Process
from kernelsight.events.scheduler import SchedProcess

SHOP = "/system.slice/shop.service"


def test_an_id_and_a_path_of_one_group_are_one_program(scene_of):
    scene = scene_of(
        Process(START, pid=10, ppid=1, comm="app", start_ticks=1, cgroup=SHOP, cgroup_id=7),
        SchedProcess(START + SECOND, pid=11, comm="app", forks=1, cgroup_id=7),
        SchedProcess(START + SECOND, pid=12, comm="app", forks=1, cgroup_id=8),
    )
    assert program_of(scene, 10) == program_of(scene, 11) == ProgramId("app", SHOP)
    assert program_of(scene, 12) == ProgramId("app", 8)
    programs = {
        program: [row.pid for row in rows] for program, rows in by_program(scene, scene.rows(SchedProcess)).items()
    }
    assert programs == {ProgramId("app", SHOP): [11], ProgramId("app", 8): [12]}


def test_the_row_of_a_group_says_its_path_too(scene_of):
    assert program_id(scene_of(Cgroup(START, cgroup=SHOP, cgroup_id=7)), "app", 7) == ProgramId("app", SHOP)


def test_a_process_that_no_row_names_has_the_name_that_is_given(scene_of):
    scene = scene_of(Process(START, pid=10, ppid=1, comm="app", start_ticks=1))
    assert named(scene, 10, "other").name == "app"
    assert named(scene, 11, "other") == Entity("process", "11", "other")
    assert program_of(scene, 11, "other") == ProgramId("other", None)
    assert process_entity(11, None).name == "?"
