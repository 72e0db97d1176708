"""A model that investigates: on the wire, with its tools, and with what it claims held against the store."""

import json

import pytest
from server import KEY, MODEL, Breaks, Fails, Hangs, Raw, Says, answers, calls, signature
from story import WINDOW

from kernelsight.agent.budget import Budget
from kernelsight.diagnosis.check import check

SINCE = "2026-09-21T14:13:20Z"


def culprit(pid="70", name="crunch"):
    return {"kind": "process", "id": pid, "name": name}


def finding(*path, **changes):
    found = {
        "fault": "cpu_saturation",
        "culprit": culprit(),
        "victims": [culprit("12", "web")],
        "since": SINCE,
        "confidence": 0.9,
        "path": [{"claim": claim, "evidence": list(refs)} for claim, *refs in path],
        "refuted_by": "web still waits when crunch is stopped",
        "outlook": "web stays slow",
        "actions": [{"action": "renice", "target": culprit(), "text": "give crunch a lower priority"}],
    }
    return {**found, **changes}


def prove(pid, metric, how="sum"):
    return "prove", {"table": "sched_process_stats", "metric": metric, "how": how, "where": [f"pid={pid}"]}


def test_an_investigation_of_several_steps_ends_in_a_proven_finding(scripted, path):
    def conclude(body):
        waited, ran = (response["output"] for response in server_responses(body))
        assert waited["value"] == 30 * 400
        steps = (("web waited for a CPU", waited["ref"]), ("crunch ran meanwhile", ran["ref"]))
        return answers(findings=[finding(*steps)])

    server, report, told = scripted(
        calls(("tables", {}), step=1),
        calls(("diagnose", {}), step=2),
        calls(prove(12, "runqueue_ms"), prove(70, "cpu_time_ms"), step=3),
        conclude,
    )
    assert server.refusals == []
    assert not report.stopped
    assert report.doubts == ()
    found = report.diagnosis.findings[0]
    assert (found.fault, found.culprit.id) == ("cpu_saturation", "70")
    assert [step.claim for step in found.path] == ["web waited for a CPU", "crunch ran meanwhile"]
    assert [victim.name for victim in found.victims] == ["web"]
    assert check(path, report.diagnosis) == []
    assert report.proposals[0].action == "renice"
    assert report.usage.steps == 4
    assert report.usage.calls == 4
    assert report.usage.input_tokens == 4000
    assert report.usage.output_tokens == 4 * 70
    assert report.usage.cost_usd == pytest.approx((4000 * 1.50 + 280 * 9.00) / 1e6)
    assert any("prove(" in line for line in told)
    assert any("Thinking" in line for line in told)


def server_responses(body):
    return [part["functionResponse"]["response"] for part in body["contents"][-1]["parts"]]


def test_without_streaming_the_same_is_said(scripted, monkeypatch):
    monkeypatch.setenv("KERNELSIGHT_MODEL_STREAM", "0")
    server, report, _ = scripted(calls(("tables", {}), step=1), answers(limits=["nothing else"]))
    assert server.refusals == []
    assert report.limits == ("nothing else",)


