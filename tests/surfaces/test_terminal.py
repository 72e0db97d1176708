"""What a terminal of 80 columns shows: columns that fit, one row vertically, and nothing that commands it."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path

import msgspec
import pytest
from processes import COMMAND, environment, kernelsight

sys.path.insert(0, str(Path(__file__).parents[1] / "diagnosis"))

from scenes import END, SECOND, START, stored

from kernelsight.collectors.output import LineWriter
from kernelsight.events.network import Network
from kernelsight.events.process import Process

HOSTILE = "a\x1b]0;x\x07\x9b31m\u202eb"
WHOLE = ("--since", START, "--until", END)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    events = [
        event
        for second in range(20)
        for event in (
            Process(
                START + second * SECOND, pid=12, comm=HOSTILE, state="R", start_ticks=9, rss_kb=1_234_567, fds=12,
                utime_ms=second * 10, stime_ms=1, read_bytes=second * 12_345_678, write_bytes=1, threads=3, uid=0,
            ),
            Network(START + second * SECOND, interface_name="eth0", rx_bytes=second * 12_345_678, tx_bytes=7),
        )
    ]  # fmt: skip
    return stored(tmp_path_factory.mktemp("terminal") / "db", events)


def on_terminal(*arguments, columns=80):
    """What a terminal gets, without the control sequences of its own styles."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {name: value for name, value in environment(TERM="xterm").items() if name != "COLUMNS"}
    command = [*COMMAND, *map(str, arguments)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    said = b""
    try:
        while data := os.read(ours, 1 << 16):
            said += data
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    process.wait()
    text = re.sub(r"\x1b\[[0-9;]*m", "", said.decode()).replace("\r\n", "\n")
    assert all(line.isprintable() for line in text.split("\n")), text
    return text


def asked(database, *question, **how):
    return on_terminal("query", *question, "--db-path", database, **how)


def test_the_columns_that_fit_are_shown_and_the_others_are_named(database):
    lines = asked(database, "range", "process", *WHOLE).splitlines()
    head, note = lines[0], lines[-1]
    assert max(map(len, lines[:-1])) <= 80
    assert head.split()[:3] == ["time", "comm", "pid"]
    assert len(lines) == 1 + 20 + 1
    left_out = re.fullmatch(r"(\d+) columns left out: (.*); --wide shows all", note)
    assert left_out
    assert int(left_out[1]) == len(left_out[2].split(", "))
    assert not set(left_out[2].split(", ")) & set(head.split())


def test_a_wider_terminal_shows_more_and_wide_shows_all(database):
    narrow, broad = (len(asked(database, "range", "process", *WHOLE, columns=c).split("\n")[0]) for c in (80, 160))
    assert 80 < broad <= 160
    assert narrow <= 80
    head = asked(database, "range", "process", *WHOLE, "--wide").splitlines()[0].split()
    assert {"timestamp", "time", "id", "cgroup", "read_bytes"} <= set(head)


def test_columns_are_chosen_by_name(database):
    head = asked(database, "range", "process", *WHOLE, "--columns", "read_bytes,fds").splitlines()[0]
    assert head.split() == ["time", "read_bytes", "fds"]
    head = asked(database, "top", "network", "rx_bytes", "--by", "interface_name", *WHOLE, "--columns", "value")
    assert head.split() == ["value", "224", "MiB"]
    refused = kernelsight("query", "series", "cpu", "user", "--columns", "x", "--db-path", database, *WHOLE)
    assert refused.returncode in {0, 2}
    said = asked(database, "series", "network", "rx_bytes", *WHOLE, "--columns", "nonsense")
    assert "there is no column 'nonsense' here; there are" in said


def test_one_row_stands_vertically_with_all_that_it_has(database):
    lines = asked(database, "range", "process", *WHOLE, "--limit", "1").splitlines()
    shown = dict(line.split(None, 1) for line in lines)
    assert shown["rss_kb"] == "1.18 GiB"
    assert shown["timestamp"] == str(START)
    assert "cgroup" not in shown, "it has none"


def test_top_shows_units(database):
    shown = dict(
        line.split(None, 1)
        for line in asked(database, "top", "network", "rx_bytes", "--by", "interface_name", *WHOLE).splitlines()
    )
    assert shown["value"] == "224 MiB"
    assert shown["max"] == "12.3 MB/s"


def test_csv_and_json_command_no_terminal_and_are_exact_in_a_pipe(database):
    """:func:`on_terminal` holds every line against what is printable."""
    question = ("range", "process", *WHOLE, "--limit", "1")
    said = asked(database, *question, "--format", "json")
    assert json.loads(said)["comm"] == HOSTILE, "an escape of JSON is the same text"
    assert r"\u202e" in asked(database, *question, "--format", "csv")
    piped = kernelsight("query", *question, "--format", "csv", "--db-path", database)
    assert next(csv.DictReader(io.StringIO(piped.stdout)))["comm"] == HOSTILE
    piped = kernelsight("query", *question, "--format", "json", "--db-path", database)
    assert HOSTILE in json.loads(piped.stdout)["comm"]
    assert "\u202e" in piped.stdout


def test_the_lines_of_collectors_command_no_terminal():
    ours, theirs = pty.openpty()
    line = msgspec.json.encode({"comm": HOSTILE}) + b"\n"
    assert LineWriter(theirs, threading.Event()).write(line) == 0
    said = os.read(ours, 1 << 16).decode().replace("\r\n", "")
    os.close(ours)
    os.close(theirs)
    assert said.isprintable()
    assert json.loads(said) == {"comm": HOSTILE}


def test_a_table_in_a_pipe_has_all_columns_and_exact_numbers(database):
    piped = kernelsight("query", "range", "process", *WHOLE, "--db-path", database)
    assert {"timestamp", "cgroup_id"} <= set(piped.stdout.splitlines()[0].split())
    assert "1234567" in piped.stdout


def test_top_names_its_units_in_a_pipe_too(database):
    question = ("top", "network", "rx_bytes", "--by", "interface_name", *WHOLE, "--db-path", database)
    head, row = kernelsight("query", *question).stdout.splitlines()
    assert re.split(r"  +", head) == ["interface_name", "value (B)", "count", "sum (B)", "avg (B/s)", "max (B/s)"]
    assert row.split()[1] == str(19 * 12_345_678)
    piped = kernelsight("query", *question, "--format", "json").stdout
    assert json.loads(piped)["value"] == 19 * 12_345_678
