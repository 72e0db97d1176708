"""Addresses, routes and sizes of packets: how the network is set up, and when that changes."""

from typing import Annotated, Literal

from kernelsight.events.declare import Event, Int, Label, Means, Text, event

NetworkSort = Literal["address", "route", "mtu"]


@event(
    table="network_settings",
    source="rtnetlink RTM_GETADDR, RTM_GETROUTE, RTM_GETLINK; when the kernel tells of a change, or every 60 s",
    entity=("sort", "interface_name", "target"),
    recognised_by=(("sort", "target", "previous_value"),),
    indexes=(("interface_name", "timestamp"),),
    interval_s=None,
    most_per_s=50,
)
class NetworkSetting(Event, tag="network_setting"):
    """One address, route or size of packets: a row when the collector begins, and one for each change.

    They are those of the collector's network namespace; routes are those of the main table.
    """

    sort: Annotated[NetworkSort | None, Label()] = None
    interface_name: Annotated[Text | None, Label()] = None
    target: Annotated[
        Text | None,
        Label(),
        Means("the address with its prefix, or the network that a route leads to; `0.0.0.0/0` and `::/0`: any"),
    ] = None
    value: Annotated[
        Text | None,
        Label(),
        Means("of a route its gateway and metric; of an MTU its bytes; of an address its scope; NULL: it is gone"),
    ] = None
    previous_value: Annotated[Text | None, Label(), Means("before the change; NULL: there was none")] = None
    unchanged_ns: Annotated[
        Int | None,
        Label("ns"),
        Means("last look that found no change; the change lies between this and `timestamp`; NULL: the first look"),
    ] = None
