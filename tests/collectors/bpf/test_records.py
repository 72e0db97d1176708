"""What every tracer reads of its records is in its object, on both architectures."""

import pytest
from test_objects import COMMITTED

from kernelsight.collectors.bpf import (
    blocked_task,
    holders,
    io_latency,
    oom_kill,
    packet_drop,
    page_faults,
    process,
    process_exit,
    scheduler,
    socket_owner,
    syscall,
    syscall_error,
    tcp,
    tcp_retransmit_event,
    udp_socket,
    wait,
)
from kernelsight.collectors.bpf.btf import of_image
from kernelsight.collectors.bpf.layout import Records


def records(structure, record):
    return lambda types: Records(types.layout(structure), record)


READ = {
    "block_io": [io_latency.Devices],
    "oom_kills": [oom_kill.KILLS.of, records("kill", oom_kill._Victim)],
    "packet_drops": [records("drop_key", packet_drop.Key), records("drop_count", packet_drop._Place)],
    "process_exits": [process_exit.EXITS.of],
    "page_faults": [page_faults.FAULTS.of, page_faults.Counting],
    "socket_owners": [socket_owner.OWNERS.of, records("holder", holders._Record)],
    "tasks": [process._Reader],
    "tcp": [records("listener", tcp._Listener)],
    "tcp_retransmits": [tcp_retransmit_event.RETRANSMITS.of],
    "threads": [
        blocked_task.BLOCKED.of,
        records("blocked", blocked_task.Record),
        scheduler.QUEUE_WAITS.of,
        scheduler.Folding,
        syscall_error.ERRORS.of,
        syscall.SLOW_CALLS.of,
        wait.WAITS.of,
    ],
    "udp": [records("record", udp_socket._Socket)],
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
