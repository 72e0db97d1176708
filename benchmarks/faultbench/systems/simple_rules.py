"""What people do without a diagnosis: sort `top` by a column, or look which resource is used up."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.faultbench.submission import Blamed, Found
from benchmarks.faultbench.system import rule
from benchmarks.faultbench.systems import usage

from kernelsight.events.declare import Event
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.tcp import TcpRetransmit

USED_UP = 0.9
"""A resource of which so much is used is taken for saturated, as in the USE method."""
LOST = 0.02
"""Segments that are sent again, of all: more is taken for loss."""


@rule("top by CPU")
def by_cpu(events: Sequence[Event], end_ns: int) -> list[Found]:
    """The process that computed most in the last 10 s saturates the CPU."""
    return usage.cpu(events, end_ns).findings


@rule("top by I/O")
def by_io(events: Sequence[Event], end_ns: int) -> list[Found]:
    """The process that read and wrote most in the last 10 s saturates the disk."""
    return usage.io(events, end_ns).findings


@rule("top by memory")
def by_memory(events: Sequence[Event], end_ns: int) -> list[Found]:
    """The largest process uses up the memory."""
    return usage.memory(events, end_ns).findings


@rule("loudest process")
def loudest(events: Sequence[Event], end_ns: int) -> list[Found]:
    """The process with the largest share of any of the three is to blame, for that resource."""
    shares = [resource(events, end_ns) for resource in (usage.cpu, usage.io, usage.memory)]
    return max(shares, key=lambda share: share.of_process).findings


@rule("saturated resource")
def saturated(events: Sequence[Event], end_ns: int) -> list[Found]:
    """Nothing, unless a resource is used up by 90 % (CPU, disk, memory, space) or 2 % of the segments are sent again.

    Then the process that uses most of the resource is to blame, of space the mount, of losses the network.
    """
    shares = [resource(events, end_ns) for resource in (usage.cpu, usage.io, usage.memory)]
    full = sorted((share for share in shares if share.of_machine >= USED_UP), key=lambda share: -share.of_machine)
    findings = [finding for share in full for finding in share.findings]
    return [*_full_mounts(events), *_losses(events, end_ns), *findings]


def _full_mounts(events: Sequence[Event]) -> list[Found]:
    last = {row.mount_point: row for row in events if isinstance(row, Filesystem)}
    return [
        Found("disk_full", Blamed("mount", str(mount), str(row.device or "")))
        for mount, row in last.items()
        if row.size_bytes and row.avail_bytes is not None and not row.read_only
        if row.avail_bytes < (1 - USED_UP) * row.size_bytes
    ]


def _losses(events: Sequence[Event], end_ns: int) -> list[Found]:
    samples = usage.rows(events, TcpRetransmit, end_ns)
    again, sent = (
        usage.grown(samples, lambda row: row.retrans_segs or 0),
        usage.grown(samples, lambda row: row.out_segs or 0),
    )
    return [Found("packet_loss", Blamed("network", "network", "network"))] if sent and again >= LOST * sent else []
