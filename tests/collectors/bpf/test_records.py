"""What every tracer reads of its records is in its object, on both architectures."""

import pytest
from test_objects import COMMITTED

from kernelsight.collectors.bpf import (
    block_io,
    blocked_tasks,
    holders,
    oom_kills,
    packet_drops,
    page_faults,
    scheduler,
    socket_owners,
    syscall_errors,
    syscalls,
    tasks,
    tcp,
    tcp_retransmits,
    udp,
    waits,
)
from kernelsight.collectors.bpf.btf import of_image
from kernelsight.collectors.bpf.layout import Records


def records(structure, record):
    return lambda types: Records(types.layout(structure), record)


READ = {
    "block_io": [block_io.Devices],
    "oom_kills": [oom_kills.KILLS.of, records("kill", oom_kills._Victim)],
    "packet_drops": [records("drop_key", packet_drops.Key), records("drop_count", packet_drops._Place)],
    "page_faults": [page_faults.FAULTS.of, page_faults.Counting],
    "socket_owners": [socket_owners.OWNERS.of, records("holder", holders._Record)],
    "tasks": [tasks._Reader],
    "tcp": [records("listener", tcp._Listener)],
    "tcp_retransmits": [tcp_retransmits.RETRANSMITS.of],
    "threads": [
        blocked_tasks.BLOCKED.of,
        records("blocked", blocked_tasks.Record),
        scheduler.QUEUE_WAITS.of,
        scheduler.Folding,
        syscall_errors.ERRORS.of,
        syscalls.SLOW_CALLS.of,
        waits.WAITS.of,
    ],
    "udp": [records("record", udp._Socket)],
}


@pytest.mark.parametrize("architecture", ["x86_64", "aarch64"])
@pytest.mark.parametrize("name", READ)
def test_what_is_read_of_records_is_in_the_object(name, architecture):
    image = (COMMITTED / architecture / f"{name}.bpf.o").read_bytes()
    with of_image(image, name) as types:
        assert all(read(types) for read in READ[name])


def test_both_architectures_lay_records_out_alike():
    for name, structure in (("tasks", "record"), ("threads", "edge"), ("block_io", "device"), ("oom_kills", "kill")):
        layouts = []
        for architecture in ("x86_64", "aarch64"):
            with of_image((COMMITTED / architecture / f"{name}.bpf.o").read_bytes(), name) as types:
                layouts.append(types.layout(structure))
        assert layouts[0] == layouts[1]
