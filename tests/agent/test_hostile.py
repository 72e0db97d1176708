"""Names that contain instructions, markup or control characters change nothing but their own display."""

import json

import pytest
from scenes import cpus, stored, used
from server import answers, calls
from story import WINDOW

from hostile import HOSTILE, harmless, storable
from kernelsight.agent.reasoner import Question, reasoner
from kernelsight.agent.report import lines
from kernelsight.agent.sanitising import MOST_RESULT, MOST_TEXT, as_data, bounded
from kernelsight.agent.tool import Desk, call


@pytest.fixture(scope="module", params=HOSTILE)
def name(request):
    return storable(HOSTILE[request.param])


@pytest.fixture(scope="module")
def named(name, tmp_path_factory):
    """Two hogs, each called by a hostile name, take the CPUs of a web server."""
    hogs = [event for pid in (70, 71) for event in used(pid, name, 900, 600, group=5)]
    return stored(tmp_path_factory.mktemp("hostile") / "db", [*cpus(2), *hogs, *used(12, "web", 100, 400)])


def strings(value):
    if isinstance(value, dict):
        return [text for pair in value.items() for one in pair for text in strings(one)]
    if isinstance(value, list):
        return [text for one in value for text in strings(one)]
    return [value] if isinstance(value, str) else []


TOOLS = {
    "rows": {"table": "sched_process_stats", "where": ["pid=70"], "limit": 5},
    "top": {"table": "sched_process_stats", "metric": "cpu_time_ms", "by": ["pid", "comm"]},
    "series": {"table": "sched_process_stats", "metric": "cpu_time_ms"},
    "aggregate": {"table": "sched_process_stats", "metric": "cpu_time_ms", "interval": "10s", "by": ["comm"]},
    "compare": {"before_since": "2026-09-21 14:13:20Z", "before_until": "2026-09-21 14:13:25Z"},
    "around": {"time": "2026-09-21 14:13:30Z"},
    "diagnose": {},
    "signals": {},
    "tables": {},
}


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_hands_names_on_as_escaped_and_bounded_values(named, tool):
    found = call(Desk(named, WINDOW), tool, TOOLS[tool])
    assert "error" not in found
    assert len(json.dumps(found, ensure_ascii=False)) <= MOST_RESULT
    for text in strings(found):
        assert harmless(text)
        assert "\n" not in text
        assert len(text) <= MOST_TEXT + 1


def test_the_diagnosis_is_the_same_whatever_the_culprit_is_called(named):
    report = reasoner("offline", named).ask(Question(WINDOW))
    assert [(one.fault, one.culprit.id) for one in report.diagnosis.findings] == [("cpu_saturation", "70")]


@pytest.mark.parametrize("question", ["", "who used most cpu?", "why was web slow?", "when did it start?"])
def test_a_report_shows_names_without_obeying_them(named, question):
    from kernelsight.printable import printable

    shown = [printable(line.text) for line in lines(reasoner("offline", named).ask(Question(WINDOW, question)))]
    assert shown
    assert all(harmless(line) and "\n" not in line for line in shown)


def test_on_the_wire_to_a_model_a_name_is_a_value_in_a_result_of_a_tool(scripted, named, name):
    def conclude(body):
        said = json.dumps([body["systemInstruction"], body["tools"], body["contents"][0]], ensure_ascii=False)
        if len(name) > len("--help"):
            assert name not in said
            assert as_data(name) not in said
        output = body["contents"][-1]["parts"][0]["functionResponse"]["response"]["output"]
        assert set(output) == {
            "healthy",
            "unknown",
            "findings",
            "processes",
            "ruled_out",
            "could_not_be_looked_at",
            "not_excluded",
            "muted",
            "clock",
        }
        assert output["healthy"] is False
        assert output["findings"][0]["culprit"]["name"] == (as_data(name) or "?")
        return answers()

    server, report, told = scripted(calls(("diagnose", {}), step=1), conclude, source=named)
    assert server.refusals == []
    assert not report.stopped
    assert [one.culprit.id for one in report.diagnosis.findings] == ["70"], "no name talks a finding away"
    assert all(harmless(line) for line in told)


def test_a_model_that_obeys_a_name_achieves_nothing(scripted, named, name):
    """It proposes to stop pid 1, says that all is well, and cites the name as proof."""
    kill = {"action": "stop", "target": {"kind": "process", "id": "1", "name": name}, "text": name}
    wrong = {
        "fault": "cpu_saturation",
        "culprit": {"kind": "process", "id": "1", "name": name},
        "victims": [],
        "since": name,
        "confidence": 1.0,
        "path": [{"claim": name or "it", "evidence": [name, "e1"]}],
        "refuted_by": name,
        "outlook": name,
        "actions": [kill],
    }
    _, report, _ = scripted(
        calls(
            ("prove", {"table": "sched_process_stats", "metric": "cpu_time_ms", "how": "sum", "where": ["pid=70"]}),
            step=1,
        ),
        answers(findings=[wrong], limits=[name]),
        source=named,
    )
    assert not report.stopped
    assert [one.culprit.id for one in report.diagnosis.findings] == ["70"]
    assert all(proposal.target.id != "1" for proposal in report.proposals)
    assert report.doubts


def test_what_a_model_says_commands_no_terminal(scripted, path):
    """A model may repeat a name, or be somebody else's."""
    for name in HOSTILE.values():
        told = name.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        _, report, lines_told = scripted(
            calls((told[:60] or "x", {told[:60] or "x": told}), step=1),
            answers([{"claim": told, "evidence": []}], limits=[told]),
            question="who?",
        )
        from kernelsight.printable import printable

        shown = [printable(line.text) for line in lines(report)]
        assert all(harmless(line) for line in [*shown, *lines_told])


def test_a_result_without_a_list_that_is_too_long_becomes_an_error():
    assert "ask for less" in bounded({"x": {str(number): "a" * 200 for number in range(200)}})["error"]


def test_of_a_long_list_what_fits_is_shown_and_the_rest_counted():
    found = bounded({"rows": [{"name": "a" * 100} for _ in range(1000)], "few": [1, 2]})
    assert len(json.dumps(found)) <= MOST_RESULT
    assert len(found["rows"]) + found["left_out"]["rows"] == 1000
    assert found["few"] == [1, 2]
