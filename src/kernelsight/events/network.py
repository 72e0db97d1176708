"""Network interfaces."""

from __future__ import annotations

from typing import Annotated

from kernelsight.events.declare import Aka, Count, Counter, Event, Gauge, Int, Label, Means, Spoken, Text, event


@event(
    table="network_interface_stats",
    source="/proc/net/dev, /sys/class/net/*",
    entity=("interface_name",),
    foreign=("net_interface", "network_interface", "netdev", "net"),
    recognised_by=(("interface_name", "rx_bytes"), ("interface_name", "tx_bytes"), ("rx_bytes", "tx_bytes")),
    indexes=(("interface_name", "timestamp"), ("rx_drops",)),
    matters=("rx_bytes", "tx_bytes", "rx_drops", "tx_drops", "rx_errors", "tx_errors"),
)
class Network(Event, tag="network"):
    """Traffic of one network interface since it came up (Documentation/networking/statistics.rst)."""

    interface_name: Annotated[Text | None, Label(), Aka("interface", "iface", "ifname", "name")] = None
    rx_bytes: Annotated[
        Count | None,
        Counter("B", bits=32),
        Spoken("traffic", "network", "bandwidth", "received", "download", "incoming", "network traffic", "interface"),
    ] = None
    rx_packets: Annotated[Count | None, Counter("packets", bits=32), Spoken("packet", "received packet")] = None
    rx_errors: Annotated[
        Count | None,
        Counter("packets", bits=32),
        Aka("rx_errs"),
        Spoken("network error", "interface error", "nic error", "receive error", "rx error", "packet error", "error"),
    ] = None
    rx_drops: Annotated[
        Count | None,
        Counter("packets", bits=32),
        Aka("rx_dropped", "rx_drop"),
        Spoken("drop", "dropped packet", "packet drop", "rx drop", "lose"),
    ] = None
    tx_bytes: Annotated[Count | None, Counter("B", bits=32), Spoken("sent", "upload", "outgoing", "transmitted")] = None
    tx_packets: Annotated[Count | None, Counter("packets", bits=32), Spoken("packet", "sent packet")] = None
    tx_errors: Annotated[
        Count | None,
        Counter("packets", bits=32),
        Aka("tx_errs"),
        Spoken("network error", "interface error", "nic error", "transmit error", "tx error", "packet error"),
    ] = None
    tx_drops: Annotated[
        Count | None,
        Counter("packets", bits=32),
        Aka("tx_dropped", "tx_drop"),
        Spoken("drop", "dropped packet", "packet drop", "tx drop", "lose"),
    ] = None
    rx_fifo: Annotated[Count | None, Counter("packets", bits=32)] = None
    rx_frame: Annotated[Count | None, Counter("packets", bits=32)] = None
    rx_multicast: Annotated[Count | None, Counter("packets", bits=32)] = None
    tx_fifo: Annotated[Count | None, Counter("packets", bits=32)] = None
    tx_collisions: Annotated[Count | None, Counter("collisions", bits=32)] = None
    tx_carrier: Annotated[Count | None, Counter("errors", bits=32)] = None
    speed_mbps: Annotated[Int | None, Gauge("Mbit/s"), Means("link speed; NULL where the driver has none")] = None
