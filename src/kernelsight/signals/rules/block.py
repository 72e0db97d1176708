"""Block devices that are slow, busy or broken."""

from __future__ import annotations

from kernelsight.events.block import Block, IoLatency
from kernelsight.signals.model import Harm, Measure, rule
from kernelsight.signals.registry import declare

DEVICE_BUSY_PERCENT = 95
"""From which on `device_busy` is raised."""
DEVICE_QUEUE_REQUESTS = 32
"""From which on `device_queue_long` is raised."""

declare(
    __name__,
    rule(
        "device_slow",
        Block,
        Measure(
            of=(Block.read_ticks, Block.write_ticks),
            per=(Block.read_ios, Block.write_ios),
            unit="ms per request",
            least_per=5,
        ),
        scope="device",
        levels={"warning": 50},
        raise_after_s=2,
        because="a seek and a turn of a disk take 10 to 15 ms, on flash 0.1 ms: a request of 50 ms "
        "waits for others or for a device that is ill (await of iostat(1))",
        healthy="a copy that keeps the queue of a disk full: as long as it lasts",
        summary="a request of {device_name} takes {amount}",
    ),
    rule(
        "reads_slow",
        Block,
        Measure(of=(Block.read_ticks,), per=(Block.read_ios,), unit="ms per read", least_per=5),
        scope="device",
        levels={"critical": 500},
        raise_after_s=3,
        because="a disk of 80 reads a second needs half a second for one only behind forty others, which few programs "
        "have in flight. Writes are left out: most are made in the background, and a copy keeps their queue full",
        harm=Harm("wait", "whoever reads waits this long for each read"),
        healthy="a disk that must spin up, or reads kept in flight by the dozen: some seconds, or as long as they are",
        summary="a read from {device_name} takes {amount}",
    ),
    rule(
        "device_busy",
        Block,
        Measure(of=(Block.io_ticks,), scale=0.1, unit="%"),
        scope="device",
        levels={"info": DEVICE_BUSY_PERCENT},
        raise_after_s=4,
        because="a request is always in flight; a device that serves several requests at once may "
        "have capacity left (%util of "
        "iostat(1))",
        healthy="a device that is used fully: as long as it is",
        summary="{device_name} is busy {value:.0f} % of the time",
    ),
    rule(
        "device_queue_long",
        Block,
        Measure(of=(Block.time_in_queue,), scale=1e-3, unit="requests"),
        scope="device",
        levels={"warning": DEVICE_QUEUE_REQUESTS},
        raise_after_s=3,
        because="the one queue of a SATA disk holds this many requests (NCQ: 32). A device that "
        "serves many requests at once has as many in flight without being slow; device_slow shows whether it is",
        healthy="an NVMe device under load: as long as that lasts",
        summary="{value:,.0f} requests of {device_name} are queued or in flight",
    ),
    rule(
        "flush_slow",
        Block,
        Measure(of=(Block.flush_ticks,), per=(Block.flush_ios,), unit="ms per flush", least_per=1),
        scope="device",
        levels={"warning": 100, "critical": 1000},
        raise_after_s=2,
        because="a caller of fsync(2) waits for the flush; 0.1 s is noticed, 1 s interrupts (Nielsen 1993)",
        harm=Harm("wait", "callers of fsync(2) wait for the flush"),
        healthy="a copy to a memory stick that ends with sync(1): some seconds",
        summary="a flush of {device_name} takes {amount}",
    ),
    rule(
        "device_errors",
        IoLatency,
        Measure(of=(IoLatency.errors,), unit="requests/s"),
        scope="device",
        levels={"critical": 1},
        because="the request failed for good: the kernel reports it only after its own retries",
        harm=Harm("failure", "a request fails"),
        summary="{value:,.0f} requests/s of {device} fail",
    ),
)
