"""What questions are about: the words that people use, and the metrics that they mean."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kernelsight.diagnosis.model import How
from kernelsight.events.declare import Column, Counter, Delta, Kind
from kernelsight.events.wire import kinds, tables

_NAMED = re.compile(r"\b([a-z_]+)\.([a-z0-9_]+)\b", re.ASCII)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric that can answer a question."""

    table: str
    column: str
    by: tuple[str, ...] = ()
    """Columns that tell apart what is compared; none where there is one a machine."""
    least: bool = False
    """What matters is how little there is."""

    @property
    def kind(self) -> Kind:
        """Of its rows."""
        return tables()[self.table]

    @property
    def declared(self) -> Column:
        """Its column."""
        return self.kind.by_name[self.column]

    @property
    def how(self) -> How:
        """What its values over a time amount to: an increase, a sum, the highest level or the lowest."""
        semantics = self.declared.semantics
        if self.least:
            return "min"
        return "increase" if isinstance(semantics, Counter) else "sum" if isinstance(semantics, Delta) else "max"


@dataclass(frozen=True, slots=True)
class Topic:
    """A subject of questions."""

    name: str
    words: str
    """Regular expression of the words that mean it."""
    metrics: tuple[Metric, ...]
    """By whom it is used; the first of which there are rows counts."""
    whole: tuple[Metric, ...] = ()
    """Of the machine or its parts."""


_PROCESS = ("pid", "comm")


def _of_process(*names: str) -> tuple[Metric, ...]:
    return tuple(Metric(table, column, _PROCESS) for table, _, column in (name.partition(".") for name in names))


TOPICS = (
    Topic(
        "system calls that failed",
        r"fail\w*|errors?|refused",
        (Metric("syscall_errors", "count", (*_PROCESS, "error")),),
    ),
    Topic(
        "waiting for a CPU",
        r"run ?queues?|starv\w+|wait\w* (?:for|on) (?:a |the )?cpus?|scheduling (?:delay|latency)",
        _of_process("sched_process_stats.runqueue_ms", "process_stats.cpu_delay_ns"),
    ),
    Topic(
        "CPU time",
        r"cpus?|processors?|cores?|compute",
        _of_process("sched_process_stats.cpu_time_ms", "process_stats.utime_ms"),
        (Metric("load_metrics", "load_1min"),),
    ),
    Topic(
        "swap",
        r"swap\w*",
        _of_process("process_stats.swap_kb"),
        (Metric("memory_metrics", "swap_free_kb", least=True),),
    ),
    Topic(
        "memory",
        r"memory|mem|ram|rss|resident",
        _of_process("process_stats.rss_kb"),
        (Metric("memory_metrics", "mem_available_kb", least=True),),
    ),
    Topic(
        "major page faults",
        r"major (?:page )?faults?",
        _of_process("process_stats.major_faults"),
        (Metric("vm_activity", "pgmajfault"),),
    ),
    Topic(
        "page faults",
        r"(?:page )?faults?",
        _of_process("process_stats.minor_faults"),
        (Metric("vm_activity", "pgfault"),),
    ),
    Topic(
        "slow system calls",
        r"sys(?:tem )?calls?|latency|slowest|calls?",
        (Metric("syscall_events", "latency_ns", ("pid", "comm", "syscall_name")),),
    ),
    Topic(
        "context switches",
        r"context[- ]switch\w*|switch\w*",
        _of_process("sched_process_stats.context_switches", "process_stats.voluntary_switches"),
    ),
    Topic("new processes", r"forks?|forked|spawn\w*|children", _of_process("sched_process_stats.forks")),
    Topic("open files", r"descriptors?|fds?|open files?|file handles?|handles", _of_process("process_stats.fds")),
    Topic("threads", r"threads?", _of_process("process_stats.threads"), (Metric("load_metrics", "total_processes"),)),
    Topic(
        "reading from disk",
        r"reads?|reading",
        _of_process("process_stats.read_bytes"),
        (Metric("block_stats", "read_sectors", ("device_name",)),),
    ),
    Topic(
        "space on file systems",
        r"space|full|inodes?|file ?systems?|mounts?",
        (Metric("filesystem_stats", "avail_bytes", ("mount_point",), least=True),),
    ),
    Topic(
        "writing to disk",
        r"disks?|i/?o|writ\w+|storage|devices?",
        _of_process("process_stats.write_bytes"),
        (Metric("block_stats", "io_ticks", ("device_name",)),),
    ),
    Topic(
        "dropped packets",
        r"drop\w*",
        (
            Metric("packet_drops", "count", ("reason", "interface_name")),
            Metric("network_interface_stats", "rx_drops", ("interface_name",)),
        ),
    ),
    Topic(
        "retransmissions", r"retrans\w*|packet loss|lost packets?", (Metric("tcp_retransmit_stats", "retrans_segs"),)
    ),
    Topic(
        "traffic sent",
        r"sen[dt]\w*|upload\w*|tx|transmit\w*|outgoing",
        (Metric("network_interface_stats", "tx_bytes", ("interface_name",)),),
    ),
    Topic(
        "traffic received",
        r"network|traffic|bandwidth|receiv\w*|download\w*|rx|incoming|interfaces?",
        (Metric("network_interface_stats", "rx_bytes", ("interface_name",)),),
    ),
    Topic(
        "connections that wait to be closed",
        r"close[_ -]wait",
        (Metric("socket_owners", "close_wait", _PROCESS), Metric("tcp_stats", "close_wait")),
    ),
    Topic(
        "connections",
        r"connections?|sockets?|established",
        (Metric("socket_owners", "established", _PROCESS), Metric("tcp_stats", "established")),
    ),
    Topic("load", r"load", (Metric("load_metrics", "load_1min"),)),
    Topic("pressure", r"pressure|stall\w*|psi", (Metric("pressure_stall", "some_total_us", ("resource", "scope")),)),
)
"""More particular ones first."""


def topic_of(text: str) -> Topic | None:
    """What a question is about: a metric by its full name, else the first topic of which a word occurs."""
    for table, column in _NAMED.findall(text):
        kind = tables().get(table) or kinds().get(table)
        if kind and column in kind.by_name and kind.by_name[column].type in {"INTEGER", "REAL"}:
            by = _PROCESS if {"pid", "comm"} <= kind.by_name.keys() else tuple(kind.entity)
            return Topic(f"{kind.table}.{column}", "", (Metric(kind.table, column, by),))
    return next((topic for topic in TOPICS if re.search(rf"\b(?:{topic.words})\b", text, re.IGNORECASE)), None)
