"""Queues in front of interfaces: a real one that is too small, and answers that are no answers."""

import json
import shutil
import struct
import subprocess
import sys

import pytest

from kernelsight.collectors.netlink.messages import HEADER
from kernelsight.collectors.netlink.qdisc import parse_qdiscs
from kernelsight.errors import SourceUnavailableError

NOW = 1_800_000_000_000_000_000
ROOT, CLASS = 0xFFFFFFFF, 0x10001
FILL = """
import json, socket, subprocess
import msgspec
from kernelsight.collectors.base import Host
from kernelsight.collectors.netlink.qdisc import QdiscCollector
def ip(*words): subprocess.run(["ip", *words], check=True)
ip("link", "add", "near", "type", "veth", "peer", "name", "far")
ip("address", "add", "10.9.9.1/24", "dev", "near")
for end in ("near", "far"): ip("link", "set", end, "up")
ip("neighbour", "add", "10.9.9.2", "lladdr", "02:00:00:00:00:01", "dev", "near")
subprocess.run("tc qdisc add dev near root tbf rate 8kbit burst 4k limit 20k".split(), check=True)
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
for _ in range(200): sender.sendto(bytes(1000), ("10.9.9.2", 9))
near = [one for one in QdiscCollector(Host()).collect(1) if one.interface_name == "near"]
print(json.dumps([msgspec.to_builtins(one) for one in near]))
print(subprocess.run("tc -s -j qdisc show dev near".split(), capture_output=True, text=True, check=True).stdout.strip())
"""


def attribute(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(parent, discipline, index=7):
    queue = attribute(3, struct.pack("=5I", 3, 4000, 11, 0, 50))
    stats = attribute(7, attribute(1, struct.pack("=QI4x", 90_000, 60)) + queue)
    body = struct.pack("=B3xiIII", 0, index, 0x10000, parent, 2) + attribute(1, discipline + b"\0") + stats
    return HEADER.pack(HEADER.size + len(body), 36, 2, 1, 0) + body


def test_what_is_at_the_root_of_an_interface_is_read():
    [(index, event)] = parse_qdiscs(message(ROOT, b"htb") + message(CLASS, b"pfifo") + message(ROOT, b"noqueue"), NOW)
    assert (index, event.parent, event.discipline) == (7, "root", "htb")
    assert (event.sent_bytes, event.sent_packets, event.drops, event.overlimits) == (90_000, 60, 11, 50)
    assert (event.backlog_packets, event.backlog_bytes, event.rate_limit_bytes) == (3, 4000, None)


def test_an_answer_that_is_cut_off_is_refused():
    whole = message(ROOT, b"htb")
    for length in range(1, len(whole)):
        with pytest.raises(SourceUnavailableError, match="rtnetlink"):
            parse_qdiscs(whole[:length], NOW)


@pytest.mark.alone
@pytest.mark.root
def test_a_queue_that_is_full_says_what_tc_says():
    for needed in ("unshare", "ip", "tc"):
        if shutil.which(needed) is None:
            pytest.skip(f"needs {needed}")
    done = subprocess.run(["unshare", "--net", sys.executable, "-c", FILL], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ours, theirs = (json.loads(line) for line in done.stdout.splitlines())
    [ours], [theirs] = ours, theirs
    assert (ours["discipline"], ours["rate_limit_bytes"]) == (
        "tbf",
        1000,
    )  # so slow that the queue is still full when it is looked at
    assert ours["drops"] == theirs["drops"] > 100
    assert 0 < ours["backlog_bytes"] <= 20_000
    assert ours["backlog_packets"] >= theirs["qlen"]
    assert 0 < ours["overlimits"] <= theirs["overlimits"]
