"""The first sentence of a report: who does what since when, what that is to whom, how sure; and its short lines."""

import msgspec
import pytest
from readable import unreadable

from kernelsight.diagnosis.model import Bounds, Diagnosis, Entity, Evidence, Finding, Identity, Step
from kernelsight.diagnosis.summary import Claim, finding_sentence, sentence, summary
from kernelsight.moments import in_utc

END = 1_790_000_060_000_000_000
SH, OTHER, NGINX = Entity("process", "41", "sh"), Entity("process", "42", "sh"), Entity("process", "7", "nginx")
WHO = Identity(SH, uid=0, parents=(Entity("process", "9", "cron"),))
FOUND = Finding(
    "cpu_saturation", SH, (NGINX,), END - 22_000_000_000, 0.95, (), "", (), outlook="others go on waiting",
    does="uses 98 % of a CPU", harm="waits 400 ms of every second for a CPU",
)  # fmt: skip

WHOLE = (
    "sh 41 (root, started by cron 9) uses 98 % of a CPU since 14:13:58 UTC; nginx (7) waits 400 ms of every second for "
    "a CPU. 95 % sure."
)


def diagnosis(*findings, **more):
    return Diagnosis(Bounds(END - 60_000_000_000, END), False, findings, identities=(WHO,), **more)


def said(**changes):
    finding = msgspec.structs.replace(FOUND, **changes)
    with in_utc():
        return finding_sentence(diagnosis(finding), finding)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, WHOLE),
        ({"began_before": True, "detail": "1.9 CPUs"}, " since 14:13:58 UTC or before: 1.9 CPUs; nginx (7) waits"),
        ({"onset_ns": END - 86_400_000_000_000}, " since 2026-09-20 14:14:20 UTC; "),
        ({"fellows": (OTHER,), "does": "use both CPUs"}, " sh (pids 41, 42; root, started by cron 9) use both CPUs "),
        ({"victims": (NGINX, OTHER, Entity("process", "8", "nginx"))}, "for a CPU, likewise sh (42) and nginx (8). "),
        ({"victims": (SH,)}, "; it waits 400 ms of every second for a CPU. "),
        ({"victims": (SH, OTHER), "fellows": (OTHER,)}, "; one of them waits 400 ms of every second for a CPU. "),
        ({"victims": ()}, "; others go on waiting. 95 % sure."),
        ({"does": "", "harm": ""}, "causes cpu saturation since"),
        ({"culprit": Entity("mount", "/srv", "/srv"), "does": "is full"}, "file system /srv is full since"),
    ],
)  # fmt: skip
def test_a_sentence_says_who_does_what_to_whom_since_when_and_how_sure(changes, expected):
    assert expected in said(**changes)


def test_the_first_line_is_of_the_surest_finding_and_counts_the_others():
    assert sentence(diagnosis(FOUND, FOUND, FOUND)).endswith(" 95 % sure. And 2 more faults.")
    assert sentence(Diagnosis(Bounds(0, 1), True, ())).startswith("Healthy: ")
    assert sentence(Diagnosis(Bounds(0, 1), None, (), unknown=("nothing was recorded",))).startswith("Not known: ")


@pytest.mark.parametrize(
    ("text", "evidence", "line"),
    [
        ("web waited 3.9 s of 14 s", {"value": 3931.0, "baseline": 82.4}, "web waited 3.9 s of 14 s (before 82.4 ms)"),
        ("web waited", {"value": 3931.0, "baseline": 82.4}, "web waited (runqueue 3.93 s, before 82.4 ms)"),
        ("web waited 4 s", {"value": 3931.0}, "web waited 4 s"),
    ],
)
def test_a_claim_is_one_line_with_its_number_and_what_it_was_before(text, evidence, line):
    row = Evidence("sched_process_stats", 1, 2, "runqueue_ms", "sum", row_ids=(1,), **evidence)
    [claim] = summary(diagnosis(msgspec.structs.replace(FOUND, path=(Step(text, (row,)),)))).findings[0].claims
    assert isinstance(claim, Claim)
    assert claim.line == line
    assert unreadable([claim.line]) == []


def test_very_many_fellows_and_victims_make_no_long_sentence():
    many = tuple(Entity("process", str(pid), f"w{pid % 7}") for pid in range(1000, 3000))
    text = said(fellows=many, victims=(NGINX, *many, *(Entity("process", str(n), f"v{n}") for n in range(50))))
    assert len(text) < 300
    assert "and 47 more" in text
