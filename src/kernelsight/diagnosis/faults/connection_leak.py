"""The class `connection_leak`."""

from kernelsight.diagnosis.fault import FaultClass, Traits

CONNECTION_LEAK = FaultClass(
    "connection_leak",
    meaning="Connections that the other side has closed pile up with an owner that does not close them.",
    needs=("socket_owner",),
    parts=("network",),
    traits=Traits(uses_up=True),
    governed_by=("net.ipv4.tcp_keepalive_*", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_max_orphans"),
)
