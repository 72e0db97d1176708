"""Interfaces that lose packets or are full, and packets that the kernel drops."""

from __future__ import annotations

from kernelsight.events.network import Network
from kernelsight.events.packet_drop import PacketDrop
from kernelsight.events.udp_socket import UdpSocket
from kernelsight.linux.drop_reasons import DROP_CLASSES
from kernelsight.query.filters import Filter
from kernelsight.signals.model import Harm, Measure, rule
from kernelsight.signals.registry import declare

PACKETS_LOST_PER_S = 10
"""From which on `packets_lost` is raised."""
INTERFACE_DROPS_PERCENT = 1
"""From which on `interface_drops` is raised."""
_MATHIS = (
    "TCP's rate falls with the root of the loss (Mathis et al., 1997): at 1 % to 12 segments a round trip, at 5 % to 5"
)

declare(
    __name__,
    rule(
        "interface_drops",
        Network,
        Measure(
            of=(Network.rx_drops, Network.tx_drops),
            per=(Network.rx_packets, Network.tx_packets, Network.rx_drops, Network.tx_drops),
            scale=100,
            unit="% of packets",
            least_per=100,
        ),
        scope="interface",
        levels={"warning": INTERFACE_DROPS_PERCENT},
        raise_after_s=2,
        because=f"{_MATHIS}; below 100 packets a second, one packet is no rate. The counters include "
        "packets that nobody wanted, so the signal is never critical by itself",
        healthy="packets of protocols that nobody here speaks: for ever",
        summary="{interface_name} drops {value:.1f} % of its packets",
    ),
    rule(
        "interface_errors",
        Network,
        Measure(
            of=(Network.rx_errors, Network.tx_errors),
            per=(Network.rx_packets, Network.tx_packets),
            scale=100,
            unit="% of packets",
            least_per=100,
        ),
        scope="interface",
        levels={"warning": 0.1, "critical": 1},
        raise_after_s=2,
        because="a sound link has less than one bad frame in a million (IEEE 802.3: bit error rate 1e-12 or better); "
        "0.1 % is a cable, a plug or a driver",
        harm=Harm("failure", "the data in these packets is lost, or sent again"),
        summary="{value:.2f} % of the packets of {interface_name} are in error",
    ),
    *(
        rule(
            f"interface_full_{direction}",
            Network,
            Measure(
                of=(transferred,), per=(Network.speed_mbps,), scale=8e-4, unit="% of the link's speed", least_per=1
            ),
            scope="interface",
            levels={"warning": 90},
            raise_after_s=3,
            because="headers and gaps of Ethernet take 5 % of full-sized frames, more of small ones: "
            "little capacity is left above 90 %",
            healthy="a copy at the speed of the link: as long as it lasts",
            summary="{interface_name} " + verb + " at {value:.0f} % of its speed",
        )
        for direction, transferred, verb in (
            ("rx", Network.rx_bytes, "receives"),
            ("tx", Network.tx_bytes, "sends"),
        )
    ),
    rule(
        "packets_lost",
        PacketDrop,
        Measure(of=(PacketDrop.count,), unit="packets/s"),
        scope="interface",
        by=(PacketDrop.reason, PacketDrop.interface_name),
        where=(Filter(PacketDrop.reason, "=", tuple(sorted(DROP_CLASSES))),),
        levels={"warning": PACKETS_LOST_PER_S},
        raise_after_s=2,
        because="only drop reasons that mean a loss count (kernelsight/linux/drop_reasons.py), not "
        "packets that the machine rejects. With ten drops a second, each of ten connections waits "
        "for a retransmission. A firewall rule may reject any number of packets: that harms nobody",
        healthy="a firewall rule that turns strangers away: as long as they come",
        summary="{value:,.0f} packets/s are dropped on {interface_name}: {reason}",
    ),
    rule(
        "udp_receive_overflow",
        UdpSocket,
        Measure(of=(UdpSocket.drops,), unit="datagrams/s"),
        scope="socket",
        levels={"warning": 1, "critical": 1000},
        raise_after_s=1,
        because="nobody sends a datagram again: the kernel drops it because its reader is too slow (udp(7), SO_RCVBUF)",
        harm=Harm("failure", "datagrams are lost for good"),
        healthy="a program that binds a socket and only sends: as long as others send to it",
        summary="{value:,.0f} datagrams/s to port {port} are lost: {comm} ({pid}) reads too slowly",
    ),
)
