"""Memory nodes, from /sys/devices/system/node (Documentation/ABI/stable/sysfs-devices-node)."""

from __future__ import annotations

import os

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.damage import bounded, parsing
from kernelsight.collectors.files import KernelFile, unavailable
from kernelsight.collectors.text import lines, number, pairs
from kernelsight.events.numa import NumaNode

_COLUMNS = ("numa_hit", "numa_miss", "numa_foreign", "interleave_hit", "local_node", "other_node")
_WORDS_BEFORE = 2
"""Of a line of its meminfo: `Node 0 MemTotal: 24683524 kB`."""


@collector(source="sysfs", emits=(NumaNode,))
class NumaNodeCollector:
    """Memory of each node, and pages that had to come from another one; nothing where there is one node alone."""

    def __init__(self, host: Host) -> None:
        root = host.sys / "devices/system/node"
        self._files: dict[int, tuple[KernelFile, KernelFile]] = {}
        try:
            names = os.listdir(root)  # noqa: PTH208 - names are enough
        except OSError as error:
            raise unavailable(root, error, absent="this kernel knows no memory nodes (CONFIG_NUMA)") from None
        nodes = sorted(int(name[4:]) for name in names if name.startswith("node") and name[4:].isdecimal())
        for node in nodes if len(nodes) > 1 else ():
            folder = root / f"node{node}"
            self._files[node] = KernelFile(folder / "meminfo"), KernelFile(folder / "numastat")

    def collect(self, now: int) -> list[NumaNode]:
        """Read every node once."""
        events: list[NumaNode] = []
        for node, (meminfo, numastat) in self._files.items():
            with bounded(f"/sys/devices/system/node/node{node}"):
                events.append(parse_node(node, meminfo.read(), numastat.read(), now))
        return events

    def close(self) -> None:
        """Close all files."""
        while self._files:
            for file in self._files.popitem()[1]:
                file.close()


def parse_node(node: int, meminfo: bytes, numastat: bytes, now: int) -> NumaNode:
    """Parse what a node says; what a kernel does not say is None.

    Raises:
        SourceUnavailableError: it is not that.
    """
    with parsing(f"/sys/devices/system/node/node{node}/meminfo", meminfo):
        words = (line.split() for line in lines(meminfo))
        sizes = {parts[_WORDS_BEFORE]: parts[_WORDS_BEFORE + 1] for parts in words if len(parts) > _WORDS_BEFORE + 1}
        sized = [number(sizes.get(name)) for name in (b"MemTotal:", b"MemFree:", b"FilePages:")]
    with parsing(f"/sys/devices/system/node/node{node}/numastat", numastat):
        counts = pairs(lines(numastat), b" ")
        counted = [number(counts.get(name.encode())) for name in _COLUMNS]
        if set(sized + counted) == {None}:
            raise ValueError("it has no number")
        return NumaNode(now, node, *sized, *counted)
