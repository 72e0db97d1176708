"""Packets that the kernel dropped, and why (bpf/packet_drops.bpf.c)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Literal, Self

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.bpf.btf import of_kernel
from kernelsight.collectors.bpf.holders import SocketHolders
from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.collectors.bpf.objects import image
from kernelsight.collectors.text import fixed_name
from kernelsight.events.declare import Event
from kernelsight.events.network import PacketDrop

_KEY = Struct("<QQII16s")  # struct drop_key
_COUNT = Struct("<QQ80s")  # struct drop_count
_SUBSYSTEM_SHIFT = 16  # SKB_DROP_REASON_SUBSYS_SHIFT, include/net/dropreason.h
_FORGET_AFTER = 60
Origin = Literal["local", "remote"]
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


@dataclass(slots=True)
class _Counted:
    """What is known of one element of the map."""

    reason: str | None
    interface: str | None
    location: str | None
    origin: Origin
    inode: int
    count: int = 0
    bytes: int = 0
    idle: int = 0


def _event(now: int, known: _Counted, count: int, size: int) -> PacketDrop:
    return PacketDrop(
        timestamp=now,
        reason=known.reason,
        interface_name=known.interface,
        location=known.location,
        origin=known.origin,
        count=count - known.count,
        bytes=size - known.bytes,
    )


@collector("packet_drops", source="bpf", emits=(PacketDrop,))
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
        self._lost = self._object.variable("drops_lost")
        self._reasons = Reasons.of_kernel()
        self._known: dict[bytes, _Counted] = {}

    def collect(self, now: int) -> Iterable[Event]:
        """What was dropped since the last time."""
        found: list[tuple[_Counted, PacketDrop]] = []
        for key, value in self._drops.items():
            count, size, place = _COUNT.unpack(value)
            known = self._known.get(key) or self._learn(key, place)
            if count == known.count:
                known.idle += 1
                continue
            found.append((known, _event(now, known, count, size)))
            known.count, known.bytes, known.idle = count, size, 0
        self._make_room()
        return self._owned(found)

    @property
    def lost(self) -> int:
        """Packets that found the map full."""
        return self._lost.value

    def close(self) -> None:
        """Detach the program."""
        self._object.close()
        self._holders.close()

    def _owned(self, found: Iterable[tuple[_Counted, PacketDrop]]) -> Iterable[Event]:
        """The events, each with a process that has the socket."""
        inodes = {known.inode for known, _ in found if known.inode}
        holders = self._holders.find(inodes)
        for known, event in found:
            if holder := holders.get(known.inode):
                event.pid, event.comm = holder
            yield event

    def _learn(self, key: bytes, place: bytes) -> _Counted:
        _, inode, reason, origin, interface = _KEY.unpack(key)
        names = self._reasons.name(reason), fixed_name(interface) or None, function(fixed_name(place))
        counted = _Counted(*names, _ORIGINS[origin], inode)
        self._known[key] = counted
        return counted

    def _make_room(self) -> None:
        """Give up elements where nothing happens any more, such as those of interfaces that have gone."""
        if 2 * len(self._known) < self._drops.max_entries:
            return
        for key in [key for key, known in self._known.items() if known.idle >= _FORGET_AFTER]:
            self._drops.delete(key)
            del self._known[key]
