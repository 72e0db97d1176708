"""Storms of interrupts, stalls for huge pages, full memory nodes; and machines that are busy with such and are well."""

import pytest
from scenes import END, FROM, LENGTH, SECOND, START, stored, used

from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.check import check
from kernelsight.events.block import Block
from kernelsight.events.interrupt import Interrupt
from kernelsight.events.memory import PageFaultStats, Vmstat
from kernelsight.events.network import Network
from kernelsight.events.numa import NumaNode
from kernelsight.events.pressure import Pressure
from kernelsight.events.process import Process
from kernelsight.events.scheduler import Cpu

SECONDS = range(LENGTH)


def findings(tmp_path, *parts):
    path = stored(tmp_path / "db", [event for part in parts for event in part])
    found = diagnose(path, START, END)
    assert check(path, found) == []
    return [(one.fault, one.culprit.kind, one.culprit.id) for one in found.findings]


def at(second):
    return START + second * SECOND + 5


def since(second):
    """Seconds of the fault up to a second."""
    return max(0, second - FROM)


# --- interrupts --------------------------------------------------------------------------------------


def cpus(*, busy, irq=0):
    """Two CPUs, of which the second one spends a share of the fault's time busy, and ticks of it in interrupts."""
    for second in SECONDS:
        ticks = 100 * second
        taken, hard = int(busy * 100 * since(second)), irq * since(second)
        yield Cpu(at(second), cpu=0, user=ticks // 10, system=0, idle=ticks - ticks // 10, irq=0)
        yield Cpu(at(second), cpu=1, user=taken - hard, system=0, idle=ticks - taken, irq=hard)


def raised(source, per_s, *, origin="device", device="eth9"):
    for second in SECONDS:
        yield Interrupt(
            at(second), source=source, cpu=1, origin=origin, device=device, raised=100 * second + per_s * since(second)
        )


def packets(name, per_s):
    for second in SECONDS:
        yield Network(at(second), interface_name=name, rx_packets=per_s * second, rx_bytes=100 * per_s * second,
                      tx_packets=0, tx_bytes=0)  # fmt: skip


def requests(per_s):
    for second in SECONDS:
        yield Block(at(second), device_name="nvme0n1", read_ios=per_s * second, write_ios=0)


STORM = [("irq_storm", "device", "36")]


def test_a_device_that_raises_interrupts_for_nothing_is_named(tmp_path):
    assert findings(tmp_path, cpus(busy=1), raised("36", 60_000), packets("eth9", 200)) == STORM


def test_where_the_kernel_counts_the_time_of_interrupts_it_decides(tmp_path):
    assert findings(tmp_path, cpus(busy=1, irq=30), raised("36", 60_000)) == STORM


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([cpus(busy=0.5), raised("36", 60_000)], id="a CPU with time left"),
        pytest.param([cpus(busy=1, irq=2), raised("36", 60_000)], id="they take no time"),
        pytest.param([cpus(busy=1), raised("36", 60_000), requests(50_000)], id="a disk does its work"),
        pytest.param([cpus(busy=1), raised("36", 60_000), packets("eth9", 70_000)], id="a network does its work"),
        pytest.param([cpus(busy=1), raised("RES", 90_000, origin="processor")], id="CPUs wake each other"),
        pytest.param([cpus(busy=1), raised("NET_RX", 90_000, origin="softirq")], id="packets"),
        pytest.param([cpus(busy=1), raised("36", 15_000)], id="not so many"),
    ],
)
def test_many_interrupts_that_harm_nobody_are_none(tmp_path, parts):
    assert findings(tmp_path, *parts) == []


def test_packets_of_loopback_are_no_work_of_a_device(tmp_path):
    assert findings(tmp_path, cpus(busy=1), raised("36", 60_000), packets("lo", 90_000)) == STORM


def test_who_sets_timers_is_named_for_the_interrupts_of_a_timer(tmp_path):
    timer = raised("LOC", 80_000, origin="processor", device="Local timer interrupts")
    ticker = [*used(60, "ticker", 900, 0, since=FROM, slept=30_000)]
    waits = used(61, "shop", 90, 300, since=FROM, slept=30_000)
    assert ("irq_storm", "process", "60") in findings(tmp_path / "harm", cpus(busy=1), timer, ticker, waits)
    assert findings(tmp_path / "none", cpus(busy=1), timer, ticker) == []


# --- huge pages --------------------------------------------------------------------------------------


