"""Memory nodes: each has a row where there are several, and one alone has none."""

import pytest
from recordings import NOW

from kernelsight.collectors.base import Host, open_best
from kernelsight.collectors.sysfs.numa_node import parse_node
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.numa import NumaNode

MEMINFO = b"""
Node 1 MemTotal:        2047996 kB
Node 1 MemFree:           30100 kB
Node 1 MemUsed:         2017896 kB
Node 1 FilePages:         44100 kB
"""
NUMASTAT = b"""numa_hit 2100
numa_miss 14
numa_foreign 900
interleave_hit 11
local_node 2000
other_node 114
"""
ROW = NumaNode(NOW, 1, 2_047_996, 30_100, 44_100, 2100, 14, 900, 11, 2000, 114)


def tree(path, nodes):
    for node in nodes:
        folder = path / f"devices/system/node/node{node}"
        folder.mkdir(parents=True)
        (folder / "meminfo").write_bytes(MEMINFO)
        (folder / "numastat").write_bytes(NUMASTAT)
    (path / "devices/system/node/possible").write_text("0\n")
    return Host(sys=path)


def rows(host):
    _, collector = open_best("numa_node", host)
    found = collector.collect(NOW)
    collector.close()
    collector.close()
    return found


def test_each_of_several_nodes_has_a_row(tmp_path):
    found = rows(tree(tmp_path, (0, 1, 12)))
    assert [row.node for row in found] == [0, 1, 12]
    assert found[1] == ROW


def test_a_machine_with_one_node_has_nothing_to_tell(tmp_path):
    assert rows(tree(tmp_path, (0,))) == []


def test_a_kernel_without_nodes_is_said(tmp_path):
    with pytest.raises(SourceUnavailableError, match="CONFIG_NUMA"):
        open_best("numa_node", Host(sys=tmp_path))


def test_what_a_kernel_does_not_say_is_missing_and_another_text_is_refused():
    assert parse_node(1, MEMINFO, b"numa_hit 5\n", NOW).other_node is None
    assert parse_node(1, b"Node 1 MemFree: 7 kB\n", NUMASTAT, NOW).mem_free_kb == 7
    with pytest.raises(SourceUnavailableError, match="no number"):
        parse_node(1, b"something\n", b"else\n", NOW)
