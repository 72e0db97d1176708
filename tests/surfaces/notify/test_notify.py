"""Notices: what is told and when, over real channels, with hostile names."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from email import message_from_bytes
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP
from click.testing import CliRunner

from kernelsight.diagnosis.model import Entity, Evidence, Finding, Proposal, Step
from kernelsight.errors import UsageError
from kernelsight.events.action import DiagnosisRow
from kernelsight.stores.base import Batch, open_writer
from kernelsight.surfaces.cli.main import main
from kernelsight.surfaces.notify.channel import ChannelError
from kernelsight.surfaces.notify.channels.email import Email
from kernelsight.surfaces.notify.channels.journal import Journal, encoded
from kernelsight.surfaces.notify.channels.wall import Wall
from kernelsight.surfaces.notify.channels.webhook import Webhook
from kernelsight.surfaces.notify.delivery import MOST_WAITING, Delivery
from kernelsight.surfaces.notify.follow import Follower
from kernelsight.surfaces.notify.notice import notice_of

S = 1_000_000_000
NOW = 1_790_000_000 * S
HOSTILE = "sc\x1b[31man\r\nBcc: all@example.org"


def row(stamp=NOW, **changes):
    culprit = Entity("process", "17", changes.get("culprit_name", "scan"))
    finding = Finding(
        "disk_saturation",
        culprit,
        (Entity("process", "4", "nginx"),),
        stamp - 5 * S,
        0.91,
        (Step("sda was busy 98 % of 5 s", (Evidence("block_stats", 1, 2, "io_ticks", "increase", 1.0, (1,)),)),),
        "it waits as long without",
        (Proposal("ionice", culprit, "give scan the idle class of I/O"),),
    )
    known = {
        "diagnosis_id": "a",
        "healthy": False,
        "verdict": "findings",
        "rank": 1,
        "fault": "disk_saturation",
        "culprit_kind": "process",
        "culprit": "17",
        "culprit_name": "scan",
        "confidence": 0.91,
        "onset_ns": stamp - 5 * S,
        "victims": "nginx (4)",
        "finding": msgspec.json.encode(finding).decode(),
    }
    return DiagnosisRow(stamp, **(known | changes))


def healthy(stamp=NOW, verdict="healthy"):
    return DiagnosisRow(stamp, diagnosis_id="h", verdict=verdict, healthy=True if verdict == "healthy" else None)


def states(follower, rows, now):
    return [(notice.state, notice.culprit) for notice in follower.look(rows, now)]


def test_a_finding_is_told_when_it_begins_again_after_a_while_and_at_its_end():
    follower = Follower(least_confidence=0.7, repeat_s=100)
    assert states(follower, [], NOW) == []
    assert states(follower, [row()], NOW) == [("began", "17")]
    assert states(follower, [row()], NOW + 99 * S) == []
    assert states(follower, [row()], NOW + 100 * S) == [("goes on", "17")]
    assert states(follower, [row(), row(culprit="18", rank=2)], NOW + 101 * S) == [("began", "18")]
    assert states(follower, [row(culprit="18")], NOW + 102 * S) == [("ended", "17")]
    assert states(follower, [healthy()], NOW + 103 * S) == [("ended", "18")]
    assert states(follower, [row()], NOW + 104 * S) == [("began", "17")]


def test_what_is_not_known_ends_nothing_and_what_is_unsure_is_not_told():
    follower = Follower(least_confidence=0.7, repeat_s=100)
    assert states(follower, [row(confidence=0.69)], NOW) == []
    assert states(follower, [healthy()], NOW) == []
    assert states(follower, [row()], NOW) == [("began", "17")]
    assert states(follower, [healthy(verdict="unknown")], NOW) == []
    assert states(follower, [row(confidence=0.5)], NOW) == []
    assert states(follower, [healthy()], NOW) == [("ended", "17")]


def test_a_notice_says_who_what_to_whom_and_what_to_do():
    notice = notice_of(row(), "began", NOW)
    assert "disk saturation by process scan (17) since " in notice.sentence
    assert notice.sentence.endswith("; nginx (4) suffers (91% sure)")
    assert "1. sda was busy 98 % of 5 s" in notice.text
    assert "to do: give scan the idle class of I/O" in notice.text


def test_a_row_of_another_program_is_told_without_a_path():
    for finding in (None, "", "no json", '{"fault": 7}'):
        notice = notice_of(row(finding=finding), "began", NOW)
        assert (notice.claims, notice.to_do) == ((), ())
        assert "disk saturation" in notice.sentence


class Hooks(ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Hook)
        self.taken, self.answers, self.headers = [], [], []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/hook?key=secret"


class _Hook(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        code = self.server.answers.pop(0) if self.server.answers else 204
        self.server.headers.append(dict(self.headers))
        if code < 300:
            self.server.taken.append(json.loads(body))
        self.send_response(code)
        if code == 302:
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def hooks():
    with Hooks() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_webhook_gets_every_field_and_the_token(hooks):
    Webhook(hooks.url, "s3cret").send(notice_of(row(culprit_name=HOSTILE), "began", NOW))
    (taken,) = hooks.taken
    assert (taken["fault"], taken["culprit"], taken["confidence"]) == ("disk_saturation", "17", 0.91)
    assert taken["culprit_name"] == "sc\\x1b[31man\\r\\nBcc: all@example.org"
    assert hooks.headers[0]["Authorization"] == "Bearer s3cret"


def test_a_webhook_that_refuses_or_redirects_is_an_error_without_its_secrets(hooks):
    hooks.answers = [500, 302]
    hook = Webhook(hooks.url, "s3cret")
    for code in (500, 302):
        with pytest.raises(ChannelError, match=f"answered {code}") as raised:
            hook.send(notice_of(row(), "began", NOW))
        assert "secret" not in str(raised.value)
    assert len(hooks.headers) == 2
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ChannelError, match="refused"):
            Webhook(f"http://127.0.0.1:{unused.getsockname()[1]}/").send(notice_of(row(), "began", NOW))


def test_what_no_channel_can_be_called_by_is_refused_at_once_and_without_its_secrets():
    for wrong in (
        "ftp://example.org", "example.org", "http://", "http://[", "http://a:b/", "http://a:99999/", "http://a/b c",
        "http://a/\r\nx: y", "http://\xe4/",
    ):  # fmt: skip
        with pytest.raises(UsageError):
            Webhook(wrong)
    for token in ("s3cret\nX: y", "s3cr\u20ac"):
        with pytest.raises(UsageError) as raised:
            Webhook("http://127.0.0.1/", token)
        assert "s3cr" not in str(raised.value)
    with pytest.raises(UsageError) as raised:
        Webhook("http://me:s3cret@127.0.0.1/")
    assert "s3cret" not in str(raised.value)
    for server in ("", ":25", "a:b", "a:\xb2", "a:0", "a:65536", "a:" + 5_000 * "9"):
        with pytest.raises(UsageError):
            Email(["admin@example.org"], server)
    for login in ("s3cret", "me:s3cr\u20ac", "me:s3cret\nx"):
        with pytest.raises(UsageError) as raised:
            Email(["admin@example.org"], login=login)
        assert "s3cr" not in str(raised.value)


def test_a_host_that_cannot_be_looked_up_is_an_error_of_its_channel():
    for channel in (Webhook("http://a..b/"), Email(["admin@example.org"], "a..b")):
        with pytest.raises(ChannelError):
            channel.send(notice_of(row(), "began", NOW))


class Mailbox:
    def __init__(self):
        self.mails, self.connections = [], 0
        self.is_quiet = threading.Event()
        self.is_quiet.set()

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - as aiosmtpd calls it
        self.mails.append(envelope)
        return "250 taken"


class Conversation(SMTP):
    """Says when it is over: a loop that ends before it leaves its socket behind."""

    def connection_made(self, transport):
        self.event_handler.connections += 1
        self.event_handler.is_quiet.clear()
        super().connection_made(transport)

    def connection_lost(self, error):
        super().connection_lost(error)
        self.event_handler.connections -= 1
        if not self.event_handler.connections:
            self.loop.call_soon(self.event_handler.is_quiet.set)


class Server(Controller):
    def factory(self):
        return Conversation(self.handler)


@pytest.fixture
def mailbox():
    box = Mailbox()
    controller = Server(box, hostname="127.0.0.1", port=0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        controller.port = free.getsockname()[1]
    controller.start()
    yield box, f"127.0.0.1:{controller.port}"
    assert box.is_quiet.wait(60)
    controller.stop()


def test_an_email_has_no_header_that_a_name_brought(mailbox):
    box, server = mailbox
    Email(["admin@example.org", "b@example.org"], server).send(notice_of(row(culprit_name=HOSTILE), "began", NOW))
    (envelope,) = box.mails
    mail = message_from_bytes(envelope.content, policy=default)
    assert envelope.rcpt_tos == ["admin@example.org", "b@example.org"]
    assert mail["Bcc"] is None
    assert "disk saturation by process" in mail["Subject"]
    assert "to do: give scan the idle class of I/O" in mail.get_content()


def test_a_password_is_not_sent_without_tls(mailbox):
    _, server = mailbox
    with pytest.raises(ChannelError, match="no TLS"):
        Email(["admin@example.org"], server, login="me:secret").send(notice_of(row(), "began", NOW))
    for address in ("admin", "a@b\nBcc: c@d", "a b@c"):
        with pytest.raises(UsageError):
            Email([address])


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="root alone starts a journal of its own")
@pytest.mark.skipif(not Path("/lib/systemd/systemd-journald").exists(), reason="there is no systemd-journald here")
def test_the_journal_of_systemd_has_a_field_for_each_part(tmp_path):
    """systemd's own daemon takes the datagram, in a mount namespace of its own, and journalctl reads it."""
    script = tmp_path / "journal.sh"
    script.write_text(
        """set -e
mount -t tmpfs none /run; mkdir -p /run/systemd/journal /run/log/journal
/lib/systemd/systemd-journald >/dev/null 2>&1 & journald=$!
for _ in $(seq 300); do [ -S /run/systemd/journal/socket ] && break; sleep 0.1; done
"$1" "$2"
for _ in $(seq 300); do
  journalctl -D /run/log/journal -o json KERNELSIGHT_FAULT=disk_saturation 2>/dev/null >"$3" || true
  [ -s "$3" ] && break; sleep 0.1
done
kill $journald; wait $journald || true
"""
    )
    program = tmp_path / "send.py"
    program.write_text(
        "import sys; sys.path.insert(0, sys.argv[0].rpartition('/')[0])\n"
        "from kernelsight.surfaces.notify.channels.journal import Journal\n"
        "from kernelsight.surfaces.notify.notice import Notice\n"
        "Journal().send(Notice('began', 'disk_saturation', 'process', '17', 'scan', 0.91, None, 1, claims=('x',)))\n"
    )
    answer = tmp_path / "answer.json"
    ran = subprocess.run(
        ["unshare", "--mount", "bash", script, sys.executable, program, answer],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    entry = json.loads(answer.read_text().splitlines()[0])
    assert entry["KERNELSIGHT_CULPRIT"] == "17"
    assert entry["PRIORITY"] == "3"
    assert entry["SYSLOG_IDENTIFIER"] == "kernelsight"
    assert entry["MESSAGE"].splitlines()[1] == "  1. x"


def test_a_field_of_several_lines_has_its_length_before_it(tmp_path):
    assert encoded({"A": "x=y", "B": "1\n2"}) == b"A=x=y\nB\n\x03\0\0\0\0\0\0\x001\n2\n"
    with pytest.raises(ChannelError, match="journal"):
        Journal(tmp_path / "nothing").send(notice_of(row(), "began", NOW))


@pytest.mark.skipif(shutil.which("wall") is None, reason="there is no wall(1) here")
def test_wall_takes_a_notice_without_anybody_logged_in():
    Wall().send(notice_of(row(culprit_name=HOSTILE), "test", NOW))
    assert "\x1b" not in notice_of(row(culprit_name=HOSTILE), "test", NOW).text


class Deaf:
    name = "deaf"

    def __init__(self):
        self.taken, self.deaf = [], True

    def send(self, notice):
        if self.deaf:
            raise ChannelError("deaf: does not hear")
        self.taken.append(notice)


def test_a_channel_that_fails_holds_up_no_other_and_gets_what_waits_in_order():
    deaf, other, said = Deaf(), Deaf(), []
    other.deaf = False
    delivery = Delivery([deaf, other], said.append)
    for number in range(MOST_WAITING + 3):
        delivery.add(notice_of(row(culprit=str(number)), "began", NOW))
        delivery.send(0.0)
    assert len(other.taken) == MOST_WAITING + 3
    assert said == ["deaf: does not hear; it is tried again"]  # once, and not at each attempt
    deaf.deaf = False
    delivery.send(1.0)
    assert deaf.taken == []  # not yet
    delivery.send(2.0)
    assert [notice.culprit for notice in deaf.taken] == [str(number) for number in range(3, MOST_WAITING + 3)]
    assert said[1:] == ["deaf: takes notices again; 3 notices were given up meanwhile"]
    assert delivery.waiting == 0


def test_the_command_follows_what_the_agent_writes_down(hooks, tmp_path):
    path = str(tmp_path / "db")
    writer = open_writer(path)
    process = subprocess.Popen(
        [sys.executable, "-m", "kernelsight", "notify", "--db-path", path, "--webhook", hooks.url],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for event in (row(time.time_ns()), healthy(time.time_ns() + S)):
            before = len(hooks.taken)
            assert not writer.write(Batch(events={DiagnosisRow: [msgspec.structs.astuple(event)]}))
            deadline = time.monotonic() + 60
            while len(hooks.taken) == before and time.monotonic() < deadline:
                time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        writer.close()
    assert [(taken["state"], taken["culprit"]) for taken in hooks.taken] == [("began", "17"), ("ended", "17")]
    assert (process.returncode, said) == (0, "")


def test_a_test_notice_goes_through_every_channel(hooks, mailbox, tmp_path):
    box, server = mailbox
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    token.chmod(0o600)
    arguments = ["notify", "--webhook", hooks.url, "--webhook-token-file", str(token)]
    ran = CliRunner().invoke(main, [*arguments, "--email", "a@example.org", "--smtp", server, "--test"])
    assert ran.exit_code == 0, ran.output
    assert ran.output.splitlines() == ["webhook 127.0.0.1: taken", "e-mail through 127.0.0.1: taken"]
    assert hooks.taken[0]["state"] == "test"
    assert len(box.mails) == 1
    token.chmod(0o644)
    assert CliRunner().invoke(main, [*arguments, "--test"]).exit_code == 2
    assert CliRunner().invoke(main, ["notify"]).exit_code == 2
