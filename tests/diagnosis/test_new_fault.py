"""A class of faults is added by its own file and by that of a mechanism: both are found by themselves."""

import json
import subprocess
import sys

from scenes import END, SECOND, START, stored

from kernelsight.events.clock import ClockStep

FAULT = """
from kernelsight.diagnosis.fault import FaultClass

CLOCK_JUMPS = FaultClass(
    "clock_jumps",
    meaning="The clock of the machine is set again and again, so that times of before and after cannot be compared.",
    needs=("clock_step",),
)
"""

MECHANISM = """
from dataclasses import dataclass

from kernelsight.diagnosis.faults.clock_jumps import CLOCK_JUMPS
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.model import Entity, Proposal
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.events.clock import ClockStep

FAR_S = Threshold(1.0, "s", because="judged: less is corrected without anybody noticing")
OFTEN = Threshold(2, "times", because="judged: one step is a correction")


@dataclass(frozen=True)
class Jumps:
    steps: tuple
    farthest_s: float


def measure(window):
    steps = tuple(window.rows(ClockStep))
    if steps:
        yield Jumps(steps, max(abs(step.step_ns) for step in steps) / 1e9)


def explain(window, jumps):
    machine = Entity("machine", "clock", "the clock")
    return Explanation(
        culprit=machine,
        onset_ns=jumps.steps[0].timestamp,
        does="is set again and again",
        harm="",
        suffering_s=0.0,
        path=path(claim("the clock was set", window.evidence(jumps.steps, ClockStep.step_ns, "count"))),
        refuted_by="the clock is not set any more when its servers are reached",
        outlook="times go on being wrong",
        actions=(Proposal("look", machine, "ask the servers of the time that this machine is told of"),),
    )


MECHANISM = Mechanism[Jumps](
    fault=CLOCK_JUMPS,
    summary="A service sets the clock instead of slewing it.",
    measure=measure,
    checks=(
        Check(id="far", says="it was set by {farthest_s:.1f} s", holds=lambda jumps: jumps.farthest_s >= FAR_S,
              supports=2.0, refutes=4.0, because="judged: less harms nobody"),
        Check(id="often", says="it was set more than once", holds=lambda jumps: len(jumps.steps) >= OFTEN,
              supports=2.0, refutes=4.0, because="judged: a correction happens once"),
    ),
    explain=explain,
)
"""

DIAGNOSE = """
import sys, json, msgspec
import kernelsight.diagnosis.faults, kernelsight.diagnosis.mechanisms
folder, store, start, end = sys.argv[1:]
kernelsight.diagnosis.faults.__path__.append(f"{folder}/faults")
kernelsight.diagnosis.mechanisms.__path__.append(f"{folder}/mechanisms")
from kernelsight.diagnosis import diagnose
from kernelsight.surfaces.docs import pages
from kernelsight.surfaces.cli.main import main
answer = diagnose(store, int(start), int(end))
texts = pages(main)
print(json.dumps([msgspec.to_builtins(answer), texts["faults.md"], texts["mechanisms.md"]]))
"""


def with_the_new_class(tmp_path, *events):
    for name, text in (("faults", FAULT), ("mechanisms", MECHANISM)):
        (tmp_path / name).mkdir()
        file = {"faults": "clock_jumps", "mechanisms": "clock_set_instead_of_slewed"}[name]
        (tmp_path / name / f"{file}.py").write_text(text)
    store = stored(tmp_path / "db", events)
    command = [sys.executable, "-c", DIAGNOSE, str(tmp_path), store, str(START), str(END)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_a_new_class_is_found_excluded_and_documented(tmp_path):
    (tmp_path / "ill").mkdir()
    (tmp_path / "well").mkdir()
    steps = [ClockStep(START + second * SECOND, step_ns=-3 * SECOND) for second in (10, 20)]
    answer, faults, mechanisms = with_the_new_class(tmp_path / "ill", *steps)
    (finding,) = answer["findings"]
    assert (finding["fault"], finding["culprit"]["id"]) == ("clock_jumps", "clock")
    assert finding["path"][0]["evidence"][0]["value"] == 2
    assert "| `clock_jumps` |" in faults
    assert "### clock_set_instead_of_slewed" in mechanisms
    assert "| `FAR_S` | 1 s |" in mechanisms

    once, _, _ = with_the_new_class(tmp_path / "well", steps[0])
    assert once["findings"] == []
    assert ["it was set more than once"] in [one["against"] for one in once["ruled_out"]]
