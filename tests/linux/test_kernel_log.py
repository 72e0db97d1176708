"""Messages of the kernel's log: every declared example is understood, and nothing that others write passes for one."""

from __future__ import annotations

import re

import pytest

from kernelsight.linux.kernel_log.kinds import MessageKind, Pattern
from kernelsight.linux.kernel_log.reading import KINDS, OTHER, source_of, understood

EXAMPLES = [(kind, pattern) for kind in KINDS.values() for pattern in kind.patterns]


@pytest.mark.parametrize(("kind", "pattern"), EXAMPLES, ids=[pattern.example[:40] for _, pattern in EXAMPLES])
def test_each_example_is_of_its_kind_by_its_own_pattern(kind: MessageKind, pattern: Pattern) -> None:
    said = understood(pattern.example)
    own = pattern.compiled.match(pattern.example)
    assert said.kind == kind.name
    assert own is not None
    assert said.groups == {name: value for name, value in own.groupdict().items() if value is not None}
    assert re.search(r"\.[ch]\b", pattern.source), "it says where the kernel prints it"


@pytest.mark.parametrize(
    ("text", "kind", "named"),
    [
        (
            "blk_update_request: critical medium error, dev sdb, sector 2048 op 0x0:(READ) flags 0x0",
            "io_error",
            {"device": "sdb", "error": "critical medium", "sector": "2048", "operation": "READ"},
        ),  # 5.15
        ("Buffer I/O error on device dm-0, logical block 7", "io_error", {"device": "dm-0", "sector": "7"}),
        ("INFO: task jbd2/vda1-8:211 blocked for more than 120 seconds.", "hung_task", {"comm": "jbd2/vda1-8"}),
        (
            "INFO: task cat:12 <reader> blocked on an rw-semaphore likely owned by task tar:13 <writer>",
            "hung_task",
            {"pid": "12", "holder_comm": "tar", "holder_pid": "13"},
        ),  # 6.17
        ("TCP: request_sock_TCP: Possible SYN flooding on port 80. Sending", "syn_flood", {"port": "80"}),
        ("TCP: request_sock_TCPv6: Possible SYN flooding on port [::]:81. Dropping", "syn_flood", {"port": "81"}),
        ("nf_conntrack: table full, dropping packet", "table_full", {"table": "nf_conntrack"}),
        ("JBD2: Detected IO errors 5 while flushing file data on dm-0-8", "filesystem_error", {"device": "dm-0"}),
        ("XFS (dm-0): Log I/O Error (0x2) detected at xlog_ioend_work+0x5e. Shutting down filesystem.",
         "filesystem_read_only", {"device": "dm-0"}),  # 5.15
        ("a b[7]: segfault at 0 ip 00007f sp 00007f error 4 in a b[400000+1000]", "segfault", {"comm": "a b"}),
        ("NMI watchdog: Watchdog detected hard LOCKUP on cpu 3", "hard_lockup", {"cpu": "3"}),  # 5.15
        ("EXT4-fs (sda1): re-mounted. Opts: errors=remount-ro.", "filesystem_mounted", {"device": "sda1"}),
    ],
)  # fmt: skip
def test_wordings_of_other_kernels(text: str, kind: str, named: dict[str, str]) -> None:
    said = understood(text)
    assert said.kind == kind
    assert named.items() <= said.groups.items()


def test_what_the_kernel_left_out_counts_for_its_kind() -> None:
    said = understood("blk_print_req_error: 49 callbacks suppressed")
    assert (said.kind, said.count, said.suppressed) == ("io_error", 49, True)
    assert understood("net_ratelimit: 9 callbacks suppressed").kind == OTHER


@pytest.mark.parametrize(
    "text",
    [
        # Names that a process, a disk or a peer chose, inside of messages of the kernel.
        "usb 1-1: Product: I/O error, dev sda, sector 1 op 0x0:(READ)",
        'audit: type=1400 name="x[1]: segfault at 0 ip 0 sp 0 error 4"',
        "process '/tmp/x[1]: segfault at 0 ip 0 sp 0 error 4 in y[' started with executable stack",
        "FW-DROP: I/O error, dev sda, sector 1",
        "x: EXT4-fs (sda1): Remounting filesystem read-only",
        "eth0: Link is Do",
        " I/O error, dev sda, sector 1",
        "",
    ],
)  # fmt: skip
def test_what_others_put_into_a_message_is_no_message_of_the_kernel(text: str) -> None:
    assert understood(text).kind == OTHER


def test_a_name_that_looks_like_the_end_of_a_message_does_not_move_the_pid() -> None:
    forged = (
        "x[5]: segfault at 0 ip 00007f5dc8385ad8 sp 00007ffe4f215148 error 4 in y[1]: segfault at 0 ip 0 sp 0 error 4["
    )
    assert understood(forged).groups["pid"] == "5"


def test_a_very_long_message_is_cut_before_it_is_matched() -> None:
    assert understood("cgroup: fork rejected by pids controller in /" + "x" * 1_000_000).kind == "table_full"


def test_the_source_is_the_prefix_that_a_message_has() -> None:
    assert source_of("EXT4-fs (loop0): unmounting filesystem 7a.") == "EXT4-fs (loop0)"
    assert source_of("no prefix here") is None
