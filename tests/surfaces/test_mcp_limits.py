"""The MCP server bounds what a call, a connection and a client may cost, and whom it takes for itself."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
import uvicorn
from click.testing import CliRunner
from mcp import Client
from processes import PATIENCE_S, until

sys.path.insert(0, str(Path(__file__).parents[1] / "diagnosis"))

from scenes import cpus, stored

from kernelsight.agent import tool as agent_tool
from kernelsight.query.source import opened
from kernelsight.surfaces.cli.mcp import mcp
from kernelsight.surfaces.mcp import connections, guard
from kernelsight.surfaces.mcp.answers import Answers
from kernelsight.surfaces.mcp.guard import Guard, bare_host
from kernelsight.surfaces.mcp.server import server
from kernelsight.time_limit import OverTimeError

TOKEN = "a-token-for-the-tests-alone"
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) AS n FROM n"


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    return stored(tmp_path_factory.mktemp("limits") / "db", cpus(2))


# --- calls -----------------------------------------------------------------------------------------


def endless(desk):
    """A tool that SQLite alone would never end."""
    with opened(desk.source) as reader:
        return {"rows": reader.query(ENDLESS)}


@pytest.fixture
def with_endless(monkeypatch):
    """A real tool among the real ones, so that the official client can call it."""
    known = dict(agent_tool.tools())
    nothing = type("nothing", (agent_tool.msgspec.Struct,), {})
    known["endless"] = agent_tool.Tool("endless", "Never ends.", nothing, endless)
    monkeypatch.setattr(agent_tool, "tools", lambda: known)


async def idle(answers):
    """Wait until no thread works any more."""
    with anyio.fail_after(PATIENCE_S):
        while answers.busy:  # noqa: ASYNC110 - threads set no event of this loop
            await anyio.sleep(0.01)


def test_a_call_ends_at_its_limit_with_an_error_and_the_next_is_answered(database, with_endless):
    async def ask():
        async with Client(server(str(database), 0.5)) as client:
            began = time.monotonic()
            late = await client.call_tool("endless", {})
            took_s = time.monotonic() - began
            return late, took_s, await client.call_tool("nothing there", {})

    with_limit, took_s, next_one = anyio.run(ask)
    assert with_limit.is_error
    assert "no answer within 0.5 s, the time limit" in with_limit.content[0].text
    assert 0.4 < took_s < PATIENCE_S / 2
    assert "there is no tool" in next_one.content[0].text


def test_a_call_that_is_cancelled_stops_working(database):
    """Its thread ends, and gives its place back: SQLite was interrupted."""
    seen = threading.Event()

    def work():
        with opened(str(database)) as reader:
            seen.set()
            return reader.query(ENDLESS)

    async def run():
        answers = Answers(limit_s=300)
        async with anyio.create_task_group() as group:
            group.start_soon(answers.answer, work)
            assert await anyio.to_thread.run_sync(seen.wait, PATIENCE_S)
            assert answers.busy == 1
            group.cancel_scope.cancel()
        await idle(answers)

    anyio.run(run)


def test_a_request_that_the_client_cancels_stops_working(database, with_endless, monkeypatch):
    made = []
    monkeypatch.setattr(
        "kernelsight.surfaces.mcp.server.Answers", lambda limit_s: made.append(Answers(limit_s)) or made[0]
    )

    async def ask():
        async with Client(server(str(database), 300)) as client:
            with anyio.move_on_after(1.0):
                await client.call_tool("endless", {})
            await idle(made[0])
            return await client.call_tool("nothing there", {})

    assert anyio.run(ask).is_error


def test_waiting_for_a_place_counts_and_what_was_cut_short_is_no_answer(database):
    """More endless calls than places: each is told in time, and none stays."""

    def work():
        with opened(str(database)) as reader:
            try:
                return reader.query(ENDLESS)
            except OverTimeError:
                return "half an answer"

    async def run():
        answers, told = Answers(limit_s=0.3), []

        async def one():
            with pytest.raises(OverTimeError):
                await answers.answer(work)
            told.append(1)

        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as group:
                for _ in range(5):
                    group.start_soon(one)
        await idle(answers)
        return len(told)

    assert anyio.run(run) == 5


# --- connections -----------------------------------------------------------------------------------


@contextmanager
def listening(app, host="127.0.0.1", **options):
    """uvicorn with our settings in a thread, as the command runs it in a process."""
    config = uvicorn.Config(
        app, host=host, port=0, log_level="critical", lifespan="off", **{**connections.settings(), **options}
    )
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        until(lambda: running.started, "listening")
        yield running.servers[0].sockets[0].getsockname()[1]
    finally:
        running.should_exit = True
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


async def hello(scope, receive, send):
    """An application that tells what came to it."""
    body = (await receive())["body"] if scope["method"] == "POST" else b""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(len(body)).encode()})


def request(port, *lines, body=b"", host="localhost", token=TOKEN):
    head = [f"POST / HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}", *lines, "Connection: close"]
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as link:
        link.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        return answer_on(link)


def answer_on(link):
    """All that comes until the other side ends: empty where it ended without a word."""
    link.settimeout(PATIENCE_S)
    told = b""
    try:
        while part := link.recv(65536):
            told += part
    except ConnectionResetError:
        pass
    return told.decode()


def status(text):
    return int(text.split(" ", 2)[1])


def test_a_head_that_trickles_in_is_waited_for_only_so_long(monkeypatch):
    monkeypatch.setattr(connections, "HEAD_S", 0.6)
    with listening(Guard(hello, TOKEN, ())) as port:
        began = time.monotonic()
        silent = socket.create_connection(("127.0.0.1", port))
        slow = socket.create_connection(("127.0.0.1", port))
        second = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        with silent, slow, second:
            # One whole request is answered; the head of the next one on the same connection trickles, too.
            second.sendall(f"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
            assert status(second.recv(4096).decode()) == 200
            ended = set()
            trickled = b"GET / HTTP/1.1\r\nX: " + b"a" * 1000
            for at in range(len(trickled)):
                for link in {slow, second} - ended:
                    try:
                        link.sendall(trickled[at : at + 1])
                    except OSError:
                        ended.add(link)
                if ended == {slow, second}:
                    break
                time.sleep(0.05)
            assert ended == {slow, second}
            assert answer_on(silent) == ""
        assert time.monotonic() - began < PATIENCE_S
        assert status(request(port)) == 200


def test_a_body_is_bounded_in_time_and_size(monkeypatch):
    monkeypatch.setattr(guard, "BODY_S", 0.4)
    with listening(Guard(hello, TOKEN, ())) as port:
        assert request(port, "Content-Length: 5", body=b"hello").endswith("\r\n5\r\n0\r\n\r\n")
        assert status(request(port, "Content-Length: 5", body=b"he")) == 408
        chunk = b"%x\r\n%s\r\n" % (guard.BODY_BYTES // 2 + 1, b"x" * (guard.BODY_BYTES // 2 + 1))
        assert status(request(port, "Transfer-Encoding: chunked", body=chunk * 2 + b"0\r\n\r\n")) == 413
        with socket.create_connection(("127.0.0.1", port)) as link:  # the end of this head never comes
            link.sendall(b"GET / HTTP/1.1\r\nX: " + b"a" * 2 * connections.HEAD_BYTES)
            assert status(answer_on(link)) == 400


def test_one_client_opens_only_so_many_connections(monkeypatch):
    monkeypatch.setattr(connections, "OF_ONE_CLIENT", 3)
    with listening(Guard(hello, TOKEN, ())) as port:
        links = [socket.create_connection(("127.0.0.1", port)) for _ in range(4)]
        try:
            assert answer_on(links[3]) == ""
        finally:
            for link in links:
                link.close()
        until(lambda: request(port), "connections are given back")


# --- clients ---------------------------------------------------------------------------------------


def scope_of(host="localhost", client="192.0.2.7", server="192.0.2.1", token=TOKEN, **headers):
    pairs = [(b"host", host.encode()), (b"authorization", f"Bearer {token}".encode())]
    pairs += [(name.encode(), text.encode()) for name, text in headers.items()]
    return {"type": "http", "method": "GET", "headers": pairs, "client": (client, 1), "server": (server, 8765)}


def asked(one, scope):
    """What the guard answers: the status and its headers."""
    told = []

    async def send(message):
        told.append(message)

    async def run():
        await one(scope, None, send)

    anyio.run(run)
    return told[0]["status"], dict(told[0]["headers"])


def test_a_client_that_asks_too_often_is_told_when_to_ask_again():
    now = [0.0]
    one = Guard(hello, TOKEN, (), clock=lambda: now[0])
    assert {asked(one, scope_of())[0] for _ in range(guard.IN_A_ROW)} == {200}
    status_, headers = asked(one, scope_of())
    assert (status_, headers[b"retry-after"]) == (429, b"1")
    assert asked(one, scope_of(client="192.0.2.8"))[0] == 200
    now[0] += 1.0
    assert [asked(one, scope_of())[0] for _ in range(int(guard.A_SECOND) + 1)] == [200] * int(guard.A_SECOND) + [429]


def test_guessing_at_the_token_is_slowed_down_too():
    one = Guard(hello, TOKEN, (), clock=lambda: 0.0)
    assert {asked(one, scope_of(token="wrong"))[0] for _ in range(guard.IN_A_ROW)} == {401}
    assert asked(one, scope_of(token="wrong"))[0] == 429


def test_a_client_has_only_so_many_requests_open_at_once():
    waiting = anyio.Event()

    async def held(scope, receive, send):
        await waiting.wait()
        await hello(scope, receive, send)

    one, told = Guard(held, TOKEN, ()), []

    async def run():
        async def send(message):
            told.append(message)

        async with anyio.create_task_group() as group:
            for _ in range(guard.AT_ONCE):
                group.start_soon(one, scope_of(), None, send)
            await anyio.wait_all_tasks_blocked()
            assert told == []
            await one(scope_of(), None, send)
            assert told[0]["status"] == 429
            await one(scope_of(client="192.0.2.8", token="wrong"), None, send)
            assert told[2]["status"] == 401
            waiting.set()
        told.clear()
        await one(scope_of(), None, send)
        assert told[0]["status"] == 200

    anyio.run(run)


@pytest.mark.parametrize(
    ("host", "origin", "passes"),
    [
        ("localhost:8765", None, True),
        ("127.0.0.1", None, True),
        ("[::1]:8765", "http://localhost:3000", True),
        ("192.0.2.1:8765", None, True),  # the address that was connected to
        ("Telemetry.Example.:8765", "https://telemetry.example", True),
        ("attacker.example", None, False),
        ("attacker.example:8765", "http://attacker.example", False),
        ("192.0.2.99", None, False),
        ("localhost.attacker.example", None, False),
        ("localhost:8765", "http://attacker.example", False),
        ("localhost:8765", "null", False),
        ("", None, False),
    ],
)
def test_only_who_names_us_is_answered_wherever_the_server_listens(host, origin, passes):
    one = Guard(hello, TOKEN, ("telemetry.example",))
    headers = {} if origin is None else {"origin": origin}
    assert asked(one, scope_of(host, **headers))[0] == (200 if passes else 421)


def test_the_host_is_checked_where_all_addresses_are_listened_at():
    with listening(Guard(hello, TOKEN, ()), host="0.0.0.0") as port:
        assert status(request(port, host=f"127.0.0.1:{port}")) == 200
        assert status(request(port, host=f"attacker.example:{port}")) == 421


@pytest.mark.parametrize(("text", "host"), [("[::FFFF:127.0.0.1]:80", "127.0.0.1"), ("::1", "::1"), ("A.b.:1", "a.b")])
def test_a_host_is_one_however_it_is_written(text, host):
    assert bare_host(text) == host


# --- the token -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.chmod(0o644), "others can read or change it"),
        (lambda path: path.chmod(0o620), "others can read or change it"),
        (lambda path: path.write_text("\n"), "is empty"),
        (lambda path: path.write_text("short"), "can be guessed"),
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: os.link(path, path.with_name("another")), "has 2 names"),
        (lambda path: (path.unlink(), os.mkfifo(path, 0o600)), "is no ordinary file"),
    ],
)
def test_a_token_file_is_checked_as_a_key_is(tmp_path, damage, says):
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o600)
    damage(path)
    options = ["--db-path", str(tmp_path / "db"), "--http", "127.0.0.1:8765", "--token-file", str(path)]
    said = CliRunner().invoke(mcp, options)
    assert said.exit_code == 2
    assert says in said.stderr


def test_results_of_a_call_stay_json(database):
    async def ask():
        async with Client(server(str(database))) as client:
            return await client.call_tool("tables", {})

    result = anyio.run(ask)
    assert json.loads(result.content[0].text) == result.structured_content
