"""Links of network interfaces, from /sys/class/net (Documentation/ABI/testing/sysfs-class-net)."""

from __future__ import annotations

from collections.abc import Iterator

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.damage import bounded
from kernelsight.collectors.files import read_once
from kernelsight.collectors.sysfs.values import names, value, word
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.hardware import Link

_INVENTORY_NS = 10 * NS_PER_S
_MOST = 512
"""Interfaces that are looked at: four small files each."""
_IFF_UP = 0x1


@collector(source="sysfs", emits=(Link,))
class LinkCollector:
    """Whether interfaces have a link, and how often it came and went.

    None of these files takes the lock that all of networking shares, as `carrier` and `speed` do.
    """

    def __init__(self, host: Host) -> None:
        self._root = host.sys / "class/net"
        self._monotonic_ns = host.monotonic_ns
        self._due = 0
        self._last: dict[str, Link] = {}
        if not self._root.is_dir():
            raise SourceUnavailableError(f"no {self._root}: sysfs is not mounted")

    def collect(self, now: int) -> Iterator[Link]:
        """The links that have changed, every 10 s all of them."""
        moment = self._monotonic_ns()
        everything = moment >= self._due
        if everything:
            self._due = moment + _INVENTORY_NS
        found: dict[str, Link] = {}
        for interface in names(self._root)[:_MOST]:
            with bounded(f"{self._root}/{interface}"):
                link = self._read(interface, now)
                if link is not None:
                    found[interface] = link
        for interface, link in found.items():
            before = self._last.get(interface)
            if everything or before is None or _state(before) != _state(link):
                yield link
        self._last = found

    def close(self) -> None:
        """Nothing is kept open: interfaces come and go."""

    def _read(self, interface: str, now: int) -> Link | None:
        folder = self._root / interface
        flags = read_once(folder / "flags")
        if not flags:
            return None
        ups, downs = value(folder / "carrier_up_count"), value(folder / "carrier_down_count")
        is_up = bool(int(flags, 16) & _IFF_UP)
        return Link(now, interface, is_up, word(folder / "operstate"), ups, downs) if is_up or ups else None


def _state(link: Link) -> tuple[object, ...]:
    return link.is_up, link.operstate, link.carrier_ups, link.carrier_downs


__all__ = ["LinkCollector"]
