"""Packets that the kernel dropped, and why (bpf/packet_drops.bpf.c)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import sub
from typing import Any, Literal, Self

import msgspec

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf.btf import of_kernel
from kernelsight.collectors.bpf.holders import SocketHolders
from kernelsight.collectors.bpf.layout import Records
from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.collectors.bpf.objects import image
from kernelsight.collectors.text import fixed_name
from kernelsight.events.declare import Event
from kernelsight.events.packet_drop import PacketDrop

_SUBSYSTEM_SHIFT = 16  # SKB_DROP_REASON_SUBSYS_SHIFT, include/net/dropreason.h
_FORGET_AFTER = 60
Origin = Literal["local", "remote"]
_LABELS = ("reason", "interface_name", "location", "origin")
_ORIGINS: tuple[Origin, ...] = ("local", "remote")  # enum origin


@dataclass(frozen=True, slots=True)
class Reasons:
    """The kernel's names for why it drops packets; none of kernels that do not say why (before 5.17)."""

    core: Mapping[int, str]
    subsystems: Mapping[int, str]

    @classmethod
    def of_kernel(cls) -> Self:
        """Those of the running kernel."""
        with of_kernel() as types:
            return cls(types.enumeration("skb_drop_reason"), types.enumeration("skb_drop_reason_subsys"))

    def name(self, number: int) -> str | None:
        """Such as `NO_SOCKET`; of a subsystem's own reasons, which its module names, `OPENVSWITCH_3`."""
        if not self.core:
            return None
        subsystem, reason = number >> _SUBSYSTEM_SHIFT, number & 0xFFFF
        if subsystem:
            prefix = self.subsystems.get(subsystem, f"SUBSYSTEM_{subsystem}")
            return f"{prefix.removeprefix('SKB_DROP_REASON_SUBSYS_')}_{reason}"
        return self.core.get(number, f"REASON_{number}").removeprefix("SKB_").removeprefix("DROP_REASON_")


def function(place: str) -> str | None:
    """The function in what the kernel prints for an address; None where it keeps no symbols."""
    return None if place.startswith("0x") else place.split("+0x", 1)[0] or None


class Key(msgspec.Struct, gc=False):
    """What is counted apart (struct drop_key)."""

    inode: int
    reason: int
    origin: int
    interface: bytes


class _Place(msgspec.Struct, gc=False):
    """Where it happened, as the kernel prints it; all else of struct drop_count are sums, with the names of columns."""

    place: bytes


@dataclass(slots=True)
class _Counted:
    """What is known of one element of the map."""

    labels: tuple[str | None, str | None, str | None, Origin]
    inode: int
    sums: tuple[int, ...]
    idle: int = 0


@collector(formerly="packet_drops", source="bpf", emits=(PacketDrop,))
class PacketDrops:
    """Packets that the kernel dropped, in all network namespaces, by reason, interface, function and socket."""

    def __init__(self, host: Host) -> None:  # noqa: ARG002
        self._object = Object(image("packet_drops"), "packet_drops")
        try:
            self._object.attach("on_drop")
            self._holders = SocketHolders()
        except BaseException:
            self._object.close()
            raise
        self._drops = self._object.map("drops")
        types = self._object.types
        count = types.layout("drop_count")
        self._keys, self._places = Records(types.layout("drop_key"), Key), Records(count, _Place)
        self._names = tuple(name for name in count.names if name != "place")
        self._count = self._names.index("count")
        self._sums = count.struct(self._names)
        self._lost = self._object.variable("drops_lost")
        self._reasons = Reasons.of_kernel()
        self._known: dict[bytes, _Counted] = {}

    def collect(self, now: int) -> Iterable[Event]:
        """What was dropped since the last time."""
        moved: list[_Counted] = []
        rows: list[tuple[str | int | None, ...]] = []
        for key, value in self._drops.items():
            sums = self._sums.unpack(value)
            known = self._known.get(key) or self._learn(key, value)
            if sums[self._count] == known.sums[self._count]:
                known.idle += 1
                continue
            moved.append(known)
            rows.append((*known.labels, *map(sub, sums, known.sums)))
            known.sums, known.idle = sums, 0
        self._make_room()
        return self._owned(moved, self._events(now, rows))

    @property
    def lost(self) -> int:
        """Packets that found the map full."""
        return self._lost.value

    def close(self) -> None:
        """Detach the program."""
        self._object.close()
        self._holders.close()

    def _owned(self, moved: Sequence[_Counted], events: Iterable[PacketDrop]) -> Iterable[Event]:
        """The events, each with a process that has the socket."""
        holders = self._holders.find({known.inode for known in moved if known.inode})
        for known, event in zip(moved, events, strict=True):
            if holder := holders.get(known.inode):
                event.pid, event.comm = holder
            yield event

    def _events(self, now: int, rows: Sequence[tuple[str | int | None, ...]]) -> Iterator[PacketDrop]:
        """One for each row of labels and of what the sums, which have the names of columns, grew by."""
        columns: dict[str, Iterable[Any]] = dict(zip((*_LABELS, *self._names), zip(*rows, strict=True), strict=False))
        columns["timestamp"] = repeat(now, len(rows))
        return map(PacketDrop, *(columns.get(name, repeat(None)) for name in PacketDrop.__struct_fields__))

    def _learn(self, key: bytes, value: bytes) -> _Counted:
        what, place = self._keys.at(key), self._places.at(value).place
        names = self._reasons.name(what.reason), fixed_name(what.interface) or None, function(fixed_name(place))
        counted = self._known[key] = _Counted((*names, _ORIGINS[what.origin]), what.inode, (0,) * len(self._names))
        return counted

    def _make_room(self) -> None:
        """Give up elements where nothing happens any more, such as those of interfaces that have gone."""
        if 2 * len(self._known) < self._drops.max_entries:
            return
        for key in [key for key, known in self._known.items() if known.idle >= _FORGET_AFTER]:
            self._drops.delete(key)
            del self._known[key]
