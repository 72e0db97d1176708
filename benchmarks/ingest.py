#!/usr/bin/env python3
"""How fast lines become rows; prints one JSON object.

    python benchmarks/ingest.py [--lines 2000000] [--rounds 3] [--rate-seconds 10] [--seed 1] [--skip PART ...]

The input is a file of mixed lines of five kinds, about 250 bytes each. `ingest` runs the daemon as the
command line does, with default flags; `between_seals` the same with segments that never fill; `c` the
program beside this one, which only binds and inserts the same rows (built with gcc and libsqlite3). The
rounds take turns, and of each the median is given with all figures beside it. `stages` are measured
apart, in this process. `foreign` has lines of six other shapes, beside `json.loads` alone. `rates`
offers events at a fixed rate through a pipe and reads what the daemon says of its commits; `idle` is a
daemon with nothing to do.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import re
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw

from kernelsight.events import wire
from kernelsight.events.block import Block, IoLatency
from kernelsight.events.declare import Event, Kind, kind_of
from kernelsight.events.memory import Memory, PageFault
from kernelsight.events.network import Network
from kernelsight.events.scheduler import Load, Sched
from kernelsight.events.syscalls import Syscall
from kernelsight.ingest.accounts import Accounts
from kernelsight.ingest.batch import LARGEST_BATCH_BYTES
from kernelsight.ingest.daemon import Daemon, Settings
from kernelsight.ingest.decode import LineDecoder
from kernelsight.ingest.interrupts import Interrupts
from kernelsight.ingest.shapes import Shapes
from kernelsight.ingest.source import READ_BYTES, InputStream
from kernelsight.stores.base import Row
from kernelsight.stores.sqlite import ddl
from kernelsight.stores.sqlite.checkpoint import Checkpointer
from kernelsight.stores.sqlite.connect import connect_writer
from kernelsight.stores.sqlite.writer import SqliteWriter

KINDS: tuple[type[Event], ...] = (Syscall, PageFault, Sched, Block, Network)
COMMS = ("postgres", "nginx: worker", "python3", "java", "kworker/u8:3", "containerd-shim", "node", "redis-server")
COMMITTED = re.compile(r"committed (\d+) events in ([\d.]+) ms, ([\d.]+) ms after")
PARTS = ("ingest", "between_seals", "c", "stages", "foreign", "rates", "idle")


# --- the input --------------------------------------------------------------------------------------


def make_event(chance: random.Random, stamp: int) -> Event:
    """One event, with values of the size that the kernel gives them."""
    pid, latency, comm = chance.randrange(300, 4_000_000), int(chance.paretovariate(1.2) * 1e7), chance.choice(COMMS)
    which = chance.randrange(5)
    if which == 0:
        nr = chance.randrange(330)
        return Syscall(stamp, pid, pid, nr & 7, 1000, nr, f"call_{nr}", latency, 0, False, nr, comm)
    if which == 1:
        address = chance.randrange(0x7F0000000000, 0x7FFFFFFFFFFF)
        return PageFault(stamp, pid, pid, pid & 7, address, latency, "major", "write", True, comm, 4711)
    if which == 2:
        return Sched(stamp, pid, pid, pid & 7, latency, 1, pid, comm, pid + 1, chance.choice(COMMS), 4711)
    if which == 3:
        return Block(stamp, "nvme0n1", *(chance.randrange(10**9) for _ in range(11)))
    return Network(stamp, "enp0s31f6", *(chance.randrange(10**10) for _ in range(8)))


def write_input(path: Path, lines: int, seed: int) -> None:
    """Lines a microsecond apart, in the order of time, ending now."""
    chance, stamp = random.Random(seed), time.time_ns() - lines * 1000
    with path.open("wb") as file:
        for start in range(0, lines, 10_000):
            stamps = range(stamp + start * 1000, stamp + min(lines, start + 10_000) * 1000, 1000)
            file.write(wire.encode_lines([make_event(chance, at) for at in stamps]))


def chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(READ_BYTES):
            yield data


def batches(path: Path) -> Iterator[dict[type[Event], list[Row]]]:
    """The rows of the input as the daemon would commit them."""
    decoder, events, size = LineDecoder(Accounts()), {}, 0
    for data in chunks(path):
        for kind, rows in decoder.feed(data).events.items():
            events.setdefault(kind, []).extend(rows)
        size += len(data)
        if size >= LARGEST_BATCH_BYTES:
            yield events
            events, size = {}, 0
    decoder.finish()
    yield events


# --- whole runs -------------------------------------------------------------------------------------


def run_daemon(
    source: Path, folder: Path, lines: int, *, seals: bool, kinds: tuple[type[Event], ...] = KINDS
) -> dict[str, float]:
    """One load from a file by a process of its own."""
    path = folder / "run.db"
    if seals:
        command = [str(Path(sys.executable).with_name("kernelsight")), "ingest", "--db-path", str(path)]
    else:
        command = [sys.executable, __file__, "--load-without-seals", str(path)]
    begun = time.perf_counter()
    with source.open("rb") as stdin, subprocess.Popen(command, stdin=stdin, stderr=subprocess.DEVNULL) as process:
        usage, peak_rss_mb = wait_for(process)
    took = time.perf_counter() - begun
    assert process.returncode == 0, command
    if seals:
        begun = time.perf_counter()
        writer = SqliteWriter(path)
        while writer.unsealed():
            writer.maintain(budget_s=1.0)
        writer.close()
        took += time.perf_counter() - begun
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    landed = sum(connection.execute(f"SELECT count(*) FROM {kind_of(kind).table}").fetchone()[0] for kind in kinds)
    connection.close()
    figures = {
        "events_per_s": lines / took,
        "cpu_us_per_event": 1e6 * (usage.ru_utime + usage.ru_stime) / lines,
        "peak_rss_mb": peak_rss_mb,
        "bytes_per_event": path.stat().st_size / lines,
        "rows_landed": landed,
    }
    clear(folder)
    return figures


def wait_for(process: subprocess.Popen[bytes]) -> tuple[resource.struct_rusage, float]:
    """Wait for the end; what was used, and the peak in MB (``ru_maxrss`` would include this process before exec)."""
    peak_kb = 0
    while True:
        status = Path(f"/proc/{process.pid}/status").read_text()
        if high_water := re.search(r"VmHWM:\s+(\d+)", status):
            peak_kb = int(high_water[1])
        pid, code, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(code)
            return usage, peak_kb / 1024
        time.sleep(0.02)


def load_without_seals(path: str) -> int:
    """What the command does, with segments that never fill."""
    writer = SqliteWriter(Path(path), segment_rows=10**12)
    gc.set_threshold(50_000, 10, 10)
    with Interrupts() as interrupts:
        source = InputStream(0, interrupts.fd)
        code = Daemon(source, interrupts, writer, db_path=path, settings=Settings(), log=sys.stderr).run()
    writer.close()
    return code


def clear(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


# --- the same rows in C -----------------------------------------------------------------------------


class CProgram:
    """The comparator: its program, its input and its schema."""

    def __init__(self, source: Path, folder: Path) -> None:
        self.program, self.rows = folder / "ingest", folder / "rows.bin"
        self.schema, self.indexes, self.nothing = (folder / f"{n}.sql" for n in ("schema", "indexes", "nothing"))
        code = Path(__file__).with_suffix(".c")
        subprocess.run(["gcc", "-O2", "-Wall", "-o", self.program, code, "-lsqlite3"], check=True)
        kinds = [kind_of(kind) for kind in KINDS]
        pragmas = "page_size=8192 journal_mode=WAL synchronous=NORMAL cache_size=-64000 wal_autocheckpoint=4000"
        self.schema.write_text(
            "".join(f"PRAGMA {pragma};" for pragma in pragmas.split())
            + ";".join(ddl.create_segment(kind, 1) for kind in kinds)
        )
        indexes = [(kind, columns) for kind in kinds for columns in ddl.index_columns(kind)]
        self.indexes.write_text(";".join(ddl.create_index(kind.table, 1, columns) for kind, columns in indexes))
        self.nothing.write_text("")
        with self.rows.open("wb") as file:
            statements = [insert(kind).encode() for kind in kinds]
            file.write(struct.pack("=I", len(statements)))
            file.writelines(struct.pack("=I", len(sql)) + sql for sql in statements)
            for batch in batches(source):
                for struct_type, rows in batch.items():
                    which = bytes([KINDS.index(struct_type)])
                    file.writelines(which + b"".join(map(packed, row)) for row in rows)
                file.write(b"\xff")

    def run(self, folder: Path, *, indexed: bool) -> dict[str, Any]:
        path, indexes = folder / "c.db", self.indexes if indexed else self.nothing
        command = [self.program, path, self.schema, self.rows, indexes]
        rows, seconds, version = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        clear(folder)
        return {"rows_per_s": int(rows) / float(seconds), "sqlite": version}


def insert(kind: Kind) -> str:
    """The statement that the store would use: the stamp is the id too."""
    return ddl.insert_rows(ddl.segment_name(kind.table, 1), kind.column_names, 1, with_id=False)


def packed(value: object) -> bytes:
    if value is None:
        return b"n"
    if isinstance(value, float):
        return b"r" + struct.pack("=d", value)
    if isinstance(value, str):
        return b"t" + struct.pack("=I", len(value.encode())) + value.encode()
    return b"i" + struct.pack("=q", int(value))  # type: ignore[call-overload]


# --- the stages apart -------------------------------------------------------------------------------


def stages(source: Path, folder: Path, lines: int) -> dict[str, float]:
    """Microseconds an event of each stage, one after the other, over the same input."""
    gc.set_threshold(50_000, 10, 10)
    times: dict[str, float] = dict.fromkeys(
        ("read", "decode", "decode_and_group", "bind_insert", "commit", "seal"), 0.0
    )

    def timed(stage: str, action: Callable[[], Any]) -> Any:
        begun = time.perf_counter()
        result = action()
        times[stage] += time.perf_counter() - begun
        return result

    reading = chunks(source)
    while timed("read", lambda: next(reading, None)):
        pass
    decode_lines = wire.decoder().decode_lines
    rest = b""
    for data in chunks(source):
        whole, _, rest = (rest + data).rpartition(b"\n")
        timed("decode", lambda whole=whole: decode_lines(whole))
    decoder = LineDecoder(Accounts())
    for data in chunks(source):
        timed("decode_and_group", lambda data=data: decoder.feed(data))

    (folder / "stages.db").touch()  # the store makes it with the right mode; SQLite only opens it
    connection = connect_writer(folder / "stages.db")
    checkpointer = Checkpointer(folder / "stages.db", connection)
    for kind in KINDS:
        connection.execute(ddl.create_segment(kind_of(kind), 1))
    for batch in batches(source):
        connection.execute("BEGIN IMMEDIATE")
        for kind, rows in batch.items():
            timed("bind_insert", lambda k=kind, r=rows: connection.executemany(insert(kind_of(k)), r))
        timed("commit", lambda: connection.execute("COMMIT"))
    for kind in map(kind_of, KINDS):
        for columns in ddl.index_columns(kind):
            timed("seal", lambda k=kind, c=columns: connection.execute(ddl.create_index(k.table, 1, c)))
    checkpointer.close()
    connection.close()
    clear(folder)
    return {f"{stage}_us": 1e6 * seconds / lines for stage, seconds in times.items()}


FOREIGN_ROUNDS = 7
MEMINFO = (
    *("MemTotal", "MemFree", "MemAvailable", "Buffers", "Cached", "SwapTotal", "SwapFree", "Active", "Inactive"),
    *("Dirty", "Writeback", "Slab"),
)
OF_REQUESTS = ("count", "bytes", "p50_us", "p95_us", "p99_us", "max_us")
OF_INTERFACES = tuple(f"{way}_{what}" for way in ("rx", "tx") for what in ("bytes", "packets", "errors", "drops"))


def foreign_lines(lines: int, seed: int) -> dict[str, Any]:
    """Six shapes of other collectors, mixed: by translators, by the reference alone, and `json.loads` alone.

    The rounds take turns; a ratio is the median of those of each round. CPU time.
    """
    texts = list(six_shapes(lines, random.Random(seed)))
    data = [b"".join(texts[start : start + 1000]) for start in range(0, lines, 1000)]

    def by_json() -> float:
        begun = time.process_time()
        for text in texts:
            json.loads(text)
        return time.process_time() - begun

    def by_decoder(shapes: Shapes) -> float:
        decoder, begun = LineDecoder(Accounts(), shapes=shapes), time.process_time()
        landed = sum(len(rows) for chunk in data for rows in decoder.feed(chunk).events.values())
        took = time.process_time() - begun
        assert landed == lines, landed
        return took

    rounds = [(by_json(), by_decoder(Shapes()), by_decoder(Shapes(pays_after=lines))) for _ in range(FOREIGN_ROUNDS)]
    loads, translated, reference = (statistics.median(column) for column in zip(*rounds, strict=True))
    return {
        "bytes_per_line": sum(map(len, texts)) / lines,
        "json_loads_per_s": lines / loads,
        "events_per_s": lines / translated,
        "events_per_s_by_reference": lines / reference,
        "times_json_loads": statistics.median(alone / ours for alone, ours, _ in rounds),
        "times_reference": statistics.median(slow / ours for _, ours, slow in rounds),
    }


def six_shapes(lines: int, chance: random.Random) -> Iterator[bytes]:
    """Lines in the words of six collectors: nested, in other units, hexadecimal, with and without a type."""
    now, monotonic = time.time_ns() - lines * 1000, time.clock_gettime_ns(time.CLOCK_MONOTONIC) - lines * 1000
    for at in range(lines):
        yield json.dumps(foreign_event(at % 6, now + at * 1000, monotonic + at * 1000, chance)).encode() + b"\n"


def foreign_runs(scratch: Path, options: argparse.Namespace) -> list[dict[str, float]]:
    """The daemon with such lines, from a file to sealed segments."""
    source, lines = scratch.with_name("foreign.ndjson"), min(options.lines, 600_000)
    with source.open("wb") as file:
        file.writelines(six_shapes(lines, random.Random(options.seed)))
    kinds = (PageFault, Memory, Syscall, IoLatency, Network, Load)
    return [run_daemon(source, scratch, lines, seals=True, kinds=kinds) for _ in range(options.rounds)]


def foreign_event(which: int, now: int, monotonic: int, chance: random.Random) -> dict[str, Any]:
    pid, comm, number = chance.randrange(300, 4_000_000), chance.choice(COMMS), chance.randrange
    if which == 0:
        address = hex(number(0x7F0000000000, 0x7FFFFFFFFFFF))
        flags = {name: number(2) == 1 for name in ("is_major", "is_write", "is_kernel", "is_instruction")}
        fault = {"pid": pid, "tid": pid, "comm": comm, "address": address, "latency_us": number(10**6) / 1000, "cpu": 3}
        return {"timestamp": monotonic, "time_str": "12:34:56", **fault, **flags, "type": "pagefault"}
    if which == 1:
        memory = {name: number(1 << 24) for name in MEMINFO}
        return {"timestamp": now, "type": "meminfo", "data": memory}
    if which == 2:
        call = chance.choice(("read", "write", "openat", "futex"))
        return {
            "ts": now / 1e9,
            "pid": pid,
            "tid": pid,
            "syscall": call,
            "latency_ms": number(10**5) / 1000,
            "comm": comm,
        }
    if which == 3:
        read, write = ({name: number(1 << 20) for name in OF_REQUESTS} for _ in range(2))
        return {"timestamp": now // 10**6, "device": "sda", "read": read, "write": write}
    if which == 4:
        stamp = f"{time.strftime('%FT%T', time.gmtime(now // 10**9))}.{now % 10**9 // 1000:06d}Z"
        counters = {name: number(1 << 40) for name in OF_INTERFACES}
        return {"timestamp": stamp, "interface": "eth0", **counters}
    load = {f"load_{minutes}min": number(400) / 100 for minutes in (1, 5, 15)}
    load |= {"running_processes": number(9), "total_processes": number(900), "last_pid": pid}
    return {"timestamp": now, "type": "loadavg", "data": load}


# --- at a given rate, and at rest -------------------------------------------------------------------


def at_rate(source: Path, folder: Path, rate: int, seconds: float) -> dict[str, float]:
    """Offer lines at a rate through a pipe, every millisecond what is due by then."""
    command = [str(Path(sys.executable).with_name("kernelsight")), "ingest", "--verbose"]
    command += ["--db-path", str(folder / "rate.db")]
    log_path = folder / "log"
    with log_path.open("wb") as log, subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log, bufsize=0) as process:
        assert process.stdin
        with source.open("rb") as file:
            sent, begun = 0, time.monotonic()
            while (elapsed := time.monotonic() - begun) < seconds:
                due = int(elapsed * rate)
                process.stdin.write(b"".join(file.readline() for _ in range(due - sent)))
                sent = due
                time.sleep(0.001)
        process.stdin.close()
        usage, peak_rss_mb = wait_for(process)
    commits = [tuple(map(float, match.groups())) for match in COMMITTED.finditer(log_path.read_text())]
    assert sum(count for count, _, _ in commits) == sent, log_path.read_text()[-2000:]
    clear(folder)
    return {
        "offered_per_s": sent / seconds,
        "commits": len(commits),
        "commit_p50_ms": percentile([took for _, took, _ in commits], 50),
        "commit_p99_ms": percentile([took for _, took, _ in commits], 99),
        "commit_max_ms": max(took for _, took, _ in commits),
        "arrival_to_commit_p50_ms": percentile([waited for _, _, waited in commits], 50),
        "arrival_to_commit_p99_ms": percentile([waited for _, _, waited in commits], 99),
        "cpu_percent": 100 * (usage.ru_utime + usage.ru_stime) / seconds,
        "peak_rss_mb": peak_rss_mb,
    }


def percentile(values: list[float], share: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * share // 100)]


def idle(folder: Path) -> dict[str, float]:
    """A daemon that has stored one event and waits."""
    path = folder / "idle.db"
    command = [str(Path(sys.executable).with_name("kernelsight")), "ingest", "--db-path", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0) as process:
        assert process.stdin
        process.stdin.write(wire.encode_lines([Block(time.time_ns(), "sda", 1)]))
        time.sleep(3)
        before, seconds = cpu_ticks(process.pid), 5
        time.sleep(seconds)
        ticks = cpu_ticks(process.pid) - before
        status = Path(f"/proc/{process.pid}/status").read_text()
        process.stdin.close()
        process.wait()
    clear(folder)
    rss = int(re.search(r"VmRSS:\s+(\d+)", status)[1])  # type: ignore[index]
    return {"rss_mb": rss / 1024, "cpu_percent": 100 * ticks / os.sysconf("SC_CLK_TCK") / seconds}


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


# --- all together -----------------------------------------------------------------------------------


def medians(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    numbers = [name for name, value in rounds[0].items() if isinstance(value, int | float)]
    figures: dict[str, Any] = {name: round(statistics.median(r[name] for r in rounds), 2) for name in numbers}
    return figures | {"rounds": [round(r[numbers[0]]) for r in rounds]}


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    source, scratch = folder / "input.ndjson", folder / "scratch"
    scratch.mkdir()
    write_input(source, options.lines, options.seed)
    parts = [part for part in PARTS if part not in options.skip]
    result: dict[str, Any] = {"lines": options.lines, "line_bytes": round(source.stat().st_size / options.lines, 1)}
    c_program = CProgram(source, folder) if "c" in parts else None
    runs: dict[str, list[dict[str, Any]]] = {}
    for _ in range(options.rounds):  # taking turns, so that noise on the machine meets all of them
        if "ingest" in parts:
            runs.setdefault("ingest", []).append(run_daemon(source, scratch, options.lines, seals=True))
        if "between_seals" in parts:
            runs.setdefault("between_seals", []).append(run_daemon(source, scratch, options.lines, seals=False))
        if c_program:
            runs.setdefault("c", []).append(c_program.run(scratch, indexed=False))
    result |= {name: medians(rounds) for name, rounds in runs.items()}
    if c_program:
        result["c_indexes_online"] = c_program.run(scratch, indexed=True)
        if "between_seals" in runs:
            pairs = zip(runs["between_seals"], runs["c"], strict=True)
            result["share_of_c"] = round(statistics.median(a["events_per_s"] / c["rows_per_s"] for a, c in pairs), 3)
    if "stages" in parts:
        result["stages"] = medians([stages(source, scratch, options.lines) for _ in range(options.rounds)])
        del result["stages"]["rounds"]
    result |= {part: single(part, source, scratch, options) for part in ("foreign", "rates", "idle") if part in parts}
    return result


def single(part: str, source: Path, scratch: Path, options: argparse.Namespace) -> dict[str, Any]:
    """A part that takes no turns with others."""
    if part == "rates":
        return {str(rate): at_rate(source, scratch, rate, options.rate_seconds) for rate in (1_000, 50_000)}
    if part == "idle":
        return idle(scratch)
    figures = foreign_lines(min(options.lines, 120_000), options.seed)
    return figures | {"ingest": medians(foreign_runs(scratch, options))}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--lines", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate-seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--skip", action="append", default=[], choices=PARTS)
    parser.add_argument("--load-without-seals", metavar="DB", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load_without_seals:
        sys.exit(load_without_seals(options.load_without_seals))
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(options, Path(folder)), indent=2))


if __name__ == "__main__":
    main()
