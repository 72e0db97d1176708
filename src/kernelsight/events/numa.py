"""Memory of machines with several memory nodes (NUMA)."""

from __future__ import annotations

from typing import Annotated

from kernelsight.events.declare import Count, Counter, Event, Gauge, Int, Label, Means, Spoken, event


@event(
    table="numa_nodes",
    source="/sys/devices/system/node/node*/{meminfo,numastat}; where there are several nodes",
    entity=("node",),
    recognised_by=(("node", "numa_miss"),),
    indexes=(("node", "timestamp"),),
    most_per_s=1024,
)
class NumaNode(Event, tag="numa_node"):
    """Memory of one node, and pages that were wanted of it or given by it (Documentation/admin-guide/numastat.rst)."""

    node: Annotated[Int | None, Label()] = None
    mem_total_kb: Annotated[Int | None, Gauge("KiB")] = None
    mem_free_kb: Annotated[Int | None, Gauge("KiB"), Spoken("free memory of a node", scarce=True)] = None
    file_pages_kb: Annotated[Int | None, Gauge("KiB"), Means("page cache on it, which is given back on demand")] = None
    numa_hit: Annotated[Count | None, Counter("pages"), Means("wanted of it and given by it")] = None
    numa_miss: Annotated[
        Count | None, Counter("pages"), Means("given by it though wanted of another node"), Spoken("numa miss")
    ] = None
    numa_foreign: Annotated[Count | None, Counter("pages"), Means("wanted of it and given by another node")] = None
    interleave_hit: Annotated[Count | None, Counter("pages")] = None
    local_node: Annotated[Count | None, Counter("pages"), Means("given by it to who ran on it")] = None
    other_node: Annotated[Count | None, Counter("pages"), Means("given by it to who ran on another node")] = None
