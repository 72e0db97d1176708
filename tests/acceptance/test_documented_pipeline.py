"""The documented system on this machine: start it, let it run, and hold its rows against the system's own tools."""

from __future__ import annotations

import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.alone

SECOND_NS = 1_000_000_000
SECONDS_AROUND = 4
"""Seconds with rows before the other tools are asked, and after it."""
PATIENCE_S = 120

# One table a source of /proc or /sys. A source that this kernel lacks has no rows, and `collect --list` says so.
EVERY_SECOND = {
    "memory": "memory_metrics",
    "vmstat": "vm_activity",
    "load": "load_metrics",
    "cpu": "cpu_stats",
    "pressure": "pressure_stall",
    "block": "block_stats",
    "network": "network_interface_stats",
    "tcp": "tcp_stats",
    "tcp_retransmit": "tcp_retransmit_stats",
    "process": "process_stats",
    "cgroup": "cgroup_stats",
    "filesystem": "filesystem_stats",
}

ALWAYS = ("memory_metrics", "vm_activity", "cpu_stats", "tcp_stats", "tcp_retransmit_stats")
"""Those that the other tools are asked about, and every machine has."""


@dataclass(frozen=True)
class Readings:
    """What other tools said in the middle of the run, with the time around each reading (ns since the epoch)."""

    free: tuple[int, str, int]
    vmstat: tuple[int, str, int]
    diskstats: tuple[int, str, int]
    ss: tuple[int, str, int]
    snmp: tuple[int, str, int]


@dataclass(frozen=True)
class Run:
    """A finished run of the whole system."""

    database: Path
    readings: Readings
    output: str


def _read(*command: str) -> tuple[int, str, int]:
    before = time.time_ns()
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return before, text, time.time_ns()


