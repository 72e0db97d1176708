"""What is about a part of the machine is kept apart from the machine, or refused."""

import json

import pytest
from stored import ingest
from test_foreign import NOW, read, refusal


def telegraf(name, tags, fields):
    return {"fields": fields, "name": name, "tags": {"host": "h", **tags}, "timestamp": NOW // 10**9}


COUNTED = {"rx_bytes": 1, "tx_bytes": 2}
DISK = {"read_ios": 1, "write_ios": 2}


def test_two_containers_of_telegraf_stay_two():
    lines = [
        telegraf("docker_container_net", {"container_name": name, "network": "eth0", "container_image": "i"}, COUNTED)
        for name in ("web", "db")
    ]
    assert [read(line)[1]["interface_name"] for line in lines] == ["eth0 (container web)", "eth0 (container db)"]
    result = ingest("\n".join(map(json.dumps, lines)).encode())
    assert len(result.rows) == 2


@pytest.mark.parametrize(
    ("line", "entity"),
    [
        ({"type": "net", "interface": "eth0", "container_id": "f00", **COUNTED}, "eth0 (container f00)"),
        ({"type": "net", "interface": "eth0", "docker.container.name": "web", **COUNTED}, "eth0 (container web)"),
        (
            {"type": "net", "interface": "eth0", "pod": "p", "container": "c", "pod_uid": "9", **COUNTED},
            "eth0 (pod p, container c)",
        ),
        ({"type": "net", "interface": "eth0", "netns": "blue", **COUNTED}, "eth0 (netns blue)"),
        ({"type": "net", "interface": "eth0", "queue": 3, **COUNTED}, "eth0 (queue 3)"),
        ({"type": "block", "device": "sda", "partition": 2, **DISK}, "sda (partition 2)"),
        ({"type": "block", "device": "sda", "vm_name": "guest", **DISK}, "sda (vm guest)"),
        ({"type": "net", "interface": "eth0", "host": "h", "containers": 7, **COUNTED}, "eth0"),
        (telegraf("net", {"interface": "eth1"}, COUNTED), "eth1"),
        (telegraf("diskio", {"name": "sdb"}, DISK), "sdb"),
    ],
)
def test_the_part_is_in_the_name_of_the_entity(line, entity):
    columns = read({"timestamp": NOW, **line})[1]
    assert entity in {columns.get("interface_name"), columns.get("device_name")}


@pytest.mark.parametrize(
    ("line", "kind", "reason"),
    [
        ({"type": "meminfo", "container": "web", "mem_total_kb": 1}, "memory", "container web"),
        ({"type": "meminfo", "node": "node1", "mem_total_kb": 1}, "memory", "numa node1"),
        ({"type": "meminfo", "numa_node": 1, "mem_total_kb": 1}, "memory", "numa 1"),
        ({"type": "loadavg", "pod_name": "p", "load1": 1}, "load", "pod p"),
        ({"type": "vmstat", "cpu": "cpu3", "pgfault": 1}, "vmstat", "cpu cpu3"),
        ({"type": "net", "container": "web", **COUNTED}, "network", "container web"),
        ({"type": "fs", "path": "/mnt", "size_bytes": 1, "free_bytes": 1}, "filesystem", "path may say which"),
        ({"type": "io", "disk": "sda", "read_p50_us": 1.5}, "io_latency", "disk may say which"),
        (telegraf("docker_container_mem", {"container_name": "web"}, {"mem_total_kb": 5}), "memory", "container web"),
    ],
)
def test_what_no_column_can_tell_apart_is_refused(line, kind, reason):
    error = refusal({"timestamp": NOW, **line})
    assert (error.kind, reason in str(error)) == (kind, True), str(error)


def test_an_occurrence_in_a_container_is_one_of_the_machine():
    line = {"timestamp": NOW, "syscall": 1, "latency_ns": 2, "pid": 3, "container": "web"}
    assert read(line) == ("syscall", {"syscall_nr": 1, "latency_ns": 2, "pid": 3})


@pytest.mark.parametrize("value", [{}, {"a": 1}, [], [1], {"": {}}])
@pytest.mark.parametrize(
    ("line", "column"),
    [
        ({"type": "block", "device": "sda", "write_ios": 1}, "read_ios"),
        ({"type": "load", "load_1min": 1}, "load_5min"),
        ({"type": "syscall", "latency_ns": 1}, "comm"),
        ({"type": "syscall", "latency_ns": 1}, "is_error"),
    ],
)
def test_an_object_or_list_where_a_value_should_be_is_refused(line, column, value):
    assert column in str(refusal({"timestamp": NOW, **line, column: value}))


def test_an_object_of_columns_is_none():
    assert read({"timestamp": NOW, "syscall": {"nr": 1, "name": "write"}, "latency_ns": 2}) == (
        "syscall",
        {"syscall_nr": 1, "syscall_name": "write", "latency_ns": 2},
    )
