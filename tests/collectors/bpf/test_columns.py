"""Columns of events out of members of records."""

import shutil
import subprocess
from pathlib import Path

import pytest
from described import filler

from kernelsight.collectors.bpf.btf import of_image
from kernelsight.collectors.bpf.columns import Columns, Filler, made
from kernelsight.collectors.bpf.layout import Layout, Member
from kernelsight.collectors.bpf.tcp_retransmit_event import RETRANSMITS
from kernelsight.events.scheduler import Sched

REPOSITORY = Path(__file__).parents[3]

NOW = 1_800_000_000_000_000_000
KEY = Layout("key", 8, (Member("pid", 0, 4, "I"), Member("lane", 4, 4, "i")))
VALUE = Layout(
    "value",
    40,
    (
        Member("cgroup_id", 0, 8, "Q"),
        Member("ran_at", 8, 8, "Q"),
        Member("latency_ns", 16, 8, "Q"),
        Member("comm", 24, 16, "16s", is_text=True),
    ),
)
DECLARED = {"apart": ("ran_at",), "cpu": made(abs, "lane")}


def rows(*pids):
    keys = b"".join(KEY.pack(pid=pid, lane=-pid) for pid in pids)
    values = [VALUE.pack(cgroup_id=2**64 - pid, ran_at=pid, latency_ns=7, comm=b"a\xff") for pid in pids]
    return keys, values


def test_a_column_takes_the_member_of_its_name_and_what_is_made_for_it():
    fill = Filler(Columns(Sched, "key", "value", **DECLARED), [KEY, VALUE])
    keys, values = rows(3, 4)
    expected = [
        Sched(NOW, pid=pid, cpu=pid, latency_ns=7, comm="a\\xff", cgroup_id=-pid) for pid in (3, 4)
    ]  # the id of a group as stores hold it
    assert fill(NOW, keys, b"".join(values)) == expected
    assert fill(NOW, [keys[:8], keys[8:]], values) == expected
    assert fill(NOW, b"", b"") == []


def test_a_new_member_with_the_name_of_a_column_is_that_column_and_nothing_else_changes():
    wider = Layout("value", 48, (*VALUE.members, Member("prev_pid", 40, 4, "I")))
    fill = Filler(Columns(Sched, "key", "value", **DECLARED), [KEY, wider])
    (event,) = fill(NOW, KEY.pack(pid=1), wider.pack(prev_pid=42))
    assert (event.pid, event.prev_pid) == (1, 42)


@pytest.mark.skipif(shutil.which("clang-14") is None, reason="compiles a tracer again, with clang-14")
def test_a_member_that_is_added_to_a_tracer_in_c_is_the_column_of_its_name(tmp_path):
    sources = tmp_path / "bpf"
    shutil.copytree(REPOSITORY / "bpf", sources)
    tracer = sources / "tcp_retransmits.bpf.c"
    text = tracer.read_text()
    assert "\tu64 sent_at, inode;" in text
    tracer.write_text(text.replace("\tu64 sent_at, inode;", "\tu64 sent_at, inode;\n\tu32 pid;"))
    made_object = tmp_path / "x86_64/tcp_retransmits.bpf.o"
    subprocess.run(["make", "-s", "-C", sources, f"OUT={tmp_path}", made_object], check=True)
    with of_image(made_object.read_bytes(), "tcp_retransmits") as types:
        fill = RETRANSMITS.of(types)
    (layout,) = fill.layouts
    assert layout["segments"].offset == filler(RETRANSMITS, "tcp_retransmits").layouts[0]["segments"].offset + 4
    (event,) = fill(lambda sent_at: NOW + sent_at, [layout.pack(pid=42, segments=3, family=2, sent_at=1)])
    assert (event.timestamp, event.pid, event.segments, event.saddr) == (NOW + 1, 42, 3, "0.0.0.0")


def test_events_that_carry_their_time_are_stamped_with_it():
    fill = Filler(Columns(Sched, "value", stamp="ran_at"), [VALUE])
    _, values = rows(3, 4)
    assert [event.timestamp for event in fill(lambda ran_at: NOW + ran_at, values)] == [NOW + 3, NOW + 4]


@pytest.mark.parametrize(
    ("declared", "layouts", "complaint"),
    [
        ({}, [KEY, VALUE], "Sched of struct key and value: nobody uses lane, ran_at; no column has such a name"),
        ({**DECLARED, "colour": made(abs, "pid")}, [KEY, VALUE], "no column colour"),
        ({**DECLARED, "tid": made(abs, "thread")}, [KEY, VALUE], "no member thread; is the object older"),
        ({**DECLARED, "apart": ("ran_at", "gone")}, [KEY, VALUE], "no member gone"),
        ({**DECLARED, "stamp": "gone"}, [KEY, VALUE], "no member gone"),
        (DECLARED, [KEY, Layout("value", 8, (*KEY.members, VALUE.members[1]))], "two members have one name"),
        (
            {"apart": ("ran_at",)},
            [VALUE, Layout("odd", 4, (Member("pid", 0, 4, "4s"),))],
            "column pid is INTEGER, its member is not",
        ),
        (
            {"apart": ("ran_at",)},
            [Layout("value", 20, (VALUE.members[1], Member("comm", 16, 4, "I")))],
            "column comm is TEXT, its member is not",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_read(declared, layouts, complaint):
    names = ["key", "value"] if layouts[0] is KEY else [layout.name for layout in layouts]
    with pytest.raises(TypeError, match=complaint):
        Filler(Columns(Sched, *names, **declared), layouts)


@pytest.mark.parametrize("count", [1, 255, 256, 257, 600])
def test_all_records_become_events_however_many_there_are(count):
    fill = Filler(Columns(Sched, "key", "value", **DECLARED), [KEY, VALUE])
    keys, values = rows(*range(1, count + 1))
    assert [event.pid for event in fill(NOW, keys, b"".join(values))] == list(range(1, count + 1))


def test_structures_of_which_there_are_not_as_many_are_a_defect():
    fill = Filler(Columns(Sched, "key", "value", **DECLARED), [KEY, VALUE])
    keys, values = rows(1, 2)
    with pytest.raises(ValueError, match=r"Sched of struct key and value: \[2, 1\] records"):
        fill(NOW, keys, values[:1])
