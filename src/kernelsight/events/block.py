"""Block devices: counters since boot, and the latency of requests."""

from typing import Annotated

from kernelsight.events.declare import (
    Aka,
    Count,
    Counter,
    Delta,
    Event,
    Gauge,
    Int,
    Label,
    Level32,
    Means,
    Real,
    Spoken,
    Text,
    event,
)


@event(
    table="block_stats",
    source="/sys/block/*/stat",
    entity=("device_name",),
    foreign=("blockstats", "block_stats", "diskstats"),
    recognised_by=(("device_name", "read_ios"), ("device_name", "write_ios"), ("read_ios", "read_sectors")),
    indexes=(("device_name", "timestamp"), ("io_ticks",)),
    matters=("io_ticks", "read_sectors", "write_sectors"),
)
class Block(Event, tag="block"):
    """I/O of one block device since boot (Documentation/block/stat.rst)."""

    device_name: Annotated[Text | None, Label(), Aka("device", "dev", "name")] = None
    read_ios: Annotated[Count | None, Counter("requests")] = None
    read_merges: Annotated[Count | None, Counter("requests")] = None
    read_sectors: Annotated[Count | None, Counter("512 B sectors"), Spoken("read", "disk read", "reader")] = None
    read_ticks: Annotated[Count | None, Counter("ms", bits=32), Aka("read_ticks_ms"), Means("summed over requests")] = (
        None
    )
    write_ios: Annotated[Count | None, Counter("requests")] = None
    write_merges: Annotated[Count | None, Counter("requests")] = None
    write_sectors: Annotated[Count | None, Counter("512 B sectors"), Spoken("write", "disk write", "writer")] = None
    write_ticks: Annotated[
        Count | None, Counter("ms", bits=32), Aka("write_ticks_ms"), Means("summed over requests")
    ] = None
    in_flight: Annotated[
        Level32 | None, Gauge("requests", bits=32), Spoken("queue depth", "io in flight", "request in flight")
    ] = None
    io_ticks: Annotated[
        Count | None,
        Counter("ms", bits=32),
        Aka("io_ticks_ms"),
        Means("time with at least one request in flight"),
        Spoken("disk", "device", "io", "disk io", "disk time", "utilisation", "utilization", "storage"),
    ] = None
    time_in_queue: Annotated[
        Count | None, Counter("ms", bits=32), Aka("time_in_queue_ms"), Means("summed over requests")
    ] = None
    discard_ios: Annotated[Count | None, Counter("requests")] = None
    discard_merges: Annotated[Count | None, Counter("requests")] = None
    discard_sectors: Annotated[Count | None, Counter("512 B sectors")] = None
    discard_ticks: Annotated[Count | None, Counter("ms", bits=32)] = None
    flush_ios: Annotated[Count | None, Counter("requests")] = None
    flush_ticks: Annotated[Count | None, Counter("ms", bits=32)] = None


@event(
    table="io_latency_stats",
    source="eBPF block_rq_insert/issue/complete, every second",
    entity=("device",),
    foreign=("io", "io_latency_stats", "iolatency"),
    recognised_by=(
        ("read_p50_us",),
        ("read_p95_us",),
        ("read_p99_us",),
        ("write_p50_us",),
        ("write_p95_us",),
        ("write_p99_us",),
        ("read_count", "read_bytes"),
        ("write_count", "write_bytes"),
        ("read_count", "write_count"),
    ),
    indexes=(("device", "timestamp"), ("read_p95_us",), ("write_p95_us",)),
    matters=("device_us", "read_count", "write_count"),
)
class IoLatency(Event, tag="io_latency"):
    """Requests that completed within one second on one device, and how long they took."""

    read_count: Annotated[Int | None, Delta("requests")] = None
    read_bytes: Annotated[Int | None, Delta("B")] = None
    read_p50_us: Annotated[Real | None, Gauge("us")] = None
    read_p95_us: Annotated[Real | None, Gauge("us")] = None
    read_p99_us: Annotated[Real | None, Gauge("us")] = None
    read_max_us: Annotated[Real | None, Gauge("us")] = None
    write_count: Annotated[Int | None, Delta("requests")] = None
    write_bytes: Annotated[Int | None, Delta("B")] = None
    write_p50_us: Annotated[Real | None, Gauge("us")] = None
    write_p95_us: Annotated[Real | None, Gauge("us")] = None
    write_p99_us: Annotated[Real | None, Gauge("us")] = None
    write_max_us: Annotated[Real | None, Gauge("us")] = None
    device: Annotated[
        Text | None,
        Label(),
        Aka("device_name", "dev"),
        Means("NULL: all devices together, as some collectors report"),
    ] = None
    discard_count: Annotated[Int | None, Delta("requests")] = None
    discard_bytes: Annotated[Int | None, Delta("B")] = None
    flush_count: Annotated[Int | None, Delta("requests")] = None
    read_queue_p95_us: Annotated[Real | None, Gauge("us"), Means("from insertion to issue")] = None
    write_queue_p95_us: Annotated[Real | None, Gauge("us"), Means("from insertion to issue")] = None
    read_device_p95_us: Annotated[Real | None, Gauge("us"), Means("from issue to completion")] = None
    write_device_p95_us: Annotated[Real | None, Gauge("us"), Means("from issue to completion")] = None
    queue_us: Annotated[Real | None, Delta("us"), Means("sum over requests, from insertion to issue")] = None
    device_us: Annotated[Real | None, Delta("us"), Means("sum over requests, from issue to completion")] = None
    errors: Annotated[Int | None, Delta("requests"), Spoken("io error", "disk error", "storage error")] = None
