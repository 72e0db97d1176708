"""Whatever processes, devices, mounts and interfaces are called: every command shows it, and none obeys it."""

import csv
import io
import json
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "diagnosis"))
sys.path.insert(0, str(Path(__file__).parents[1]))

from scenes import END, FROM, SECOND, START, cpus, stored, used

from hostile import HOSTILE, harmless, storable
from kernelsight.events.block import Block
from kernelsight.events.cgroup import Cgroup
from kernelsight.events.collector import CollectorReport
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.network import Network
from kernelsight.events.process import Process
from kernelsight.events.syscalls import Syscall
from kernelsight.surfaces.cli.command import EXIT_STATUS
from kernelsight.surfaces.cli.main import main

WINDOW = ("--since", str(START), "--until", str(END))
PAST = (str(START), str(START + 14 * SECOND), str(START + 15 * SECOND), str(END))


def machine(name):
    """One on which everything has the same hostile name, and hogs of that name hurt a server."""
    yield from cpus(2)
    for pid in (70, 71):
        yield from used(pid, name, 900, 600, group=5, since=FROM)
    yield from used(12, "web", 100, 400, since=FROM)
    for second in range(30):
        at = START + second * SECOND
        load = second // 15 * 100
        yield Process(at, pid=70, start_ticks=1, comm=name, cgroup=name, rss_kb=1000 + 1000 * load, utime_ms=second)
        yield Block(at, device_name=name, io_ticks=load * second)
        yield Network(at, interface_name=name, rx_bytes=load * second)
        yield Filesystem(at, mount_point=name, device=name, fs_type=name, size_bytes=2**40, avail_bytes=2**39)
        yield Cgroup(at, cgroup=name, cgroup_id=5, cpu_usage_us=load * second)
        yield Syscall(at, pid=70, comm=name, syscall_name=name, latency_ns=load * second)
    yield CollectorReport(START, name=name, source=name, status="failed", reason=name)


@pytest.fixture(scope="module", params=HOSTILE)
def name(request):
    return storable(HOSTILE[request.param])


@pytest.fixture(scope="module")
def database(name, tmp_path_factory):
    return stored(tmp_path_factory.mktemp("hostile") / "db", machine(name))


def run(database, *command):
    done = CliRunner().invoke(main, [*command, "--db-path", database], catch_exceptions=False)
    assert done.exit_code == (EXIT_STATUS["findings"] if command[0] == "diagnose" else 0), done.output
    return done.stdout


SHOWN = {
    "range": ("query", "range", "process", *WINDOW),
    "top": ("query", "top", "sched_process", "cpu_time_ms", "--by", "pid", "--by", "comm", *WINDOW),
    "series": ("query", "series", "block", "io_ticks", *WINDOW),
    "aggregate": ("query", "aggregate", "network", "rx_bytes", "--by", "interface_name", *WINDOW),
    "percentiles": ("query", "percentiles", "syscall", "latency_ns", "--by", "comm", *WINDOW),
    "around": ("query", "around", str(START + 20 * SECOND)),
    "compare": ("query", "compare", *PAST),
    "correlate": ("query", "correlate", "syscall.latency_ns", "block.io_ticks", "--by", "comm", *WINDOW),
    "diagnose": ("diagnose", *WINDOW),
    "ask": ("ask", "--offline", *WINDOW, "what changed"),
    "status": ("status",),
    "anomalies": ("anomalies", "list", *WINDOW),
}


@pytest.mark.parametrize("command", SHOWN)
def test_for_a_person_it_is_text_on_its_line(database, command):
    said = run(database, *SHOWN[command])
    assert harmless(said)
    # No line is one of ours that is not: what begins a line is ours.
    assert not any(line.startswith(("Healthy", "system:", "# ")) for line in said.splitlines())


@pytest.mark.parametrize("command", ["range", "top", "series", "aggregate", "percentiles", "compare", "correlate"])
def test_for_a_program_it_is_one_value_unchanged(database, name, command):
    rows = [json.loads(line) for line in run(database, *SHOWN[command], "--format", "json").split("\n") if line]
    assert any(name in values(row) for row in rows)
    table = list(csv.reader(io.StringIO(run(database, *SHOWN[command], "--format", "csv"), newline="")))
    assert len(table) == len(rows) + 1
    assert len({len(row) for row in table}) == 1


def values(row):
    return [one for value in row.values() for one in (value.values() if isinstance(value, dict) else [value])]


class Tags(HTMLParser):
    """What a browser would take for elements, attributes and scripts."""

    def __init__(self):
        super().__init__()
        self.names, self.attributes, self.scripts = set(), set(), []

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        if self.lasttag == "script":
            self.scripts.append(data)


def test_the_page_has_it_as_text_only(database, name, tmp_path):
    page = tmp_path / "page.html"
    run(database, "diagnose", *WINDOW, "--html", str(page))
    text = page.read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(text)
    assert "img" not in tags.names
    assert not [name for name in tags.attributes if name.startswith("on")]
    assert not [script for script in tags.scripts if "alert" in script]
    if name.strip() and name.isprintable() and not set(name) & set("<>&\"'"):
        assert name in text


def test_the_diagnosis_names_the_same_culprit(database):
    found = json.loads(run(database, "diagnose", *WINDOW, "--json"))
    assert [(one["fault"], one["culprit"]["id"]) for one in found["findings"]] == [("cpu_saturation", "70")]
