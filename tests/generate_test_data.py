"""Print synthetic telemetry of every kind as NDJSON.

    python tests/generate_test_data.py | python src/pipeline/ingestion_daemon.py --db-path data/test.db

The same seed and end give the same lines. Seconds are simulated one after another up to now, each with one
sample of whatever is sampled every second and some of the events that occur by themselves; the first second
has all kinds.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from itertools import chain, islice
from random import Random

import pipeline_path  # noqa: F401 - finds the project's Python
from kernelsight.events.block import Block, IoLatency
from kernelsight.events.collector import CollectorReport
from kernelsight.events.declare import Column, Counter, Event, Kind, Label
from kernelsight.events.memory import Memory, PageFault
from kernelsight.events.network import Network
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Cpu, Load, Sched, SchedProcess
from kernelsight.events.syscalls import Syscall
from kernelsight.events.tcp import Tcp, TcpRetransmit
from kernelsight.events.wire import encode_lines, kinds

SECOND = 1_000_000_000
LINES_A_SECOND = 27
"""About; it decides how long ago the first second is."""

CALLS = ((0, "read"), (1, "write"), (74, "fsync"), (202, "futex"), (257, "openat"), (232, "epoll_wait"))
PROGRAMS = ("postgres", "nginx", "python3", "backup", "kworker/u8:2")
EPERM, EAGAIN = 1, 11


class Machine:
    """A made-up machine whose counters grow and whose levels wander."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.counters: dict[tuple[str, ...], int] = {}
        self.mem_available_kb = 9_000_000
        self.load = 0.7

    def grown(self, *name: str, by: int) -> int:
        """A counter after it has grown by up to so much."""
        self.counters[name] = self.counters.get(name, 0) + self.random.randrange(by + 1)
        return self.counters[name]

    def second(self, at: int) -> Iterator[Event]:
        """All that happens in one second: samples on the second, events in between, by time."""
        yield from self.system(at)
        for device in ("sda", "nvme0n1"):
            yield self.block(at, device)
            yield self.io_latency(at, device)
        for interface in ("lo", "eth0"):
            yield self.network(at, interface)
        for place, comm in enumerate(PROGRAMS):
            yield self.process(at, 1000 + place, comm)
            yield self.sched_process(at, 1000 + place, comm)
        occurred = [self.syscall, self.syscall, self.page_fault, self.sched]
        moments = sorted(self.random.randrange(1, SECOND) for _ in occurred)
        yield from (made(at + moment) for made, moment in zip(occurred, moments, strict=True))

    def system(self, at: int) -> Iterator[Event]:
        """Samples of the machine as a whole."""
        self.mem_available_kb = min(15_000_000, max(200_000, self.mem_available_kb + self.random.randint(-9000, 8900)))
        cached = self.mem_available_kb // 2
        yield Memory(
            at, mem_total_kb=16_000_000, mem_available_kb=self.mem_available_kb, mem_free_kb=cached // 2,
            buffers_kb=120_000, cached_kb=cached, swap_total_kb=2_000_000,
            swap_free_kb=2_000_000 - self.random.randrange(50_000), active_kb=4_000_000, inactive_kb=2_000_000,
            dirty_kb=self.random.randrange(20_000), writeback_kb=self.random.randrange(500),
        )  # fmt: skip
        self.load = max(0.01, self.load + self.random.uniform(-0.1, 0.1))
        averages = {f"load_{minutes}min": round(self.load * (1 - minutes / 50), 2) for minutes in (1, 5, 15)}
        running = self.random.randrange(1, 6)
        yield Load(at, running_processes=running, total_processes=412, last_pid=self.grown("pid", by=9), **averages)
        for cpu in (-1, 0, 1):
            ticks = {name: self.grown("cpu", str(cpu), name, by=60) for name in ("user", "system", "idle", "iowait")}
            yield Cpu(at, cpu=cpu, nice=0, irq=0, softirq=0, steal=0, **ticks)
        yield Tcp(
            at, established=self.random.randrange(20, 90), syn_sent=0, syn_recv=0, fin_wait1=0, fin_wait2=1,
            time_wait=self.random.randrange(30), close=0, close_wait=self.random.randrange(3), last_ack=0,
            listen=12, closing=0,
        )  # fmt: skip
        sent = self.grown("out_segs", by=5000)
        yield TcpRetransmit(at, retrans_segs=self.grown("retrans", by=3), out_segs=sent, listen_overflows=0)

    def block(self, at: int, device: str) -> Block:
        """One sample of a device."""
        names = ("read_ios", "read_sectors", "read_ticks", "write_ios", "write_sectors", "write_ticks")
        grown = {name: self.grown(device, name, by=400) for name in (*names, "io_ticks", "time_in_queue")}
        return Block(at, device_name=device, read_merges=0, write_merges=0, in_flight=self.random.randrange(4), **grown)

    def io_latency(self, at: int, device: str) -> IoLatency:
        """One second's requests of a device."""
        values: dict[str, float] = {}
        for way in ("read", "write"):
            median = self.random.uniform(80, 900)
            values |= {f"{way}_p50_us": median, f"{way}_p95_us": median * 3, f"{way}_p99_us": median * 6}
            values[f"{way}_max_us"] = median * self.random.uniform(6, 20)
        values = {name: round(value, 1) for name, value in values.items()}
        reads, writes = self.random.randrange(1, 300), self.random.randrange(1, 300)
        return IoLatency(
            at, device=device, read_count=reads, read_bytes=reads * 16_384, write_count=writes,
            write_bytes=writes * 8_192, **values,
        )  # fmt: skip

    def network(self, at: int, interface: str) -> Network:
        """One sample of an interface."""
        grown = {
            f"{way}_{name}": self.grown(interface, way, name, by=by)
            for way in ("rx", "tx")
            for name, by in (("bytes", 900_000), ("packets", 800))
        }
        return Network(at, interface_name=interface, rx_errors=0, rx_drops=0, tx_errors=0, tx_drops=0, **grown)

    def process(self, at: int, pid: int, comm: str) -> Process:
        """One sample of a process."""
        used = self.grown(comm, "utime", by=120)
        return Process(
            at, pid=pid, ppid=1, uid=1000, comm=comm, state="S", threads=4, nice=0, start_ticks=5000 + pid,
            utime_ms=used, stime_ms=used // 4, rss_kb=40_000 + pid * 10, fds=30,
            read_bytes=self.grown(comm, "read", by=90_000), write_bytes=self.grown(comm, "write", by=90_000),
        )  # fmt: skip

    def sched_process(self, at: int, pid: int, comm: str) -> SchedProcess:
        """One second of a process on the scheduler."""
        voluntary, involuntary = self.random.randrange(200), self.random.randrange(20)
        switches = voluntary + involuntary
        used = round(self.random.uniform(1, 300), 3)
        return SchedProcess(
            at, pid=pid, comm=comm, context_switches=switches, voluntary_switches=voluntary,
            involuntary_switches=involuntary, wakeups=voluntary, cpu_time_ms=used,
            avg_timeslice_us=round(used * 1000 / max(1, switches), 1),
        )  # fmt: skip

    def syscall(self, at: int) -> Syscall:
        """A slow system call."""
        number, name = self.random.choice(CALLS)
        place = self.random.randrange(len(PROGRAMS))
        failed = self.random.random() < 0.1
        return Syscall(
            at, pid=1000 + place, tid=1000 + place, cpu=self.random.randrange(2), uid=1000, syscall_nr=number,
            syscall_name=name, latency_ns=int(10_000_000 * self.random.paretovariate(1.3)),
            ret_value=-self.random.choice((EPERM, EAGAIN)) if failed else self.random.randrange(4096),
            is_error=failed, arg0=self.random.randrange(64), comm=PROGRAMS[place],
        )  # fmt: skip

    def page_fault(self, at: int) -> PageFault:
        """A page fault."""
        place = self.random.randrange(len(PROGRAMS))
        major = self.random.random() < 0.2
        return PageFault(
            at, pid=1000 + place, tid=1000 + place, cpu=self.random.randrange(2),
            address=0x7F00_0000_0000 + 4096 * self.random.randrange(1 << 20),
            latency_ns=int((400_000 if major else 900) * self.random.paretovariate(2)),
            fault_type="major" if major else "minor", access_type=self.random.choice(("read", "write", "exec")),
            user_mode=True, comm=PROGRAMS[place],
        )  # fmt: skip

    def sched(self, at: int) -> Sched:
        """A long wait for a CPU."""
        place = self.random.randrange(len(PROGRAMS))
        return Sched(
            at, pid=1000 + place, tid=1000 + place, cpu=self.random.randrange(2),
            latency_ns=int(5_000_000 * self.random.paretovariate(1.6)), prev_state=0, next_pid=1000 + place,
            comm=PROGRAMS[place],
        )  # fmt: skip

    def others(self, at: int, done: set[type[Event]]) -> Iterator[Event]:
        """One event of each kind that has not been made yet, with any values that its columns can have."""
        for kind in kinds().values():
            if kind.struct not in done:
                yield kind.struct(at, **{c.name: self.any_value(kind, c) for c in kind.columns[1:]})  # type: ignore[arg-type]

    def any_value(self, kind: Kind, column: Column) -> object:
        """Some value of a column."""
        if column.choices:
            return self.random.choice(column.choices)
        if isinstance(column.semantics, Counter):
            return self.grown(kind.name, column.name, by=1000)
        some: dict[str, object] = {
            "TEXT": f"{column.name}-{self.random.randrange(3)}",
            "BOOLEAN": self.random.random() < 0.5,
            "REAL": round(self.random.uniform(0, 50), 2),
            "INTEGER": self.random.randrange(4 if isinstance(column.semantics, Label) else 10_000),
        }
        return some[column.type]


def events(seed: int, count: int, end_ns: int) -> Iterator[Event]:
    """So many events, the last ones shortly before the end."""
    machine = Machine(seed)
    start = end_ns - (count // LINES_A_SECOND + 2) * SECOND
    first = list(machine.second(start))
    first[:0] = machine.others(start, {CollectorReport, *map(type, first)})  # no collector is at work here
    later = chain.from_iterable(machine.second(at) for at in range(start + SECOND, end_ns * 2, SECOND))
    return islice(chain(first, later), count)


def main() -> None:
    """Run the command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=1000, help="lines to print (default: 1000)")
    options.add_argument("--seed", type=int, default=1, help="what the values follow from (default: 1)")
    options.add_argument("--end", type=int, metavar="NS", help="nanoseconds since the epoch (default: now)")
    given = options.parse_args()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # ends quietly under `| head`
    made = events(given.seed, given.count, time.time_ns() if given.end is None else given.end)
    while batch := list(islice(made, 1000)):
        sys.stdout.buffer.write(encode_lines(batch))


if __name__ == "__main__":
    main()
