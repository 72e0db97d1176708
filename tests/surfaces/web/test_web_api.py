"""The JSON API of the web pages, and what stands before it."""

from __future__ import annotations

import asyncio
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import httpx
import pytest
from processes import PATIENCE_S, kernelsight
from web_machine import BUSY, END, HOSTILE, LENGTH, RANGE, START
from web_serving import TOKEN, serving

from kernelsight.surfaces.mcp.answers import Answers
from kernelsight.surfaces.web import deciding, sessions
from kernelsight.surfaces.web.application import Application
from kernelsight.surfaces.web.desk import Desk
from kernelsight.surfaces.web.endpoint import endpoints
from kernelsight.surfaces.web.live import VIEWERS, Live
from kernelsight.surfaces.web.peers import user_of
from kernelsight.surfaces.web.sessions import Sessions


def apart(work):
    """Run something in a loop of its own, in a thread of its own: the browser of other tests has one in this thread."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, work).result(60)


def chart(client, name, **asked):
    answer = client.get(f"/api/charts/{name}", params={**RANGE, **asked})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    return told, dict(zip(told["labels"], told["values"], strict=True))


def test_a_chart_has_every_sample_of_a_short_range_as_the_store_holds_them(client):
    told, lines = chart(client, "cpu")
    assert len(told["times_ms"]) == LENGTH
    assert told["times_ms"][0] * 1e6 == START
    assert lines["user"][0] is None  # nothing is known before the first sample
    assert all(
        value == pytest.approx(90 if second in BUSY else 20) for second, value in enumerate(lines["user"]) if second
    )


def test_rates_and_levels_are_in_bytes(client):
    _, disk = chart(client, "disk")
    assert disk["vda read"][5] == 2_000 * 512
    assert disk["vda write"][5] == 4_000 * 512
    _, memory = chart(client, "memory")
    assert memory["used"][100] == pytest.approx((2_000_000 + 100_000) * 1024, rel=1e-4)


def test_a_long_range_has_means_over_steps(client):
    told, lines = chart(client, "cpu", since=str(START - 86_400 * 10**9), points=100)
    assert told["step_ns"] == 1_200 * 10**9
    assert len(told["times_ms"]) <= 2
    told, lines = chart(client, "cpu", since=str(END - 7_200 * 10**9), points=720)
    assert told["step_ns"] == 10 * 10**9
    by_time = dict(zip(told["times_ms"], lines["user"], strict=True))
    assert by_time[(START + BUSY.start * 10**9) / 1e6 + 10_000] == pytest.approx(90)


def test_names_are_made_printable(client):
    _, lines = chart(client, "network")
    assert set(lines) == {f"{HOSTILE[:15]} received", f"{HOSTILE[:15]} sent"}


def test_what_cannot_be_asked_is_said(client):
    for nothing in ("/api/charts/nothing", "/api/charts/a/b", "/api/", "/api/nothing"):
        answer = client.get(nothing)
        assert answer.status_code == 404
        assert answer.json()["error"]
    for wrong in ({"since": "soon"}, {"points": "1"}, {"points": "many"}, {"what": "1"}, {"until": "1970-01-01"}):
        answer = client.get("/api/charts/cpu", params=wrong)
        assert answer.status_code == 400, wrong
        assert answer.json()["error"]


def test_the_api_describes_itself(client):
    described = client.get("/api/openapi.json").json()
    assert set(described["paths"]) == set(endpoints())
    for path in described["paths"].values():
        assert path["get"]["summary"]
        assert all(parameter["description"] for parameter in path["get"]["parameters"])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost"}, 200),
        ({"host": "[::1]:7710"}, 200),
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example"}, 421),
        ({"host": ""}, 421),
        ({"origin": "http://evil.example"}, 421),
        ({"origin": "null"}, 421),
        ({"origin": "http://["}, 421),
        ({"host": "[::1"}, 421),
        ({"host": "localhost/x"}, 421),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 421),
        ({"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"}, 200),
    ],
)
def test_only_those_who_name_this_server_are_answered(client, headers, status):
    answer = client.get("/api/charts", headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-security-policy"].startswith("default-src 'self';")
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_link_from_elsewhere_opens_a_page_but_asks_nothing(client):
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/", headers=headers).status_code == 200
    for asks in ("/sql?q=SELECT 1", "/sql?%71=SELECT 1", "/sql?x=1&q", "/api/charts"):
        assert client.get(asks, headers=headers).status_code == 421, asks


@pytest.mark.parametrize("number", ["9" * 5_000, str(2**63), str(2**64), "1e400", "-1", "nan", "\u0664", "%00", "%ff"])
def test_absurd_numbers_are_refused_and_fail_nowhere(client, number):
    for path in (
        f"/rows/process_stats?ids={number}",
        f"/incident/{number}-{number}",
        f"/processes/{number}",
        f"/?since={number}",
        f"/api/moment?at={number}",
        f"/api/marks?most={number}",
        f"/api/charts/cpu?points={number}",
    ):
        assert client.get(path).status_code in {400, 404}, path
    for of in (number, "0x" + 4_000 * "f"):
        assert client.get("/api/charts/process-cpu", params={"of": of}).status_code in {200, 400}, of


@pytest.mark.parametrize("statement", ["SELECT 1\0", "SELECT CAST(x'ff' AS TEXT)", "SELECT 1 WHERE ?", "SELECT 1e999"])
def test_an_odd_statement_is_answered_or_refused(client, statement):
    answer = client.get("/sql", params={"q": statement})
    assert answer.status_code == 200
    assert ("problem" in answer.text) is (statement != "SELECT 1e999")


def test_a_form_that_does_not_arrive_is_answered(tmp_path, monkeypatch):
    """Connections are few: one whose body never ends would be held for good."""
    monkeypatch.setattr(deciding, "_FORM_S", 0.01)
    application = Application(str(tmp_path / "db"), 1.0, Sessions(TOKEN), None)
    scope = {
        "type": "http", "method": "POST", "path": "/sign-in", "root_path": "", "query_string": b"", "headers": [],
        "scheme": "http", "http_version": "1.1", "server": ("127.0.0.1", 1), "client": ("127.0.0.1", 2),
    }  # fmt: skip
    sent = []

    async def never():
        await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    apart(asyncio.wait_for(application(scope, never, send), PATIENCE_S))
    assert sent[0]["status"] == 303


def test_who_goes_on_trying_tokens_shuts_others_out_for_a_minute_at_most(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(sessions, "time", SimpleNamespace(monotonic=lambda: now[0]))
    known = Sessions(TOKEN)
    for second in range(60):
        now[0] = float(second)
        assert known.begin("wrong", os.geteuid) is None
    assert known.begin(TOKEN, os.geteuid) is None
    now[0] = 60.5
    assert known.begin(TOKEN, os.geteuid) is not None


@pytest.mark.parametrize(
    ("family", "host", "called"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET6, "::1", "::1"),
        (socket.AF_INET6, "::ffff:127.0.0.1", "127.0.0.1"),
    ],
)
def test_the_kernel_says_whose_a_connection_is_while_it_is_open(family, host, called):
    with socket.socket(family) as server, socket.socket(family) as client:
        try:
            server.bind((host, 0))
        except OSError:
            pytest.skip("there is no IPv6 here")
        server.listen()
        client.connect(server.getsockname()[:2])
        accepted, peer = server.accept()
        with accepted:
            ends = (called, peer[1]), (called, server.getsockname()[1])
            assert user_of(*ends) == os.geteuid()
            client.close()
            assert user_of(*ends) is None
    assert user_of(("192.0.2.1", 1), ("192.0.2.2", 2)) is None


def test_viewers_who_left_before_they_were_told_anything_take_no_place(tmp_path):
    live = Live(Desk(str(tmp_path / "db")), Answers(1.0))

    async def leave():
        for _ in range(2 * VIEWERS):
            await (await live.stream(["cpu"])).aclose()
        told = await live.stream(["cpu"])
        assert await anext(told) == b": live\n\n"
        await told.aclose()

    apart(leave())


def test_nothing_is_changed_by_a_get_and_no_other_method_is_known(client):
    for path in ("/", "/api/charts"):
        assert client.post(path, headers={"origin": str(client.base_url).rstrip("/")}).status_code == 405
        assert client.post(path).status_code == 421


def test_a_reader_that_is_used_again_serves_whoever_asks_now(client):
    """Each answer has its own time; the time of an earlier one ends nothing."""
    for name in 5 * ("cpu", "pressure", "network"):
        assert client.get(f"/api/charts/{name}", params=RANGE).status_code == 200


def test_another_address_wants_the_token_for_everything(database):
    with (
        serving(database, "--host", "0.0.0.0", "--allow-host", "127.0.0.1") as address,
        httpx.Client(base_url=address, timeout=PATIENCE_S) as client,
    ):
        assert client.get("/api/charts").status_code == 401
        assert client.get("/").headers["location"] == "/sign-in"
        assert client.get("/sign-in").status_code == 200
        assert client.get("/api/charts", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
        assert client.get("/api/charts", headers={"authorization": "Bearer x"}).status_code == 401


def test_another_address_is_refused_without_a_token(database):
    said = kernelsight("serve", "--host", "0.0.0.0", "--port", "1", "--db-path", database)
    assert said.returncode == 2
    assert "--token-file" in said.stderr
