"""Dropped packets are counted exactly, with the kernel's own reason, the interface and the function."""

import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from observed import observe
from own_network import in_own_network

from kernelsight.collectors.base import Host
from kernelsight.collectors.bpf.abi import kernel_knows
from kernelsight.collectors.bpf.btf import of_kernel
from kernelsight.collectors.bpf.libbpf import Object
from kernelsight.collectors.bpf.objects import image
from kernelsight.collectors.bpf.packet_drop import PacketDrops, Reasons, function
from kernelsight.events.packet_drop import PacketDrop

NOW = 1_800_000_000_000_000_000


def dropped(how, loopback):
    """What the program says that was dropped, and the events of its interface; those of others are not ours."""
    observed = observe([PacketDrops], *in_own_network("drops.py", how, loopback))
    assert observed.lost == 0
    return observed.one_said("dropped"), [
        event for event in observed.events if event.interface_name == observed.one_said("interface").name
    ]


@pytest.mark.root
@pytest.mark.parametrize("loopback", ["127.0.0.1", "::1"])
@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("filter", "NETFILTER_DROP"),
        ("closed", "NO_SOCKET"),
        ("full", "SOCKET_RCVBUFF"),
        ("again", "TCP_OLD_DATA"),
    ],
)
def test_packets_dropped_for_a_reason_are_counted_exactly(how, reason, loopback):
    with of_kernel() as types:
        known = types.enumeration("skb_drop_reason").values()
    if f"SKB_DROP_REASON_{reason}" not in known:
        pytest.skip(f"this kernel does not know the reason {reason}")
    if how == "again" and not kernel_knows("rx_sk"):
        pytest.skip("this kernel does not say for which socket a packet was")
    said, events = dropped(how, loopback)
    ours = [event for event in events if event.reason == reason]
    assert sum(event.count for event in ours) == said.packets > 0
    assert {event.reason for event in events if event not in ours} <= ({"NETFILTER_DROP"} if how == "again" else set())
    (location,) = {event.location for event in ours}
    assert any(line.split()[2] == location for line in Path("/proc/kallsyms").read_text().splitlines())


@pytest.mark.root
@pytest.mark.parametrize("loopback", ["127.0.0.1", "::1"])
def test_what_is_dropped_on_its_way_out_has_an_owner_and_the_interface_of_its_route(loopback):
    observed = observe([PacketDrops], *in_own_network("drops.py", "refused", loopback))
    said, interface = observed.one_said("dropped"), observed.one_said("interface").name
    events = observed.of(PacketDrop, interface_name=interface, reason="NETFILTER_DROP")
    assert sum(event.count for event in events) == said.packets > 0
    assert {event.origin for event in events} == {"local"}
    # Who has a socket is looked for when it is first seen, and not more often than is cheap.
    assert {event.pid for event in events} <= {None, observed.pid}
    assert events[-1].pid == observed.pid


@pytest.mark.root
def test_bytes_are_those_that_the_rule_counted():
    said, events = dropped("filter", "127.0.0.1")
    assert sum(event.bytes for event in events) == said.bytes


@pytest.mark.root
def test_what_nobody_reads_was_not_dropped():
    said, events = dropped("unread", "127.0.0.1")
    assert (said.packets, events) == (0, [])


@pytest.mark.root
def test_what_finds_no_room_is_counted():
    with Object(image("packet_drops"), "packet_drops", max_entries={"drops": 1}) as drops:
        drops.attach("on_drop")
        for how in ("filter", "closed"):
            subprocess.run(in_own_network("drops.py", how, "127.0.0.1"), check=True, timeout=60)
        ((_, value),) = drops.map("drops").items()
        assert drops.types.layout("drop_count").column("count", value)[0] > 0
        assert drops.variable("drops_lost").value >= 37


@pytest.mark.root
def test_room_is_made_where_nothing_happens_any_more():
    with closing(PacketDrops(Host())) as collector:
        types = collector._object.types
        key, count = types.layout("drop_key").pack, types.layout("drop_count").pack
        place = b"some_function+0x1/0x2"

        def gone(number):
            return key(location=number, reason=2, interface=f"gone{number}".encode())

        for number in range(2100):
            collector._drops.update(gone(number), count(count=5, bytes=500, place=place))
        found = [event for event in collector.collect(NOW) if event.location == "some_function"]
        assert [(event.count, event.bytes) for event in found] == [(5, 500)] * 2100
        moving = gone(1)
        for number in range(6, 70):
            collector._drops.update(moving, count(count=number, bytes=500, place=place))
            found = [event for event in collector.collect(NOW) if event.location == "some_function"]
            assert [(event.interface_name, event.count, event.bytes) for event in found] == [("gone1", 1, 0)]
        left = [key for key, value in collector._drops.items() if place in value]
        assert left == [moving]


def test_reasons_are_named_as_the_kernel_names_them():
    core = {0: "SKB_NOT_DROPPED_YET", 3: "SKB_DROP_REASON_NO_SOCKET"}
    reasons = Reasons(core, {0: "SKB_DROP_REASON_SUBSYS_CORE", 2: "SKB_DROP_REASON_SUBSYS_OPENVSWITCH"})
    assert reasons.name(3) == "NO_SOCKET"
    assert reasons.name(4) == "REASON_4"
    assert reasons.name(2 << 16 | 3) == "OPENVSWITCH_3"
    assert reasons.name(9 << 16 | 1) == "SUBSYSTEM_9_1"
    assert Reasons({}, {}).name(0) is None  # a kernel that does not say why


def test_a_place_is_a_function_or_not_known():
    assert function("nft_do_chain+0x1f0/0x6a0 [nf_tables]") == "nft_do_chain"
    assert function("0xffffffff81234567") is None
    assert function("") is None
