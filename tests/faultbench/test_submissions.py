"""Anybody's answers to the recorded cases are read strictly and held against the truth."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import msgspec
import pytest
from benchmarks.faultbench.case import recorded
from benchmarks.faultbench.export import export
from benchmarks.faultbench.scoring import score, score_case, total
from benchmarks.faultbench.submission import (
    Blamed,
    CaseAnswer,
    During,
    Found,
    Submission,
    SubmissionError,
    read_submission,
)
from benchmarks.faultbench.system import systems
from benchmarks.faultbench.tables import comparison

from hostile import HOSTILE, storable
from kernelsight.diagnosis.registry import fault_classes
from kernelsight.events.wire import decoder

CASES = {case.name: case for case in recorded()}
FAULTY = next(case for case in CASES.values() if case.truth.fault and not case.truth.also and case.truth.culprits)
CONTROL = next(case for case in CASES.values() if case.truth.fault is None)
TWO = next(case for case in CASES.values() if case.truth.also)


def right_finding(truth):
    culprit = truth.culprits[0]
    named = Blamed("process", culprit.ids[0]) if culprit.ids else Blamed("process", "0", culprit.names[0])
    return Found(truth.fault, named)


WRONG = Found("fork_storm", Blamed("process", "4194305", "nobody"))


def document(**changes):
    whole = {"format": "faultbench-answers/1", "system": "ours", "cases": {FAULTY.name: {"before": [], "end": []}}}
    return json.dumps(whole | changes).encode()


def with_finding(**changes):
    finding = {"fault": "fork_storm", "culprit": {"kind": "process", "id": "7"}} | changes
    return document(cases={FAULTY.name: {"before": [], "end": [finding]}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "truncated"),
        (b"[]", "Expected `object`"),
        (b"\xff", "malformed|UTF-8"),
        (b"[" * 100_000, "nested|malformed|Expected"),
        (document(format="faultbench-answers/9"), r"\$\.format"),
        (document(system=""), r"\$\.system"),
        (document(extra=1), "unknown field `extra`"),
        (document(cases={"no such case": {"before": [], "end": []}}), "no case is called 'no such case'"),
        (document(cases={f"x{n}": {"before": [], "end": []} for n in range(9)}), "and 4 more"),
        (document(cases={FAULTY.name: {"end": []}}), "missing required field `before`"),
        (document(cases={FAULTY.name: {"before": [], "end": None}}), r"\$\.cases"),
        (with_finding(fault="no_such_fault"), rf"cases\.{FAULTY.name}\.end\[0\]\.fault: there is no class 'no_such"),
        (with_finding(culprit={"kind": "process", "id": 7}), "Expected `str`"),
        (with_finding(culprit={"kind": "process", "id": "7" * 5000}), "length <= 4096"),
        (with_finding(confidence=1.5), r"<= 1\.0"),
        (with_finding(confidence="sure"), "Expected `float"),
        (
            document(cases={FAULTY.name: {"before": [], "end": [msgspec.to_builtins(WRONG)] * 21}}),
            "length <= 20",
        ),
        (
            document(cases={FAULTY.name: {"before": [], "end": [], "during": [{"after_s": 3, "findings": []}] * 2}}),
            "a second is answered twice",
        ),
        (document(cases={FAULTY.name: {"before": [], "end": [], "during": [{"after_s": 0, "findings": []}]}}), ">= 1"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(text, message):
    with pytest.raises(SubmissionError, match=message):
        read_submission(text, CASES)


def test_a_document_that_is_too_long_is_refused_unread(monkeypatch):
    monkeypatch.setattr("benchmarks.faultbench.submission.LARGEST_BYTES", 10)
    with pytest.raises(SubmissionError, match="at most 10 are read"):
        read_submission(document(), CASES)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_names_may_be_anything_and_are_not_taken_for_a_culprit(text):
    text = storable(text)[:4096]
    finding = msgspec.to_builtins(Found(FAULTY.truth.fault, Blamed(text, text, text)))
    whole = document(cases={FAULTY.name: {"before": [], "end": [finding]}})
    scored = score_case(FAULTY, read_submission(whole, CASES).cases[FAULTY.name])
    assert scored.class_right
    assert not scored.culprit_right


def test_class_and_culprit_of_the_first_finding_count():
    right = right_finding(FAULTY.truth)
    scored = score_case(FAULTY, CaseAnswer([], [right, WRONG]))
    assert scored.right
    assert scored.beside == 1
    assert not score_case(FAULTY, CaseAnswer([], [WRONG, right])).both_right
    half = [msgspec.structs.replace(right, culprit=WRONG.culprit)]
    assert score_case(FAULTY, CaseAnswer([], half)).class_right
    assert not score_case(FAULTY, CaseAnswer([], half)).both_right


def test_class_and_culprit_must_be_of_one_finding():
    right = right_finding(TWO.truth), right_finding(TWO.truth.also[0])
    crossed = [
        msgspec.structs.replace(right[0], culprit=right[1].culprit),
        msgspec.structs.replace(right[1], culprit=right[0].culprit),
    ]
    assert score_case(TWO, CaseAnswer([], crossed)).class_right
    assert score_case(TWO, CaseAnswer([], crossed)).culprit_right
    assert not score_case(TWO, CaseAnswer([], crossed)).both_right


def test_of_two_faults_both_must_be_named_and_not_among_everything_else():
    first, second = right_finding(TWO.truth), right_finding(TWO.truth.also[0])
    assert score_case(TWO, CaseAnswer([], [second, first])).right
    assert not score_case(TWO, CaseAnswer([], [first])).both_right
    assert not score_case(TWO, CaseAnswer([], [first, *[WRONG] * 4, second])).both_right


def test_a_finding_where_nothing_is_wrong_is_a_false_alarm():
    assert score_case(CONTROL, CaseAnswer([], [])).right
    assert not score_case(CONTROL, CaseAnswer([], [WRONG])).right
    assert not score_case(CONTROL, CaseAnswer([WRONG], [])).right
    early = score_case(FAULTY, CaseAnswer([WRONG], [right_finding(FAULTY.truth)]))
    assert early.both_right
    assert not early.right


def test_a_case_without_an_answer_is_neither_found_nor_clean():
    scores = score(Submission("faultbench-answers/1", "silent", {}), CASES.values())
    sums = total(scores)
    assert sums.not_answered == len(CASES)
    assert sums.right_share == sums.both_right == sums.clean_controls == 0


def test_the_first_second_with_a_right_answer_is_told():
    right = [right_finding(FAULTY.truth)]
    during = [During(2, []), During(5, right), During(4, right), During(3, [WRONG])]
    assert score_case(FAULTY, CaseAnswer([], right, during)).detected_s == 4


def test_every_true_answer_scores_as_right_and_every_class_is_one():
    answers = {
        name: CaseAnswer([], [right_finding(truth) for truth in (case.truth, *case.truth.also) if truth.fault])
        for name, case in CASES.items()
    }
    whole = msgspec.json.encode(Submission("faultbench-answers/1", "the truth", answers))
    scores = score(read_submission(whole, CASES), CASES.values())
    assert [case.case for case in scores if not case.right] == []
    assert total(scores).right_share == 1
    assert "100%" in "\n".join(comparison({"the truth": scores}))
    assert all(case.truth.right <= fault_classes().keys() for case in CASES.values())


def test_simple_rules_answer_and_are_scored(tmp_path):
    assert {"kernelsight", "loudest process", "first alert", "top by CPU", "top by I/O", "top by memory"} <= set(
        systems()
    )
    for name in ("loudest process", "saturated resource", "first alert", "kernelsight"):
        answer = systems()[name].answer(FAULTY)
        document = msgspec.json.encode(Submission("faultbench-answers/1", name, {FAULTY.name: answer}))
        scored = score_case(FAULTY, read_submission(document, CASES).cases[FAULTY.name])
        assert scored.answered
        assert name != "kernelsight" or scored.right


@pytest.mark.parametrize("as_csv", [False, True])
def test_exported_cases_hold_what_was_recorded(tmp_path, as_csv):
    assert export([FAULTY], tmp_path, as_csv=as_csv) == 1
    folder = tmp_path / FAULTY.name
    truth = json.loads((folder / "truth.json").read_text())
    assert truth["truth"]["fault"] == FAULTY.truth.fault
    assert json.loads((folder / "questions.json").read_text())["end"]["until_ns"] == FAULTY.end_ns
    events = FAULTY.events()
    if not as_csv:
        assert len(decoder().decode_lines((folder / "events.ndjson").read_bytes())) == len(events)
        return
    rows = {path.stem: [*csv.DictReader(path.read_text().splitlines(keepends=True))] for path in folder.glob("*.csv")}
    assert sum(map(len, rows.values())) == len(events)
    assert {"pid", "utime_ms", "comm"} <= rows["process_stats"][0].keys()


def bench(*arguments, stdin=None):
    command = [sys.executable, "-m", "benchmarks.faultbench", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=False)


def test_the_command_scores_a_document_and_says_what_is_wrong_with_another(tmp_path):
    answered = bench("answer", "top by CPU", FAULTY.name)
    assert answered.returncode == 0, answered.stderr
    scored = bench("score", "-", "--json", stdin=answered.stdout)
    assert scored.returncode == 1
    assert json.loads(scored.stdout)["total"]["not_answered"] == len(CASES) - 1
    refused = bench("score", "-", stdin=b"{}")
    assert refused.returncode == 2
    assert refused.stderr.startswith(b"faultbench: Object missing required field")
    absent = bench("score", str(tmp_path / "nothing.json"))
    assert absent.returncode == 2
    assert b"No such file" in absent.stderr
    assert json.loads(bench("schema").stdout)["$ref"]
