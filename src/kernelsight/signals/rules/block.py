"""Block devices that are slow, busy or broken."""

from __future__ import annotations

from kernelsight.events.block import Block, IoLatency
from kernelsight.signals.model import Measure, rule
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
        Measure(of=("read_ticks", "write_ticks"), per=("read_ios", "write_ios"), unit="ms per request", least_per=5),
        scope="device",
        levels={"warning": 50, "critical": 200},
        raise_after_s=2,
        because="a seek and a turn of a disk take 10 to 15 ms, flash 0.1: a request of 50 ms waits for others or for "
        "a device that is ill (await of iostat(1))",
        harm="whoever asked for the request waits so long for it",
        summary="a request of {device_name} takes {amount}",
    ),
    rule(
        "device_busy",
        Block,
        Measure(of=("io_ticks",), scale=0.1, unit="%"),
        scope="device",
        levels={"info": DEVICE_BUSY_PERCENT},
        raise_after_s=4,
        because="always a request in flight; one that serves several at once may have more to give (%util of "
        "iostat(1))",
        summary="{device_name} is busy {value:.0f} % of the time",
    ),
    rule(
        "device_queue_long",
        Block,
        Measure(of=("time_in_queue",), scale=1e-3, unit="requests"),
        scope="device",
        levels={"warning": DEVICE_QUEUE_REQUESTS},
        raise_after_s=3,
        because="as many as the one queue of a SATA disk holds (NCQ: 32); one that serves many at once has as many "
        "under way without being slow, which device_slow tells",
        summary="{value:,.0f} requests of {device_name} are waiting or under way",
    ),
    rule(
        "flush_slow",
        Block,
        Measure(of=("flush_ticks",), per=("flush_ios",), unit="ms per flush", least_per=1),
        scope="device",
        levels={"warning": 100, "critical": 1000},
        raise_after_s=2,
        because="who calls fsync(2) waits for it; 0.1 s is noticed, 1 s interrupts (Nielsen 1993)",
        harm="whoever called fsync(2) waits for it",
        summary="a flush of {device_name} takes {amount}",
    ),
    rule(
        "device_errors",
        IoLatency,
        Measure(of=("errors",), unit="requests/s"),
        scope="device",
        levels={"critical": 1},
        because="a request that failed for good: the kernel has tried again before it says so",
        harm="a request fails",
        summary="{value:,.0f} requests/s of {device} fail",
    ),
)