def test_a_conversation_goes_on_with_all_that_was_said(scripted):
    server, report, _ = scripted(
        calls(("tables", {}), step=1),
        answers(limits=["first"]),
        calls(("diagnose", {}), ("tables", {}), step=2),
        answers(limits=["second"]),
        question="who?",
        then=["and why?"],
    )
    assert server.refusals == []
    assert report.limits == ("second",)
    said = [part.get("text", "") for content in server.requests[-1]["contents"] for part in content["parts"]]
    assert any(text.startswith("who?") for text in said)
    assert any(text.startswith("and why?") for text in said)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (("reboot", {}), "there is no tool 'reboot'"),
        (("rows", {"table": "nothing"}), "no table is called 'nothing'"),
        (("rows", {}), "table"),
        (("rows", {"table": "memory_metrics", "limit": 10_000}), "<= 50"),
        (("rows", {"table": "memory_metrics", "sql": "DROP TABLE x"}), "unknown field `sql`"),
        (("rows", {"table": ["memory_metrics"]}), "Expected `str`"),
        (("rows", {"table": "memory_metrics", "since": "2026-09-21 14:00"}), "has no time zone"),
        (("rows", {"table": "memory_metrics", "where": ["1=1; DROP TABLE x"]}), "no column '1'"),
        (("prove", {"table": "memory_metrics", "metric": "mem_total_kb", "how": "max"}), "no such row has a value"),
        (("series", {"table": "sched_process", "metric": "comm"}), "not a number"),
    ],
)
def test_what_a_model_can_mend_goes_back_to_it(scripted, wanted, said):
    heard = []

    def listen(body):
        heard.extend(server_responses(body))
        return answers()

    server, report, _ = scripted(calls(wanted, step=1), listen)
    assert server.refusals == []
    assert not report.stopped
    assert said in heard[0]["error"]


def test_numbers_may_come_as_doubles(scripted):
    heard = []

    def listen(body):
        heard.extend(server_responses(body))
        return answers()

    scripted(calls(("rows", {"table": "sched_process_stats", "limit": 2.0}), step=1), listen)
    assert len(heard[0]["output"]["rows"]) == 2


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ([("it is the moon",)], "it cites nothing"),
        ([("crunch ran", "e99")], "there is no evidence 'e99'"),
        ([("crunch ran for 9000 s", "e1")], "the rows do not show 9000 s"),
        ([("crunch ran", "rows 1 to 5")], "there is no evidence"),
        ([("crunch ran", "e²")], "there is no evidence"),
    ],
)
def test_what_is_not_shown_is_a_doubt_and_no_answer(scripted, claims, why):
    answer = [{"claim": claim, "evidence": list(refs)} for claim, *refs in claims]
    _, report, _ = scripted(calls(prove(70, "cpu_time_ms"), step=1), answers(answer), question="who?")
    assert report.answer == ()
    assert any(why in doubt.why for doubt in report.doubts)


def test_a_number_that_the_rows_show_may_be_rounded(scripted):
    _, report, _ = scripted(
        calls(prove(70, "cpu_time_ms"), step=1),
        answers([{"claim": "crunch ran for 27 s", "evidence": ["e1"]}]),
        question="who?",
    )
    assert [step.claim for step in report.answer] == ["crunch ran for 27 s"]
    assert report.answer[0].evidence[0].value == 27_000


def test_a_culprit_that_is_in_none_of_the_cited_rows_is_no_finding(scripted):
    wrong = finding(("web waited", "e1"), culprit=culprit("1", "systemd"))
    _, report, _ = scripted(calls(prove(12, "runqueue_ms"), step=1), answers(findings=[wrong]))
    assert "systemd" not in [one.culprit.name for one in report.diagnosis.findings]
    assert any("systemd is in none of the rows" in doubt.why for doubt in report.doubts)


def test_an_action_on_something_else_is_dropped_and_said(scripted):
    kill = {"action": "terminate", "target": culprit("1", "crunch"), "text": "stop it"}
    wrong = finding(("crunch ran", "e1"), actions=[kill])
    _, report, _ = scripted(calls(prove(70, "cpu_time_ms"), step=1), answers(findings=[wrong]))
    assert "1" not in [proposal.target.id for proposal in report.proposals]
    assert any(doubt.claim == "terminate crunch" for doubt in report.doubts)


@pytest.mark.parametrize(
    ("action", "target", "why"),
    [
        ("rm -rf /", culprit(), "there is no such remedy"),
        ("renice", {"kind": "device", "id": "sda", "name": "sda"}, "renice is for a process or program, not for a dev"),
        ("limit_io", culprit(), "limit_io needs the parameter device"),
    ],
)
def test_an_action_that_is_no_declared_remedy_is_dropped_and_said(scripted, action, target, why):
    advice = [{"action": action, "target": target, "text": "do it"}]
    wrong = finding(("crunch ran", "e1"), actions=advice)
    _, report, _ = scripted(calls(prove(70, "cpu_time_ms"), step=1), answers(findings=[wrong]))
    assert "do it" not in [proposal.text for proposal in report.proposals]
    assert any(why in doubt.why for doubt in report.doubts)


