"""Block devices and file systems."""

from kernelsight.events.block import Block, IoLatency
from kernelsight.events.filesystem import Filesystem
from kernelsight.surfaces.web.chart import Chart, Line, chart

_DISK = "disk"

chart(
    Chart(
        "disk-busy",
        "Busy",
        "Share of the time in which a device had at least one request.",
        Block,
        (Line("", (Block.io_ticks,)),),
        "%",
        _DISK,
        per=(Block.device_name,),
        percent=True,
        rank=11,
    )
)
chart(
    Chart(
        "disk-bytes",
        "Throughput",
        "Bytes that each device reads and writes.",
        Block,
        (Line("read", (Block.read_sectors,)), Line("write", (Block.write_sectors,))),
        "B/s",
        _DISK,
        per=(Block.device_name,),
        rank=12,
    )
)
chart(
    Chart(
        "disk-requests",
        "Requests",
        "Requests a second that each device finishes.",
        Block,
        (Line("reads", (Block.read_ios,)), Line("writes", (Block.write_ios,))),
        "1/s",
        _DISK,
        per=(Block.device_name,),
        rank=13,
    )
)
chart(
    Chart(
        "disk-latency",
        "Latency",
        "The time below which 99 of 100 requests end, queue included, of each second.",
        IoLatency,
        (Line("read p99", (IoLatency.read_p99_us,)), Line("write p99", (IoLatency.write_p99_us,))),
        "s",
        _DISK,
        per=(IoLatency.device,),
        rank=14,
    )
)
chart(
    Chart(
        "disk-queue",
        "In flight",
        "Requests that each device has and has not finished.",
        Block,
        (Line("", (Block.in_flight,)),),
        "",
        _DISK,
        per=(Block.device_name,),
        rank=15,
    )
)
chart(
    Chart(
        "disk-space",
        "Used space",
        "Bytes in use on each file system.",
        Filesystem,
        (Line("used", (Filesystem.size_bytes,), (Filesystem.free_bytes,)),),
        "B",
        _DISK,
        per=(Filesystem.mount_point,),
        rank=16,
    )
)