def _wait_for_seconds(database: Path, *, since: int) -> None:
    """Wait until every source has had rows for some seconds after a moment."""
    deadline = time.monotonic() + PATIENCE_S
    count = "SELECT COUNT(DISTINCT timestamp) FROM {} WHERE timestamp > ?"
    while time.monotonic() < deadline:
        time.sleep(0.1)
        if not database.exists():
            continue
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db, suppress(sqlite3.OperationalError):
            if all(db.execute(count.format(table), (since,)).fetchone()[0] >= SECONDS_AROUND for table in ALWAYS):
                return
    pytest.fail(f"{', '.join(ALWAYS)} have had no rows for {SECONDS_AROUND} s, after {PATIENCE_S} s")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    for tool in ("free", "vmstat", "ss"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed (procps, iproute2)")
    database = tmp_path_factory.mktemp("run") / "kernelsight.db"
    with _connections(5):
        process = subprocess.Popen(
            [sys.executable, "-m", "kernelsight", "start", "--db-path", str(database), "--no-agent"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            _wait_for_seconds(database, since=0)
            readings = Readings(
                free=_read("free", "-k"),
                vmstat=_read("vmstat", "-s"),
                diskstats=_read("cat", "/proc/diskstats"),
                ss=_read("ss", "-tan"),
                snmp=_read("cat", "/proc/net/snmp"),
            )
            _wait_for_seconds(database, since=time.time_ns())
        finally:
            process.terminate()
            output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output
    return Run(database, readings, output)


class _connections:  # noqa: N801 - reads as a function
    """Some established TCP connections on loopback, so that there is something to count."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> None:
        server = socket.create_server(("127.0.0.1", 0))
        self._sockets.append(server)
        for _ in range(self._count):
            self._sockets.append(socket.create_connection(server.getsockname()))
            self._sockets.append(server.accept()[0])

    def __exit__(self, *_: object) -> None:
        for each in self._sockets:
            each.close()


@pytest.fixture
def db(run: Run) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(f"file:{run.database}?mode=ro", uri=True)
    yield connection
    connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY_SECOND)
def test_every_source_has_a_row_on_every_second_of_the_grid(
    name: str, run: Run, db: sqlite3.Connection, unavailable: str
):
    if f"{name}: " in unavailable:
        pytest.skip(unavailable)
    points, first, last = db.execute(
        f"SELECT COUNT(DISTINCT timestamp / {SECOND_NS}), MIN(timestamp), MAX(timestamp) FROM {EVERY_SECOND[name]}"
    ).fetchone()
    (missed,) = db.execute("SELECT MAX(missed) FROM collector_reports WHERE name = ?", (name,)).fetchone()
    seconds = round((last - first) / SECOND_NS) + 1
    assert seconds >= 2 * SECONDS_AROUND
    assert points + missed >= seconds, run.output


@pytest.fixture(scope="module")
def unavailable() -> str:
    """The sources that this machine lacks, one a line, with the reason."""
    listing = subprocess.run(
        [sys.executable, "-m", "kernelsight", "collect", "--list"], check=True, capture_output=True, text=True
    ).stdout
    return "\n".join(line for line in listing.splitlines() if "unavailable" in line)


def _around(db: sqlite3.Connection, table: str, column: str, before: int, after: int, where: str = "1") -> list[int]:
    """Values of the last row before a reading, of those during it, and of the first row after it."""
    (first,) = db.execute(
        f"SELECT MAX(timestamp) FROM {table} WHERE timestamp <= ? AND {where}", (before - 50_000_000,)
    ).fetchone()
    (last,) = db.execute(
        f"SELECT MIN(timestamp) FROM {table} WHERE timestamp >= ? AND {where}", (after + 50_000_000,)
    ).fetchone()
    rows = db.execute(
        f"SELECT {column} FROM {table} WHERE timestamp BETWEEN ? AND ? AND {where} ORDER BY timestamp", (first, last)
    )
    return [value for (value,) in rows]


@pytest.mark.slow
def test_memory_agrees_with_free(run: Run, db: sqlite3.Connection):
    before, text, after = run.readings.free
    total, _used, _free, _shared, _cache, available = map(int, text.splitlines()[1].split()[1:7])
    totals = _around(db, "memory_metrics", "mem_total_kb", before, after)
    availables = _around(db, "memory_metrics", "mem_available_kb", before, after)
    assert set(totals) == {total}
    assert min(availables) - 0.02 * total <= available <= max(availables) + 0.02 * total


@pytest.mark.slow
@pytest.mark.parametrize(
    ("said", "table", "column", "where"),
    [
        ("CPU context switches", "cpu_stats", "context_switches", "cpu = -1"),
        ("forks", "cpu_stats", "forks", "cpu = -1"),
        ("interrupts", "cpu_stats", "interrupts", "cpu = -1"),
        ("pages swapped in", "vm_activity", "pswpin", "1"),
        ("K paged out", "vm_activity", "pgpgout", "1"),
    ],
)
def test_counters_agree_with_vmstat(said: str, table: str, column: str, where: str, run: Run, db: sqlite3.Connection):
    before, text, after = run.readings.vmstat
    match = re.search(rf"^\s*(\d+) {said}$", text, re.MULTILINE) or re.search(
        rf"^\s*(\d+) {said.replace('K ', 'pages ')}$", text, re.MULTILINE
    )
    assert match, text
    values = _around(db, table, column, before, after, where)
    assert values[0] <= int(match.group(1)) <= values[-1]


@pytest.mark.slow
def test_block_devices_agree_with_diskstats(run: Run, db: sqlite3.Connection):
    before, text, after = run.readings.diskstats
    stored = {name for (name,) in db.execute("SELECT DISTINCT device_name FROM block_stats")}
    compared = 0
    for line in text.splitlines():
        _major, _minor, name, reads, _merges, sectors, _ticks, writes, *_ = line.split()
        if name not in stored:
            continue
        for column, value in (("read_ios", reads), ("read_sectors", sectors), ("write_ios", writes)):
            values = _around(db, "block_stats", column, before, after, f"device_name = '{name}'")
            assert values[0] <= int(value) <= values[-1], (name, column)
        compared += 1
    assert compared == len(stored) > 0


@pytest.mark.slow
def test_tcp_states_agree_with_ss(run: Run, db: sqlite3.Connection):
    before, text, after = run.readings.ss
    states = [line.split()[0] for line in text.splitlines()[1:]]
    for said, column in (("ESTAB", "established"), ("LISTEN", "listen")):
        values = _around(db, "tcp_stats", column, before, after)
        assert min(values) <= states.count(said) <= max(values), column
    (established,) = db.execute("SELECT MIN(established) FROM tcp_stats").fetchone()
    assert established >= 10  # both ends of the five connections of this test


@pytest.mark.slow
def test_retransmits_agree_with_snmp(run: Run, db: sqlite3.Connection):
    before, text, after = run.readings.snmp
    header, values = (line.split()[1:] for line in text.splitlines() if line.startswith("Tcp:"))
    tcp = dict(zip(header, map(int, values), strict=True))
    for said, column in (("OutSegs", "out_segs"), ("RetransSegs", "retrans_segs"), ("InSegs", "in_segs")):
        stored = _around(db, "tcp_retransmit_stats", column, before, after)
        assert stored[0] <= tcp[said] <= stored[-1], column


@pytest.mark.slow
def test_every_line_is_accounted_for(run: Run, db: sqlite3.Connection):
    rows = db.execute("SELECT kind, lines, stored, rejected, dropped, in_memory FROM collectors").fetchall()
    assert len(rows) > len(EVERY_SECOND) / 2
    for kind, lines, stored, rejected, dropped, in_memory in rows:
        assert lines == stored + rejected + dropped + in_memory, kind
        assert (rejected, dropped, in_memory) == (0, 0, 0), kind