def test_a_model_cannot_talk_a_finding_away(scripted):
    _, report, _ = scripted(answers(limits=["everything is fine"]))
    assert [one.fault for one in report.diagnosis.findings] == ["cpu_saturation"]
    assert not report.diagnosis.healthy


def test_a_model_that_blames_another_is_no_surer_than_the_diagnosis_and_comes_after_it(scripted):
    wrong = finding(("web waited", "e1"), culprit=culprit("12", "web"), confidence=1.0)
    _, report, _ = scripted(calls(prove(12, "runqueue_ms"), step=1), answers(findings=[wrong]))
    assert [one.culprit.name for one in report.diagnosis.findings] == ["crunch", "web"]


def test_a_model_is_told_the_actions_that_there_are(scripted):
    server, _, _ = scripted(answers())
    told = server.requests[0]["systemInstruction"]["parts"][0]["text"]
    assert "`renice` on a process" in told
    assert "{" not in told


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_is_busy_is_asked_again(scripted, status):
    server, report, told = scripted(Fails(status), Fails(status), answers(limits=["done"]))
    assert report.limits == ("done",)
    assert report.usage.retries == 2
    assert report.usage.steps == 1
    assert any(f"answered {status}" in line for line in told)
    assert len(server.requests) == 3


def test_a_server_says_when_to_come_back(scripted):
    server, report, _ = scripted(Fails(429, retry_delay="0.4s"), answers(limits=["done"]))
    assert report.limits == ("done",)
    assert server.times[1] - server.times[0] >= 0.4


@pytest.mark.parametrize("delay", ["\u00b2s", "soon", ".s", "-1s"])
def test_a_wait_that_cannot_be_read_is_as_long_as_after_any_failure(scripted, delay):
    _, report, _ = scripted(Fails(429, retry_delay=delay), answers(limits=["done"]))
    assert report.limits == ("done",)


def test_a_wait_beyond_the_budget_is_not_begun(scripted):
    server, report, _ = scripted(Fails(429, retry_delay="3600s"))
    assert "3600 s" in report.stopped
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (Fails(400, "bad"), "answered 400: bad"),
        (Fails(403, f"the key {KEY} is not allowed\x1b[2J"), "the key … is not allowed\\x1b[2J"),
        (Fails(404), "answered 404"),
        (Fails(307, headers={"Location": "http://127.0.0.1:9/elsewhere"}), "307"),
        (Says([{"text": "no"}], finish="SAFETY", kept=False), "ended with SAFETY"),
    ],
)
def test_what_will_not_change_is_not_asked_again(scripted, entry, said):
    server, report, _ = scripted(entry)
    assert said in report.stopped
    assert KEY not in report.stopped
    assert len(server.requests) == 1
    assert report.diagnosis.findings, "the diagnosis needs no model"


@pytest.mark.parametrize(
    "entry",
    [
        Raw(b"\x00\xff\xfe not json at all"),
        Raw(b"data: {broken\r\n\r\n"),
        Raw(b'data: {"candidates": "none"}\r\n\r\n'),
        Raw(b'data: {"candidates": []}\r\n\r\n'),
        Raw(b"data: [1, 2]\r\n\r\n"),
        Raw(b""),
        Breaks(),
        Says([{"text": "{}"}], finish="MALFORMED_FUNCTION_CALL", kept=False),
    ],
    ids=lambda entry: repr(entry)[:40],
)
def test_garbage_is_asked_for_again_and_then_given_up(scripted, entry):
    _, report, _ = scripted(entry, answers(limits=["done"]))
    assert report.limits == ("done",)
    server, report, _ = scripted(entry)
    assert "failed 5 times" in report.stopped
    assert len(server.requests) == 5