def compacted(per_s, *, huge, failed=0, scanned=5_000, refaults=0):
    for second in SECONDS:
        n = since(second)
        yield Vmstat(
            at(second), compact_stall=per_s * n, compact_fail=failed * n, compact_success=(per_s - failed) * n,
            compact_migrate_scanned=scanned * per_s * n, thp_fault_alloc=huge * n, thp_fault_fallback=failed * n,
            thp_collapse_alloc=0, thp_collapse_alloc_failed=0, pgfault=1000 * second, pgmajfault=refaults * n,
            workingset_refault_file=refaults * n, workingset_refault_anon=0, pswpin=0,
        )  # fmt: skip


def faults(pid, comm, per_s, mean_us):
    for second in range(FROM, LENGTH):
        yield PageFaultStats(
            at(second), pid=pid, comm=comm, minor_faults=per_s, major_faults=0, fault_ns=per_s * mean_us * 1000
        )


STALL = [("huge_page_stall", "process", "60")]


def test_a_program_that_waits_for_huge_pages_is_named(tmp_path):
    rows = [*faults(60, "heap", 100, 4_000), *faults(61, "shell", 900, 1)]
    assert findings(tmp_path, compacted(100, huge=60, failed=40), rows) == STALL


def test_a_few_compactions_that_take_long_each_are_enough(tmp_path):
    assert findings(tmp_path, compacted(1, huge=3, scanned=500), faults(60, "heap", 5, 150_000)) == STALL


def test_without_tracers_the_stalls_of_the_machine_tell(tmp_path):
    stalled = [
        Pressure(at(second), resource="memory", scope="system", some_total_us=200_000 * since(second))
        for second in SECONDS
    ]
    found = findings(tmp_path, compacted(100, huge=60, failed=40), stalled)
    assert [fault for fault, *_ in found] == ["huge_page_stall"]


def test_without_tracers_whoever_is_in_the_kernel_most_is_named_with_its_time_there(tmp_path):
    stalled = [
        Pressure(at(second), resource="memory", scope="system", some_total_us=200_000 * since(second))
        for second in SECONDS
    ]
    samples = [
        Process(at(second), pid=pid, comm=comm, ppid=1, start_ticks=5, stime_ms=ms * since(second), state="R")
        for second in SECONDS
        for pid, comm, ms in ((60, "heap", 700), (61, "shell", 20))
    ]
    path = stored(tmp_path / "db", [*compacted(100, huge=60, failed=40), *stalled, *samples])
    diagnosis = diagnose(path, START, END)
    assert check(path, diagnosis) == []
    (one,) = diagnosis.findings
    assert (one.fault, one.culprit.id) == ("huge_page_stall", "60")
    assert any("heap (60) used more CPU time in the kernel than any other process" in step.claim for step in one.path)


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([compacted(0, huge=2000), faults(60, "heap", 2000, 150)], id="a large heap, and free blocks"),
        pytest.param([compacted(100, huge=60), faults(60, "heap", 100, 80)], id="they take no time"),
        pytest.param([compacted(100, huge=5), faults(60, "heap", 100, 4_000)], id="for other blocks"),
        pytest.param([compacted(100, huge=60, scanned=8), faults(60, "heap", 100, 4_000)], id="it is given up at once"),
    ],
)
def test_huge_pages_that_make_nobody_wait_are_no_fault(tmp_path, parts):
    assert findings(tmp_path, *parts) == []


# --- memory nodes --------------------------------------------------------------------------------------


def nodes(*, foreign, hits=20_000, free_kb=20_000, room_kb=900_000, cache_kb=5_000):
    for second in SECONDS:
        n = since(second)
        yield NumaNode(
            at(second), node=0, mem_total_kb=1_000_000, mem_free_kb=free_kb, file_pages_kb=cache_kb,
            numa_hit=hits * second, numa_miss=0, numa_foreign=foreign * n, local_node=hits * second, other_node=0,
        )  # fmt: skip
        yield NumaNode(
            at(second), node=1, mem_total_kb=1_000_000, mem_free_kb=room_kb, file_pages_kb=5_000,
            numa_hit=hits * second, numa_miss=foreign * n, numa_foreign=0, local_node=0, other_node=foreign * n,
        )  # fmt: skip


def test_a_node_that_is_full_while_another_has_room_is_named(tmp_path):
    assert findings(tmp_path, nodes(foreign=8_000)) == [("numa_pressure", "device", "node0")]


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([nodes(foreign=100)], id="a few pages"),
        pytest.param([nodes(foreign=1_500)], id="of very many"),
        pytest.param([nodes(foreign=8_000, room_kb=20_000)], id="no node has room"),
        pytest.param([nodes(foreign=3_000, free_kb=600_000)], id="by a policy"),
        pytest.param([nodes(foreign=0)], id="full of its own"),
    ],
)
def test_memory_that_lies_where_it_should_is_no_fault(tmp_path, parts):
    assert findings(tmp_path, *parts) == []
