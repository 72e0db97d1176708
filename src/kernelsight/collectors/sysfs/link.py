"""Links of network interfaces, from /sys/class/net (Documentation/ABI/testing/sysfs-class-net)."""

from __future__ import annotations

from collections.abc import Iterator

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.damage import bounded
from kernelsight.collectors.files import read_once
from kernelsight.collectors.sysfs.values import names, value, word
from kernelsight.collectors.text import name
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.hardware import Link

_INVENTORY_NS = 10 * NS_PER_S
_MOST = 128
"""Interfaces that are looked at: a small file of each every second, five every 10 s."""
_OF_CONTAINERS = ("veth", "cali", "lxc", "tap", "vnet")
"""Beginnings of names of interfaces that come and go with containers and virtual machines: others come first."""
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
        self._last: dict[str, Link | None] = {}
        """Interfaces as they were; None for those that have never been up."""
        if not self._root.is_dir():
            raise SourceUnavailableError(f"no {self._root}: sysfs is not mounted")

    def collect(self, now: int) -> Iterator[Link]:
        """The links that have changed, every 10 s all of them."""
        moment = self._monotonic_ns()
        everything = moment >= self._due
        if everything:
            self._due = moment + _INVENTORY_NS
        found: dict[str, Link | None] = {}
        for interface in sorted(names(self._root), key=_order)[:_MOST]:
            with bounded(f"{self._root}/{interface}"):
                before = self._last.get(interface)
                if not everything and interface in self._last and not (before and self._moved(before)):
                    found[interface] = before
                    continue
                found[interface] = link = self._read(interface, now)
                if link is not None:
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
        if not is_up and not ups:
            return None
        device_type = type_in(read_once(folder / "uevent") or b"")
        operstate, has_device = word(folder / "operstate"), (folder / "device").is_symlink()
        return Link(now, interface, is_up, operstate, ups, downs, device_type, has_device)

    def _moved(self, before: Link) -> bool:
        """Whether a link came or went since."""
        folder = self._root / (before.interface_name or "")
        downs, ups = value(folder / "carrier_down_count"), before.carrier_ups
        return downs != before.carrier_downs or (before.operstate != "up" and value(folder / "carrier_up_count") != ups)


def type_in(uevent: bytes) -> str | None:
    """What kind of device it is, as its `uevent` says; None where that does not."""
    types = (line.removeprefix(b"DEVTYPE=") for line in uevent.splitlines() if line.startswith(b"DEVTYPE="))
    return name(next(types, b"")) or None


def _order(interface: str) -> tuple[bool, str]:
    return interface.startswith(_OF_CONTAINERS), interface