@pytest.mark.parametrize("entry", [Hangs(), Hangs({"text": "well"}), Hangs(every_s=0.05)], ids=repr)
def test_a_stream_that_hangs_costs_no_more_time_than_there_is(scripted, entry):
    _, report, _ = scripted(entry, budget=Budget(seconds=0.6))
    assert "0.6 seconds are used up" in report.stopped
    assert report.usage.seconds < 20


@pytest.mark.parametrize("text", ["certainly!", "{}", '{"answer": 7}', "[]", json.dumps({"answer": []})])
def test_an_answer_that_does_not_fit_is_sent_back(scripted, text):
    server, report, _ = scripted(Says([{"text": text, "thoughtSignature": signature("x")}]), answers(limits=["done"]))
    assert server.refusals == []
    assert report.limits == ("done",)
    assert "does not fit the schema" in server.requests[1]["contents"][-1]["parts"][0]["text"]
    _, report, _ = scripted(Says([{"text": text}]))
    assert "gave no answer that fits" in report.stopped


def test_a_model_that_never_ends_is_ended(scripted):
    def again(body):
        if body["toolConfig"]["functionCallingConfig"]["mode"] == "NONE":
            assert "last request" in body["systemInstruction"]["parts"][0]["text"]
            return answers(limits=["as far as I came"])
        return calls(("tables", {}), step=len(body["contents"]))

    server, report, _ = scripted(again, budget=Budget(steps=5, seconds=20))
    assert server.refusals == []
    assert report.limits == ("as far as I came",)
    assert len(server.requests) == 5


def test_a_model_that_does_not_heed_the_end_is_ended_too(scripted):
    server, report, _ = scripted(
        lambda body: calls(("tables", {}), step=len(body["contents"])), budget=Budget(steps=3, seconds=20)
    )
    assert report.stopped == "3 steps are used up"
    assert len(server.requests) == 3


def test_tokens_are_a_budget_too(scripted):
    _, report, _ = scripted(
        lambda body: calls(("tables", {}), step=len(body["contents"])), budget=Budget(tokens=4000, seconds=20)
    )
    assert report.stopped == "4,000 tokens are used up"
    assert report.usage.input_tokens + report.usage.output_tokens < 6000


def test_very_many_calls_at_once_are_not_all_made(scripted):
    heard = []

    def listen(body):
        heard.extend(server_responses(body))
        return answers()

    server, _, _ = scripted(calls(*[("tables", {})] * 40, step=1), listen)
    assert server.refusals == []
    assert sum("error" in response for response in heard) == 24


def test_after_a_failure_the_conversation_goes_on(scripted):
    server, report, _ = scripted(
        calls(("tables", {}), step=1), Fails(400, "bad"), answers(limits=["done"]), question="who?", then=["again"]
    )
    assert server.refusals == []
    assert report.limits == ("done",)
    assert len(server.requests[-1]["contents"]) == 1


def test_a_time_that_a_question_names_is_the_window(scripted):
    server, report, _ = scripted(answers(), question="what was at 2026-09-21 14:13:30Z?")
    assert "2026-09-21T14:13:00Z to 2026-09-21T14:14:00Z" in server.requests[0]["contents"][0]["parts"][0]["text"]
    assert report.diagnosis.window.start_ns == WINDOW.start_ns - 20 * 10**9


def test_the_model_and_the_window_are_as_asked_for(scripted, monkeypatch):
    monkeypatch.setenv("KERNELSIGHT_MODEL", "gemini-9-quark")
    server, report, _ = scripted(answers(), question="who?")
    assert report.reasoner == "gemini-9-quark" != MODEL
    assert report.usage.cost_usd is None, "no price is known"
    assert SINCE in server.requests[0]["contents"][0]["parts"][0]["text"]
    assert report.diagnosis.window.start_ns == WINDOW.start_ns
