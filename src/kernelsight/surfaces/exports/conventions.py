"""Columns under the names of OpenTelemetry's semantic conventions for systems (`system.*`, version 1.30).

Source: https://opentelemetry.io/docs/specs/semconv/system/system-metrics/. A column that is not here is sent as
`kernelsight.<kind>.<column>`, in its base unit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kernelsight.events.block import Block
from kernelsight.events.fields import Field
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.memory import Memory, Vmstat
from kernelsight.events.network import Network
from kernelsight.events.scheduler import Cpu, Load

Column = tuple[str, str]
"""The names of a kind's struct and of a column."""


@dataclass(frozen=True, slots=True)
class Convention:
    """What a column is called, and the attributes that tell it from others of the same name."""

    name: str
    attributes: Mapping[str, str]


ATTRIBUTE_OF_LABEL = {
    "device_name": "system.device",
    "device": "system.device",
    "interface_name": "network.interface.name",
    "mount_point": "system.filesystem.mountpoint",
    "fs_type": "system.filesystem.type",
    "cpu": "cpu.logical_number",
    "comm": "process.command",
    "pid": "process.pid",
}
"""What the labels are called; others keep the column's name behind `kernelsight.`."""


def _one(field: Field[Any, Any], name: str, **attributes: str) -> tuple[Field[Any, Any], Convention]:
    return field, Convention(name, {key.replace("__", "."): value for key, value in attributes.items()})


def _each(
    name: str, attribute: str, states: Iterable[tuple[str, Field[Any, Any]]]
) -> Sequence[tuple[Field[Any, Any], Convention]]:
    return [(field, Convention(name, {attribute: state})) for state, field in states]


_ALL: Sequence[tuple[Field[Any, Any], Convention]] = (
    *_each(
        "system.cpu.time",
        "cpu.mode",
        [
            ("user", Cpu.user),
            ("nice", Cpu.nice),
            ("system", Cpu.system),
            ("idle", Cpu.idle),
            ("iowait", Cpu.iowait),
            ("interrupt", Cpu.irq),
            ("softirq", Cpu.softirq),
            ("steal", Cpu.steal),
        ],
    ),
    *_each(
        "system.memory.usage",
        "system.memory.state",
        [("free", Memory.mem_free_kb), ("buffers", Memory.buffers_kb), ("cached", Memory.cached_kb)],
    ),
    _one(Memory.mem_total_kb, "system.memory.limit"),
    _one(Memory.mem_available_kb, "system.memory.linux.available"),
    *_each(
        "system.memory.linux.slab.usage",
        "system.memory.linux.slab.state",
        [("reclaimable", Memory.slab_reclaimable_kb), ("unreclaimable", Memory.slab_unreclaimable_kb)],
    ),
    _one(Memory.swap_free_kb, "system.paging.usage", system__paging__state="free"),
    _one(Vmstat.pgmajfault, "system.paging.faults", system__paging__fault__type="major"),
    *_each(
        "system.paging.operations",
        "system.paging.direction",
        [("in", Vmstat.pswpin), ("out", Vmstat.pswpout)],
    ),
    *_each("system.disk.io", "disk.io.direction", [("read", Block.read_sectors), ("write", Block.write_sectors)]),
    *_each("system.disk.operations", "disk.io.direction", [("read", Block.read_ios), ("write", Block.write_ios)]),
    *_each("system.disk.merged", "disk.io.direction", [("read", Block.read_merges), ("write", Block.write_merges)]),
    *_each(
        "system.disk.operation_time",
        "disk.io.direction",
        [("read", Block.read_ticks), ("write", Block.write_ticks)],
    ),
    _one(Block.io_ticks, "system.disk.io_time"),
    *_each(
        "system.network.io", "network.io.direction", [("receive", Network.rx_bytes), ("transmit", Network.tx_bytes)]
    ),
    *_each(
        "system.network.packet.count",
        "network.io.direction",
        [("receive", Network.rx_packets), ("transmit", Network.tx_packets)],
    ),
    *_each(
        "system.network.packet.dropped",
        "network.io.direction",
        [("receive", Network.rx_drops), ("transmit", Network.tx_drops)],
    ),
    *_each(
        "system.network.errors",
        "network.io.direction",
        [("receive", Network.rx_errors), ("transmit", Network.tx_errors)],
    ),
    _one(Filesystem.size_bytes, "system.filesystem.limit"),
    _one(Filesystem.avail_bytes, "system.filesystem.usage", system__filesystem__state="free"),
    _one(Load.total_processes, "system.process.count"),
    _one(Cpu.forks, "system.process.created"),
)

CONVENTIONS: Mapping[Column, Convention] = {
    (field.__objclass__.__name__, field.__name__): convention for field, convention in _ALL
}


def convention_of(struct: type[Any], column: str) -> Convention | None:
    """What the conventions call a column; None where they have no name for it."""
    return CONVENTIONS.get((struct.__name__, column))


def attribute_of(label: str) -> str:
    """The name of the attribute that a label becomes."""
    return ATTRIBUTE_OF_LABEL.get(label, f"kernelsight.{label}")
