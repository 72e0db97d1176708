"""Closer looks: which one a diagnosis wants, why, and what it told."""

from __future__ import annotations

import msgspec
import pytest
from scenes import END, FROM, LENGTH, SECOND, START, cpus, stored, used

from kernelsight.collectors.base import registered
from kernelsight.collectors.options import OPTIONS, parse_options
from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import check
from kernelsight.diagnosis.model import (
    Alternative,
    Bounds,
    Diagnosis,
    Entity,
    Evidence,
    Finding,
    Probed,
    RuledOut,
    Step,
)
from kernelsight.diagnosis.probe import probes, told, wanted
from kernelsight.diagnosis.registry import fault_classes
from kernelsight.diagnosis.report import report
from kernelsight.events.memory import Memory
from kernelsight.events.process import Process
from kernelsight.events.stack import FaultStack, Stack
from kernelsight.events.wire import tables
from kernelsight.linux.stacks import Frames, encoded

WHO = Entity("process", "7", "porka")


def finding(fault: str, *, culprit: Entity = WHO, shows: str | None = None, alternatives=(), confidence=0.9):
    evidence = Evidence(shows or "process_stats", 0, 0, "samples", "sum", 1.0, (1,))
    return Finding(
        fault, culprit, (), START, confidence, (Step(f"by {shows}", (evidence,)),), "", (),
        alternatives=tuple(Alternative(other, WHO, 0.8) for other in alternatives),
    )  # fmt: skip


def diagnosis(*findings: Finding, ruled_out=()) -> Diagnosis:
    return Diagnosis(Bounds(START, END), healthy=not findings, findings=findings, ruled_out=tuple(ruled_out))


def names(answer: Diagnosis) -> list[str]:
    return [each.probe.name for each in wanted(answer)]


@pytest.mark.parametrize("probe", probes().values(), ids=lambda probe: probe.name)
def test_a_probe_is_declared_whole(probe):
    assert probe.shows in tables()
    assert 5 <= probe.seconds <= 10
    assert probe.price.cpu_percent > 0
    assert "benchmarks/probes.py" in probe.price.measured
    assert "CULPRIT" in probe.missing
    assert {probe.likened_to, *probe.collectors} <= registered().keys()
    assert any(entry.default for entry in registered()[probe.likened_to]), "its report says whether probes can run"
    assert probe.options.keys() <= OPTIONS.keys()
    assert parse_options(f"{key}={value}" for key, value in probe.options.items()).keys() == probe.options.keys()


def test_a_sure_answer_that_says_where_wants_no_closer_look():
    assert names(diagnosis(finding("cpu_saturation", shows="stack_samples"))) == []
    assert names(diagnosis()) == []


@pytest.mark.parametrize(
    ("fault", "probe", "because"),
    [
        ("cpu_saturation", "profile", "the function that porka computes in is not known"),
        ("lock_contention", "locks", "where porka wants its lock is not known"),
        ("memory_leak", "faults", "the function in which porka takes its memory is not known"),
    ],
)
def test_what_an_answer_does_not_say_is_looked_for(fault, probe, because):
    first, *_ = wanted(diagnosis(finding(fault)))
    assert (first.probe.name, first.because) == (probe, because)


def test_a_culprit_of_which_a_probe_tells_nothing_wants_none():
    assert names(diagnosis(finding("lock_contention", culprit=Entity("mount", "/", "/")))) == []


def test_answers_that_are_close_are_told_apart_first():
    close = finding("cpu_saturation", shows="stack_samples", alternatives=["lock_contention"])
    (first,) = wanted(diagnosis(close))
    assert (first.probe.name, first.because) == ("locks", "cpu saturation and lock contention are nearly as likely")
    rival = RuledOut("memory_pressure", WHO, 0.75, ("something",))
    both = diagnosis(finding("cpu_saturation"), ruled_out=[rival])
    assert names(both)[0] in {"faults", "profile"}
    assert "nearly as likely" in wanted(both)[0].because


def test_an_effect_is_no_rival():
    effect = RuledOut("memory_pressure", WHO, 0.9, (), effect_of="cpu_saturation")
    assert "faults" not in names(diagnosis(finding("cpu_saturation"), ruled_out=[effect]))


def test_what_a_probe_told_is_what_only_the_second_answer_says():
    before, after = diagnosis(finding("cpu_saturation")), diagnosis(finding("cpu_saturation", shows="stack_samples"))
    assert told(before, after, ["stack_samples"]) == ("by stack_samples",)
    assert told(after, after, ["stack_samples"]) == ()
    other = told(before, diagnosis(finding("lock_contention")), ["lock_waits"])
    assert other == ("over the whole time the answer is lock contention by porka; it was cpu saturation by porka",)
    assert told(before, diagnosis(), []) == ("over the whole time cpu saturation by porka is not found",)


def test_the_report_says_which_looks_were_taken_why_and_what_the_others_need():
    looks = (
        Probed("profile", "it is not known", 6.0, told=("`f` has it",)),
        Probed("locks", "two are close", refused="run as root"),
        Probed("faults", "somebody asked for it", 6.0),
    )
    answer = msgspec.structs.replace(diagnosis(), probes=looks)
    said = "\n".join(line.text for line in report(answer))
    assert "Closer look `profile` for 6 s, because it is not known\n  `f` has it" in said
    assert "Closer look `locks` not taken: run as root" in said
    assert "Closer look `faults` for 6 s, because somebody asked for it\n  it told nothing new" in said


def test_every_part_of_a_probe_is_one_that_faults_are_of():
    parts = {part for fault in fault_classes().values() for part in fault.parts}
    assert {probe.part for probe in probes().values()} <= parts


def test_stacks_of_faults_say_where_a_culprit_takes_its_memory(tmp_path):
    def rows():
        yield from cpus(2)
        for second in range(LENGTH):
            at = START + second * SECOND
            busy = second >= FROM
            yield Memory(at, mem_total_kb=8_000_000, mem_available_kb=6_000_000)
            yield Process(
                at, pid=70, ppid=1, comm="storm", start_ticks=1, rss_kb=9000 + second % 2,
                minor_faults=400_000 * max(0, second - FROM), stime_ms=950 * max(0, second - FROM),
                utime_ms=10 * second,
            )  # fmt: skip
            if busy and second >= LENGTH - 6:
                yield FaultStack(at, 70, "storm", None, 1, 97 * 30)
                yield FaultStack(at, 70, "storm", None, 2, 97 * 10)
        yield from used(70, "storm", 950, 20, since=FROM)
        for number, name in ((1, "take"), (2, "other")):
            frames = encoded(Frames(kernel=(f"{name}+0x7",)))
            yield Stack(START, stack_id=number, space="kernel", frames=frames, ends="whole")

    path = stored(tmp_path / "db", rows())
    answer = diagnose(path, START, END)
    storm = next(each for each in answer.findings if each.fault == "page_fault_storm")
    assert check(path, answer) == []
    assert storm.path[-1].claim == "75 % of the page faults of storm are in `take` (kernel)"
    assert "faults" not in names(answer)
