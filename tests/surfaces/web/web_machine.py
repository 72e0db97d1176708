"""A machine whose telemetry is known: ten minutes, in the fifth of which somebody takes the CPUs."""

from __future__ import annotations

import contextlib
import threading
import time

import msgspec

from kernelsight.events.block import Block
from kernelsight.events.memory import Memory
from kernelsight.events.network import Network
from kernelsight.events.pressure import Pressure
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Cpu
from kernelsight.stores.base import Batch, open_writer

SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND
LENGTH = 600
END = START + (LENGTH - 1) * SECOND
BUSY = range(240, 300)
HOSTILE = "<img src=x onerror=alert(1)>\x1b[2J\u202e"
RANGE = {"since": str(START), "until": str(END)}
QUERY = f"since={START}&until={END}"


def busy(second):
    """Share of the CPUs that is used in a second."""
    return 0.9 if second in BUSY else 0.2


def recorded(path):
    """A store of the machine; its path."""
    batch = Batch()
    user = idle = 0
    for second in range(LENGTH):
        at = START + second * SECOND
        user += round(200 * busy(second))
        idle += 200 - round(200 * busy(second))
        of_second = [
            Cpu(at, cpu=-1, user=user, nice=0, system=0, idle=idle, iowait=0, irq=0, softirq=0, steal=0),
            *(Cpu(at, cpu=cpu, user=user // 2, nice=0, system=0, idle=idle // 2, iowait=0, irq=0, softirq=0, steal=0)
              for cpu in (0, 1)),
            Memory(at, mem_total_kb=8_000_000, mem_available_kb=6_000_000 - second * 1000, mem_free_kb=1_000_000,
                   cached_kb=2_000_000, buffers_kb=0, dirty_kb=10, writeback_kb=0, swap_total_kb=0, swap_free_kb=0),
            *(Pressure(at, resource=resource, scope="system", some_total_us=second * 20_000, full_total_us=0)
              for resource in ("cpu", "memory", "io")),
            Block(at, device_name="vda", read_sectors=second * 2_000, write_sectors=second * 4_000,
                  io_ticks=second * 100),
            Network(at, interface_name=HOSTILE[:15], rx_bytes=second * 100_000, tx_bytes=second * 50_000),
            Process(at, pid=70, start_ticks=1, comm=HOSTILE[:15], utime_ms=user * 5, stime_ms=0, rss_kb=50_000),
            Process(at, pid=71, start_ticks=2, comm="quiet", utime_ms=second, stime_ms=0, rss_kb=90_000),
        ]  # fmt: skip
        for event in of_second:
            batch.events.setdefault(type(event), []).append(msgspec.structs.astuple(event))
    writer = open_writer(str(path))
    assert not writer.write(batch)
    writer.close()
    return str(path)


@contextlib.contextmanager
def now_recorded(database):
    """The machine goes on: samples of memory arrive, as long as the block lasts."""
    ends = threading.Event()

    def write():
        writer = open_writer(database)
        while not ends.wait(0.3):
            memory = Memory(time.time_ns(), mem_total_kb=8_000_000, mem_available_kb=5_000_000, mem_free_kb=1_000_000,
                            cached_kb=2_000_000, buffers_kb=0, dirty_kb=10, writeback_kb=0, swap_total_kb=0,
                            swap_free_kb=0)  # fmt: skip
            writer.write(Batch(events={Memory: [msgspec.structs.astuple(memory)]}))
        writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()
