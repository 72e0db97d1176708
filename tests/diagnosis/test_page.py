"""The page and the lines of a diagnosis draw what was measured, and whatever a name contains stays text."""

import xml.etree.ElementTree as ET

import msgspec
import pytest
from scenes import FROM, SECOND, START, cpus, stored, used

from kernelsight.agent.commands import command
from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.evidence_series import series_by_evidence
from kernelsight.diagnosis.model import Bounds, Diagnosis, Entity, Proposal, RuledOut
from kernelsight.diagnosis.page import HEIGHT, WIDTH, page
from kernelsight.diagnosis.picture import BOX_WIDTH, picture
from kernelsight.diagnosis.remedies import DROP_CACHES, MACHINE, SET_SYSCTL, TERMINATE
from kernelsight.diagnosis.report import report
from kernelsight.diagnosis.summary import considered

HOSTILE = '</p><script>alert("1")</script>'


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    hogs = [event for pid in (70, 71) for event in used(pid, HOSTILE, 900, 600, group=5, since=FROM)]
    waiting = used(13, "api", 90, 300, group=2, since=FROM)
    path = stored(tmp_path_factory.mktemp("page") / "db", [*cpus(2), *hogs, *waiting])
    diagnosis = diagnose(path, START, START + 30 * SECOND)
    assert diagnosis.findings
    return diagnosis, series_by_evidence(path, diagnosis)


def waits_of_api(diagnosis):
    """What shows that the process api waited for a CPU."""
    steps = diagnosis.findings[0].path
    return next(step.evidence[0] for step in steps if step.claim.startswith("api"))


def test_every_cited_number_has_its_course_over_the_whole_window(found):
    diagnosis, drawn = found
    cited = [e for finding in diagnosis.findings for step in finding.path for e in step.evidence]
    assert set(drawn) == set(cited)
    queued = drawn[waits_of_api(diagnosis)]
    assert queued.unit == "ms/s"
    assert queued.points[0] == (START + FROM * SECOND, 300)


def test_levels_and_gaps_are_kept_apart_in_the_bins_of_a_course(found):
    diagnosis, drawn = found
    bins = drawn[waits_of_api(diagnosis)].bins(30)
    assert bins[: FROM - 1] == [None] * (FROM - 1), "nothing was measured before"
    assert bins[-1] == 300


def test_what_a_name_contains_stays_text(found):
    written = page(*found)
    assert "<script" not in written
    assert "&lt;script&gt;" in written


def test_the_plots_of_the_page_lie_within_their_frames(found):
    written = page(*found)
    pictures = [ET.fromstring("<svg" + part.split("</svg>")[0] + "</svg>") for part in written.split("<svg")[1:]]
    lines = [line for drawn in pictures if (line := drawn.find("polyline")) is not None]
    assert lines
    for line in lines:
        points = [point.split(",") for point in line.get("points").split()]
        assert len(points) > 1
        assert all(0 <= float(x) <= WIDTH and 0 <= float(y) <= HEIGHT for x, y in points)


def test_the_path_is_drawn_from_who_suffers_to_the_culprit(found):
    diagnosis, _ = found
    finding = diagnosis.findings[0]
    drawn = picture(diagnosis, finding)
    assert [box.role for box in drawn.boxes] == ["victim", *("claim" for _ in finding.path), "culprit"]
    assert len(drawn.arrows) == len(drawn.boxes) - 1
    assert all(0 <= box.x <= drawn.width - BOX_WIDTH and 0 <= box.y <= drawn.height - box.height for box in drawn.boxes)
    assert "api" in " ".join(drawn.boxes[0].lines)
    assert any(line.isprintable() for box in drawn.boxes for line in box.lines)
    many = msgspec.structs.replace(finding, path=finding.path * 3)
    assert len({(box.x, box.y) for box in picture(diagnosis, many).boxes}) == 2 + 3 * len(finding.path)


def test_the_lines_draw_the_course_under_its_claim(found):
    lines = list(report(*found, verbose=True))
    at = next(i for i, line in enumerate(lines) if line.style == "course")
    assert lines[at - 1].style == "quiet"
    assert "█" in lines[at].text
    assert "ms/s" in lines[at].text


def test_without_courses_the_lines_are_the_same_but_for_the_drawings(found):
    diagnosis, drawn = found
    undrawn = [line for line in report(diagnosis, drawn, verbose=True) if line.style != "course"]
    assert list(report(diagnosis, verbose=True)) == undrawn


def test_what_was_considered_is_one_line_for_each_fault_and_name():
    shells = [Entity(kind, name, "sh") for kind, name in (("process", "7"), ("process", "8"), ("program", "sh"))]
    ruled_out = [
        *(RuledOut("fork_storm", one, 0.2, ("many begin", "they are short", "nobody waits")) for one in shells * 2),
        RuledOut("cpu_saturation", shells[0], 0.9, (), effect_of="lock_contention by sh"),
    ]
    diagnosis = Diagnosis(Bounds(START, START + SECOND), True, (), ruled_out=tuple(ruled_out))
    assert considered(diagnosis) == [
        "fork storm by sh (7) and 2 more (20 %): does not hold: many begin; they are short, and 1 more",
        "cpu saturation by sh (7) (90 %): an effect of lock contention by sh",
    ]


@pytest.mark.parametrize(
    ("proposal", "typed"),
    [
        (Proposal("renice", Entity("process", "70", "crunch"), "give way"), "kernelsight agent do renice 70"),
        (Proposal("limit_cpu", Entity("cgroup", "/a b", "/a b"), "a quota"), "kernelsight agent do limit_cpu '/a b'"),
        (TERMINATE.on(Entity("process", "70", "x"), "end it"), "kernelsight agent do terminate 70"),
        (
            Proposal("restart", Entity("process", "70", "x"), "restart it", cgroup="/system.slice/x.service"),
            "systemctl restart x.service",
        ),
        (
            SET_SYSCTL.on(MACHINE, "use ports again sooner", name="net.ipv4.tcp_tw_reuse", value=1),
            "kernelsight agent do sysctl machine --set name=net.ipv4.tcp_tw_reuse --set value=1",
        ),
        (DROP_CACHES.on(MACHINE, "drop dentries", what=2), "kernelsight agent do drop_caches machine --set what=2"),
        (
            Proposal("look", Entity("mount", "/a$(id)", "/a$(id)"), "make room"),
            "du -xh -d 2 '/a$(id)' | sort -h | tail -n 20",
        ),
        (Proposal("look", Entity("program", "a.b", "a.b"), "see"), r"pgrep -ax 'a\.b'"),
        (Proposal("look", Entity("listener", "0.0.0.0:80", "0.0.0.0:80"), "see"), "ss -ltunp sport = :80"),
        (Proposal("look", Entity("mount", "/a\nb", "/a\nb"), "a name that cannot be typed"), ""),
        (Proposal("look", Entity("interface", "-x", "-x"), "a name that would be an option"), ""),
    ],
)
def test_a_proposal_is_a_command_that_can_be_pasted(found, proposal, typed):
    finding = msgspec.structs.replace(found[0].findings[0], actions=(proposal,))
    assert command(finding, proposal) == typed
    lines = [line.text for line in report(Diagnosis(found[0].window, False, (finding,)), command=command)]
    at = next(place for place, line in enumerate(lines) if line.startswith("  to do:"))
    assert not typed or lines[at + 1].strip() == typed
