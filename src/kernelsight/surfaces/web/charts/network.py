"""Interfaces and TCP."""

from kernelsight.events.network import Network
from kernelsight.events.tcp import Tcp, TcpRetransmit
from kernelsight.surfaces.web.chart import Chart, Line, chart

_NETWORK = "network"

chart(
    Chart(
        "network-bytes",
        "Traffic",
        "Bytes that each interface receives and sends.",
        Network,
        (Line("received", (Network.rx_bytes,)), Line("sent", (Network.tx_bytes,))),
        "B/s",
        _NETWORK,
        per=(Network.interface_name,),
        rank=21,
    )
)
chart(
    Chart(
        "network-packets",
        "Packets",
        "Packets that each interface receives and sends.",
        Network,
        (Line("received", (Network.rx_packets,)), Line("sent", (Network.tx_packets,))),
        "1/s",
        _NETWORK,
        per=(Network.interface_name,),
        rank=22,
    )
)
chart(
    Chart(
        "network-losses",
        "Drops and errors",
        "Packets that an interface dropped or found damaged.",
        Network,
        (
            Line("dropped", (Network.rx_drops, Network.tx_drops)),
            Line("damaged", (Network.rx_errors, Network.tx_errors)),
        ),
        "1/s",
        _NETWORK,
        per=(Network.interface_name,),
        rank=23,
    )
)
chart(
    Chart(
        "tcp-retransmits",
        "TCP segments sent again",
        "Segments that TCP sent again, and timeouts that made it do so.",
        TcpRetransmit,
        (
            Line("sent again", (TcpRetransmit.retrans_segs,)),
            Line("timeouts", (TcpRetransmit.timeouts,)),
            Line("SYN sent again", (TcpRetransmit.syn_retrans,)),
        ),
        "1/s",
        _NETWORK,
        rank=24,
    )
)
chart(
    Chart(
        "tcp-sockets",
        "TCP sockets",
        "Sockets by state. Those in CLOSE-WAIT wait for their own program to close them.",
        Tcp,
        (
            Line("established", (Tcp.established,)),
            Line("TIME-WAIT", (Tcp.time_wait,)),
            Line("CLOSE-WAIT", (Tcp.close_wait,)),
            Line("SYN sent", (Tcp.syn_sent,)),
            Line("SYN received", (Tcp.syn_recv,)),
        ),
        "",
        _NETWORK,
        rank=25,
    )
)
chart(
    Chart(
        "tcp-listen",
        "Connections",
        "Connections that are opened, and those that did not fit into an accept queue.",
        TcpRetransmit,
        (
            Line("opened by this machine", (TcpRetransmit.active_opens,)),
            Line("opened by others", (TcpRetransmit.passive_opens,)),
            Line("accept queue full", (TcpRetransmit.listen_overflows,)),
            Line("failed", (TcpRetransmit.attempt_fails,)),
            Line("reset", (TcpRetransmit.estab_resets,)),
        ),
        "1/s",
        _NETWORK,
        rank=26,
    )
)
