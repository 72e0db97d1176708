"""`kernelsight ask` as a person types it: one question or a conversation, with a model or without."""

import json
import re
import sys
from pathlib import Path

import pytest
from processes import environment, kernelsight

sys.path.insert(0, str(Path(__file__).parents[1] / "agent"))
sys.path.insert(0, str(Path(__file__).parents[1] / "diagnosis"))
sys.path.insert(0, str(Path(__file__).parents[1]))

from scenes import END, START, cpus, stored, used
from server import KEY, Fails, answers, calls, serving

from hostile import HOSTILE, harmless, storable

WINDOW = ("--since", START, "--until", END)
NO_KEY = {"GEMINI_API_KEY": "", "GOOGLE_API_KEY": "", "NO_PROXY": "127.0.0.1"}


def story(name):
    hogs = [event for pid in (70, 71) for event in used(pid, name, 900, 600, group=5)]
    return [*cpus(2), *hogs, *used(12, "web", 100, 400)]


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return stored(tmp_path_factory.mktemp("ask") / "db", story("crunch"))


def asked(database, *arguments, env=(), **options):
    return kernelsight(
        "ask", "--db-path", database, *WINDOW, *arguments, env=environment(**{**NO_KEY, **dict(env)}), **options
    )


def with_model(server):
    return {"GEMINI_API_KEY": KEY, "GOOGLE_GEMINI_BASE_URL": server.url}


def test_without_a_key_the_diagnosis_answers(database):
    said = asked(database, "why", "was", "web", "slow?")
    assert said.returncode == 0, said.stderr
    assert "web was ready to run and had no CPU for 12 s" in said.stdout
    assert re.search(r"2 . crunch \(pids 70, 71\) use ", said.stdout)
    shown = "sum of runqueue_ms 12 s in 30 rows, 2026-09-21T14:13:20+00:00 to 2026-09-21T14:13:49+00:00"
    assert f"sched_process_stats: {shown}" in said.stdout
    assert said.stderr == ""


def test_without_a_question_it_investigates(database):
    assert re.search(r"2 . crunch \(pids 70, 71\) use ", asked(database).stdout)


def test_what_is_wrong_is_mentioned_beside_another_answer(database):
    said = asked(database, "who used most cpu?").stdout.splitlines()
    assert said[0] == "1. crunch (70): cpu time 27 s, the most of all"
    assert re.match(r"In that time: 2 . crunch \(pids 70, 71\) use ", said[-1])


def test_json_is_the_report(database):
    report = json.loads(asked(database, "who used most cpu?", "--json").stdout)
    assert report["reasoner"] == "offline"
    assert report["answer"][0]["evidence"][0]["row_ids"]
    assert report["diagnosis"]["findings"][0]["fault"] == "cpu_saturation"


def test_a_conversation_is_one_question_a_line(database):
    lines = "who used most cpu?\n\nand web?\nwhy at 25:00?\nthe meaning of life\nquit\nwho used most memory?\n"
    said = asked(database, "--chat", input=lines)
    assert said.returncode == 0
    assert "crunch (70): cpu time 27 s" in said.stdout
    assert "1. web (12): cpu time 3 s" in said.stdout
    assert "did not understand" in said.stdout
    assert "did you mean" in said.stdout
    assert "25:00" in said.stderr
    assert "memory" not in said.stdout.replace("free memory", "").replace("most memory", "").replace("much memory", "")


def test_with_a_key_the_model_answers_and_says_what_it_costs(database):
    proof = {"table": "sched_process_stats", "metric": "cpu_time_ms", "how": "sum", "where": ["pid=70"]}
    claims = [
        {"claim": "crunch ran for 27 s", "evidence": ["e1"]},
        {"claim": "it does so each night", "evidence": []},
    ]
    with serving(calls(("prove", proof), step=1), answers(claims)) as server:
        said = asked(database, "what did crunch do?", env=with_model(server))
        assert server.refusals == []
    assert said.returncode == 0, said.stderr
    assert "1. crunch ran for 27 s" in said.stdout
    assert "left out:\n  it does so each night: it cites nothing" in said.stdout
    assert "gemini-3.5-flash: 2 requests, 1 calls of tools" in said.stdout
    assert [line.partition("(")[0] for line in said.stderr.splitlines()] == [
        "  … **Thinking** about step 1",
        "  … prove",
    ]


def test_a_model_that_fails_leaves_the_diagnosis_and_no_key_anywhere(database):
    with serving(Fails(403, f"{KEY} is not valid")) as server:
        said = asked(database, "what is wrong?", "--json", env=with_model(server))
        plain = asked(database, "what is wrong?", env=with_model(server))
    assert "403" in json.loads(said.stdout)["stopped"]
    assert re.search(r"2 . crunch \(pids 70, 71\) use ", plain.stdout)
    assert "The model gave no answer" in plain.stdout
    assert all(KEY not in text for text in (said.stdout, said.stderr, plain.stdout, plain.stderr))


def test_offline_means_offline(database):
    with serving(answers()) as server:
        said = asked(database, "who used most cpu?", "--offline", env=with_model(server))
        assert server.requests == []
    assert said.stdout.startswith("1. crunch")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--since", "yesterday"), "is not a time"),
        (("--max-steps", "0"), "max-steps"),
        (("--db-path", "/nowhere/at.all"), "no such database"),
    ],
)
def test_what_cannot_be_asked_is_said(database, arguments, said):
    answer = asked(database, "who?", *arguments)
    assert answer.returncode in {1, 2}
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("name", ["ansi", "newlines", "bidi", "markup", "surrogate", "long"])
def test_names_command_no_terminal(tmp_path, name):
    database = stored(tmp_path / "db", story(storable(HOSTILE[name])))
    for question in ("", "who used most cpu?"):
        said = asked(database, question)
        assert said.returncode == 0, said.stderr
        assert harmless(said.stdout)
        assert "Healthy: nobody" not in said.stdout.splitlines()
