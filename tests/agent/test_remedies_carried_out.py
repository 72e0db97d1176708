"""Every remedy that an action carries out is planned for what a finding proposes it for; every other is a person's."""

from __future__ import annotations

import resource

import msgspec
import pytest
from own_processes import HOST, executor, finding, sleeper
from version_2 import Tree

from kernelsight.agent.acting.action import Request, actions, answers
from kernelsight.agent.acting.changes import MakeGroup, MoveProcess, SetFile
from kernelsight.agent.acting.groups import PAGES, page_aligned
from kernelsight.agent.commands import command
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.remedies import DROP_CACHES, LIMIT_MEMORY, MACHINE, remedies

EVERY = [(remedy, kind) for remedy in remedies().values() for kind in remedy.commands]
FOR_AN_ACTION = [(remedy, kind) for remedy, kind in EVERY if kind in getattr(actions().get(remedy.name), "targets", ())]
FOR_A_PERSON = [pair for pair in EVERY if pair not in FOR_AN_ACTION]
GIVEN = {"name": "net.ipv4.tcp_tw_reuse", "value": "1", "what": 2, "device": "sda", "resource": "RLIMIT_CORE"}


def named(pair):
    return f"{pair[0].name}-{pair[1]}"


def proposing(remedy, target):
    given = {name: GIVEN[name] for name in (*remedy.needs, *remedy.takes) if name in GIVEN}
    proposal = remedy.on(target, "do it", **given)
    return msgspec.structs.replace(finding(target), actions=(proposal,))


@pytest.fixture
def tree(tmp_path):
    tree = Tree(tmp_path)
    for name, limits in (("/free", {}), ("/limited", {"cpu.max": "20000 100000", "memory.max": "104857600"})):
        (tree.group(name, limits=limits) / "memory.current").write_text("50000000")
    (tree.proc / "meminfo").write_text("MemAvailable: 8000000 kB\n")
    for name, value in (("net/ipv4/tcp_tw_reuse", "2"), ("vm/drop_caches", "0")):
        file = tree.proc / "sys" / name
        file.parent.mkdir(parents=True)
        file.write_text(value)
    queue = tmp_path / "sys/block/sda/queue"
    queue.mkdir(parents=True)
    (queue / "scheduler").write_text("none [mq-deadline]\n")
    return tree


@pytest.mark.parametrize("pair", FOR_AN_ACTION, ids=named)
def test_what_an_action_carries_out_is_planned(tree, tmp_path, pair):
    remedy, kind = pair
    with sleeper() as process:
        tree.put(process.pid, "/")
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (100, 200))
        group = "/limited" if remedy.name.startswith("raise") else "/free"
        target = {
            "process": Entity("process", str(process.pid), "sleep"),
            "cgroup": Entity("cgroup", group, group),
            "machine": MACHINE,
        }[kind]
        [(action, proposal, asked)] = answers(proposing(remedy, target))
        assert (action.name, proposal.target) == (remedy.name, target)
        parameters = {name: getattr(asked, name) for name in asked.__struct_fields__}
        one = executor(tmp_path)
        one.host = type(HOST)(proc=tree.proc, sys=tmp_path / "sys", cgroup=tree.root)
        assert one.plan(Request(remedy.name, target, "person", parameters)).changes


@pytest.mark.parametrize("pair", FOR_A_PERSON, ids=named)
def test_what_no_action_carries_out_is_for_a_person_with_its_command(pair):
    remedy, kind = pair
    target = Entity(kind, "/a" if kind == "cgroup" else "7", "x")
    asking = proposing(remedy, target)
    assert answers(asking) == []
    [proposal] = asking.actions
    typed = command(asking, proposal)
    assert typed
    assert not typed.startswith("kernelsight agent")


def test_every_action_is_some_remedy_so_that_a_finding_can_propose_it():
    pairs = {(remedy.name, kind) for remedy, kind in FOR_AN_ACTION}
    assert pairs == {(action.name, kind) for action in actions().values() for kind in action.targets}


def test_parameters_that_an_action_does_not_take_are_no_answer():
    assert actions()["drop_caches"].answer(DROP_CACHES.on(MACHINE, "drop it", what=2)) is not None
    assert actions()["drop_caches"].answer(DROP_CACHES.on(MACHINE, "drop it", what=9)) is None


def test_a_process_among_others_may_grow_by_its_headroom_in_a_group_of_its_own(tree, tmp_path):
    with sleeper() as process:
        tree.group("/user", handed_on="memory")
        shared = tree.group("/user/session", members=(process.pid, 1))
        tree.put(process.pid, "/user/session")
        (tree.proc / "1").symlink_to("/proc/1")
        target = Entity("process", str(process.pid), "sleep")
        made, limited, moved = tree.plan(tmp_path, Request(LIMIT_MEMORY.name, target, "person", {}))
        resident_kb = int((HOST.proc / str(process.pid) / "status").read_text().partition("VmRSS:")[2].split()[0])
    own = str(tree.root / f"user/kernelsight-{process.pid}")
    assert made == MakeGroup(path=own)
    assert isinstance(limited, SetFile)
    assert (limited.path, limited.former) == (f"{own}/memory.high", "max")
    assert int(limited.value) == page_aligned(resident_kb * 1024 * 0.1 + PAGES)
    assert isinstance(moved, MoveProcess)
    assert (moved.former, moved.path) == (str(shared), own)
