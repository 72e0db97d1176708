"""The page of an incident, and deciding on what the agent proposes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from processes import PATIENCE_S
from web_machine import SECOND
from web_serving import TOKEN, serving

sys.path.insert(0, str(Path(__file__).parents[2] / "diagnosis"))

from scenes import FROM, START, cpus, stored, used

from kernelsight.agent.acting.action import Request
from kernelsight.diagnosis.identity import process_entity
from kernelsight.surfaces.agent import actor_of

expect = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed").expect
HOSTILE = "<script>x"
WINDOW = f"/incident/{START}-{START + 30 * SECOND}"


@pytest.fixture(scope="module")
def incident(tmp_path_factory):
    """The address of a server over a machine on which somebody with a hostile name takes the CPUs."""
    hogs = [event for pid in (70, 71) for event in used(pid, HOSTILE, 900, 600, group=5, since=FROM)]
    waiting = used(13, "api", 90, 300, group=2, since=FROM)
    database = stored(tmp_path_factory.mktemp("incident") / "db", [*cpus(2), *hogs, *waiting])
    with serving(database) as address:
        yield address


def test_an_incident_has_its_path_its_claims_and_their_rows(page, incident):
    page.goto(incident + WINDOW)
    expect(page.locator(".finding h2").first).to_contain_text(HOSTILE)
    roles = page.locator(".path-picture g").evaluate_all("groups => groups.map(one => one.getAttribute('class'))")
    assert (roles[0], roles[-1]) == ("victim", "culprit")
    assert page.locator("figure polyline").count() > 0
    page.locator("figcaption a").first.click()
    expect(page.locator("main tbody tr").first).to_be_visible()
    assert page.locator("main script").count() == 0


def test_a_window_that_is_none_or_too_long_is_refused(incident):
    with httpx.Client(base_url=incident, timeout=PATIENCE_S) as client:
        assert client.get("/incident/now").status_code == 404
        assert client.get(f"/incident/{START}-{START - 1}").status_code == 400
        long = client.get(f"/incident/{START}-{START + 3_600 * SECOND}")
        assert long.status_code == 400
        assert "15 minutes or less" in long.text


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "300"])
    os.setpriority(os.PRIO_PROCESS, process.pid, 0)  # tests may run with less priority than is usual
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def proposed(tmp_path, monkeypatch, sleeper):
    """A server that offers to give a process a lower priority, and what it needs to do so."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    policy = tmp_path / "policy.toml"
    policy.write_text('mode = "approve"\n')
    policy.chmod(0o600)
    database = stored(tmp_path / "db", cpus(2))
    executor = actor_of(database, str(policy))
    target = process_entity(str(sleeper.pid), "sleep")
    step = executor.propose(Request("renice", target, "person", {}, why="it is in the way")).step
    executor.ledger.deliver()
    with serving(database, "--policy", policy, XDG_STATE_HOME=str(tmp_path / "state")) as address:
        yield address, step.action_id


def nice(process):
    return os.getpriority(os.PRIO_PROCESS, process.pid)


def until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_proposal_is_approved_and_undone_by_who_has_the_token(page, proposed, sleeper):
    address, _ = proposed
    page.goto(f"{address}/incidents?since=1h")
    assert page.locator("form[action^='/actions/']").count() == 0, "nobody decides without the token"
    page.get_by_role("link", name="Sign in").click()
    page.fill("#token", "a wrong one, of some length")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not the token")
    page.fill("#token", TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.goto(f"{address}/incidents?since=1h")
    page.get_by_role("button", name="Approve").click()
    until(lambda: nice(sleeper) > 0)
    page.get_by_role("button", name="Undo").click()
    until(lambda: nice(sleeper) == 0)
    expect(page.locator(".actions .state")).to_have_text("undone")


def test_nobody_decides_without_the_token_or_from_another_page(proposed, sleeper):
    address, name = proposed
    with httpx.Client(base_url=address, timeout=PATIENCE_S) as client:
        path, own = f"/actions/{name}/approve", {"origin": address}
        assert client.post(path, headers=own).status_code == 403
        assert client.post(path, headers={"origin": "http://evil.example"}).status_code == 421
        assert client.post(path).status_code == 421
        assert client.get(path).status_code == 405
        signed_in = client.post("/sign-in", data={"token": TOKEN, "back": "//evil.example"}, headers=own)
        assert signed_in.headers["location"] == "/"
        cookie = signed_in.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert client.post(path, headers=own).status_code == 403, "a form carries a word of its page"
        assert client.post(path, data={"word": "x"}, headers=own).status_code == 403
    assert nice(sleeper) == 0


_THIEF = """
import http.client, re, sys, urllib.parse
host, path, cookie = sys.argv[1:]
connection = http.client.HTTPConnection(host)
headers = {"Cookie": cookie, "Origin": f"http://{host}"}
connection.request("GET", "/incidents?since=1h", headers=headers)
word = re.search(r'name="word" value="([^"]+)"', connection.getresponse().read().decode())[1]
connection.request("POST", path, urllib.parse.urlencode({"word": word}), headers)
print(connection.getresponse().status)
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="root alone becomes another user")
def test_a_cookie_that_another_user_got_hold_of_decides_nothing(proposed, sleeper):
    """Browsers send it to every server at 127.0.0.1, whatever its port."""
    address, name = proposed
    with httpx.Client(base_url=address, timeout=PATIENCE_S) as client:
        signed_in = client.post("/sign-in", data={"token": TOKEN}, headers={"origin": address})
        cookie = signed_in.headers["set-cookie"].partition(";")[0]
        host = address.removeprefix("http://")
        thief = ["/usr/bin/python3", "-c", _THIEF, host, f"/actions/{name}/approve", cookie]
        ran = subprocess.run(thief, user=65534, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        assert ran.stdout.strip() == "403", ran.stderr
    assert nice(sleeper) == 0


def test_tokens_cannot_be_tried_out(proposed):
    address, _ = proposed
    with httpx.Client(base_url=address, timeout=PATIENCE_S) as client:
        own = {"origin": address}
        answers = [client.post("/sign-in", data={"token": f"wrong {number}"}, headers=own) for number in range(10)]
        assert {answer.headers["location"] for answer in answers} == {"/sign-in?wrong=1"}
        right = client.post("/sign-in", data={"token": TOKEN}, headers=own)
        assert right.headers["location"] == "/sign-in?wrong=1"
