"""Addresses, routes and sizes of packets, through rtnetlink (rtnetlink(7), include/uapi/linux/rtnetlink.h)."""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.damage import parsing
from kernelsight.collectors.differences import Difference, Differences
from kernelsight.collectors.netlink.dump import Netlink
from kernelsight.collectors.netlink.messages import attributes, messages
from kernelsight.collectors.text import fixed_name
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.network_setting import NetworkSetting, NetworkSort

_NETLINK_ROUTE = 0
_NEWLINK, _GETLINK, _NEWADDR, _GETADDR, _NEWROUTE, _GETROUTE = 16, 18, 20, 22, 24, 26
_LINK, _ADDRESS, _ROUTE = struct.Struct("=BxHiII"), struct.Struct("=BBBBI"), struct.Struct("=BBBBBBBBI")
_IFLA_IFNAME, _IFLA_MTU = 3, 4
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_TABLE = 1, 4, 5, 6, 15
_MAIN_TABLE, _UNICAST = 254, 1
_SCOPES = {0: "global", 200: "site", 253: "link", 254: "host"}
_IFA_F_TEMPORARY = 0x1
_GROUPS = 0x1 | 0x10 | 0x100 | 0x40 | 0x400
"""RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_ROUTE."""
_AT_LEAST_NS = 60 * NS_PER_S
_MOST = 1_000
"""Of each sort: a router of the Internet has a million routes."""
_MOST_NOTICES = 256
_NUMBER = struct.Struct("=I")
_SORTS: Mapping[str, NetworkSort] = {"address": "address", "route": "route", "mtu": "mtu"}
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_OF_CONTAINERS = ("veth", "cali", "lxc", "tap", "vnet")


class Name(NamedTuple):
    """What tells a setting from others."""

    sort: NetworkSort
    interface: str
    target: str


@collector(source="rtnetlink", emits=(NetworkSetting,))
class NetworkSettingCollector:
    """Addresses, routes and MTUs of the interfaces of this network namespace; a row for each change."""

    def __init__(self, host: Host) -> None:
        if host.proc != Path("/proc"):
            raise SourceUnavailableError(f"rtnetlink is of this machine, not of {host.proc}")
        try:
            self._netlink = Netlink(_NETLINK_ROUTE, "rtnetlink")
            list(self._netlink.dump(_GETLINK, _LINK.pack(0, 0, 0, 0, 0)))
            self._notices = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_ROUTE)
            self._notices.bind((0, _GROUPS))
            self._notices.setblocking(False)
        except OSError as error:
            raise SourceUnavailableError(f"the kernel lists no addresses and routes: {error.strerror}") from error
        self._monotonic_ns = host.monotonic_ns
        self._differences: Differences[str] = Differences()
        self._due = 0
        self._too_many: set[int] = set()
        """Families that have more routes than are recorded: they are not asked for again."""

    def collect(self, now: int) -> Iterator[NetworkSetting]:
        """Ask for all of them if one has changed, or nobody has asked for a minute."""
        moment = self._monotonic_ns()
        if not self._noticed() and moment < self._due:
            return
        self._due = moment + _AT_LEAST_NS
        known: dict[str, list[str]] = {}
        for name, value in self._read():
            known.setdefault("\0".join(name), []).append(value)
        differences = [self._differences.seen(key, "; ".join(sorted(its)), now) for key, its in known.items()]
        for found in (*differences, *self._differences.whole(known.keys(), now)):
            if found is not None:
                yield _event(found, now)

    def close(self) -> None:
        """Close the sockets."""
        self._netlink.close()
        self._notices.close()

    def _noticed(self) -> bool:
        """Whether the kernel has told of a change since the last look."""
        for count in range(_MOST_NOTICES):
            try:
                self._notices.recv(1)
            except BlockingIOError:
                return count > 0
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # more changed than fits
                    raise
        return True

    def _read(self) -> Iterator[tuple[Name, str]]:
        links = [
            link for answer in self._netlink.dump(_GETLINK, _LINK.pack(0, 0, 0, 0, 0)) for link in links_in(answer)
        ]
        names = {link.number: link.interface for link in links}
        for link in links[:_MOST]:
            if not link.interface.startswith(_OF_CONTAINERS):
                yield Name("mtu", link.interface, "mtu"), str(link.mtu)
        for family in _FAMILIES:
            addresses = self._netlink.dump(_GETADDR, _ADDRESS.pack(family, 0, 0, 0, 0))
            yield from _first(pair for answer in addresses for pair in addresses_in(answer, names))
            if family not in self._too_many:
                routes = self._netlink.dump(_GETROUTE, _ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0))
                found = [pair for answer in routes for pair in routes_in(answer, names)]
                yield from _first(found)
                if len(found) > _MOST:
                    self._too_many.add(family)


def _first(pairs: Iterable[tuple[Name, str]]) -> list[tuple[Name, str]]:
    """As many as are recorded; all are taken from the kernel, which refuses the next question otherwise."""
    return list(pairs)[:_MOST]


class Link(NamedTuple):
    """An interface."""

    number: int
    interface: str
    mtu: int


def links_in(answer: bytes) -> list[Link]:
    """The interfaces of one answer to RTM_GETLINK.

    Raises:
        SourceUnavailableError: it ends within a message.
    """
    with parsing("rtnetlink", answer):
        return list(_links(answer))


def _links(answer: bytes) -> Iterator[Link]:
    for kind, start, end in messages(answer):
        if kind == _NEWLINK:
            _, _, index, _, _ = _LINK.unpack_from(answer, start)
            found = _attributes(answer, start + _LINK.size, end)
            if _IFLA_IFNAME in found and _IFLA_MTU in found:
                yield Link(index, fixed_name(found[_IFLA_IFNAME]), _NUMBER.unpack_from(found[_IFLA_MTU])[0])


def addresses_in(answer: bytes, names: Mapping[int, str]) -> list[tuple[Name, str]]:
    """The addresses of one answer to RTM_GETADDR, each with its scope; temporary ones are left out (RFC 8981).

    Raises:
        SourceUnavailableError: it ends within a message.
    """
    with parsing("rtnetlink", answer):
        return list(_addresses(answer, names))


def _addresses(answer: bytes, names: Mapping[int, str]) -> Iterator[tuple[Name, str]]:
    for kind, start, end in messages(answer):
        if kind != _NEWADDR:
            continue
        family, prefix, flags, scope, index = _ADDRESS.unpack_from(answer, start)
        found = _attributes(answer, start + _ADDRESS.size, end)
        raw = found.get(_IFA_LOCAL, found.get(_IFA_ADDRESS))
        if raw is None or (family == socket.AF_INET6 and flags & _IFA_F_TEMPORARY):
            continue
        target = f"{ipaddress.ip_address(raw)}/{prefix}"
        yield Name("address", names.get(index, str(index)), target), _SCOPES.get(scope, str(scope))


def routes_in(answer: bytes, names: Mapping[int, str]) -> list[tuple[Name, str]]:
    """The routes of the main table in one answer to RTM_GETROUTE, each with its gateway and metric.

    Raises:
        SourceUnavailableError: it ends within a message.
    """
    with parsing("rtnetlink", answer):
        return list(_routes(answer, names))


def _routes(answer: bytes, names: Mapping[int, str]) -> Iterator[tuple[Name, str]]:
    for kind, start, end in messages(answer):
        if kind != _NEWROUTE:
            continue
        family, prefix, _, _, table, _, _, sort, _ = _ROUTE.unpack_from(answer, start)
        found = _attributes(answer, start + _ROUTE.size, end)
        if _RTA_TABLE in found:
            table = _NUMBER.unpack_from(found[_RTA_TABLE])[0]
        if table != _MAIN_TABLE or sort != _UNICAST:
            continue
        index = _NUMBER.unpack_from(found[_RTA_OIF])[0] if _RTA_OIF in found else 0
        metric = _NUMBER.unpack_from(found[_RTA_PRIORITY])[0] if _RTA_PRIORITY in found else 0
        network = found.get(_RTA_DST, bytes(4 if family == socket.AF_INET else 16))
        target = f"{ipaddress.ip_address(network)}/{prefix}"
        gateway = f"via {ipaddress.ip_address(found[_RTA_GATEWAY])}" if _RTA_GATEWAY in found else "direct"
        yield Name("route", names.get(index, ""), target), f"{gateway}, metric {metric}"


def _attributes(answer: bytes, start: int, end: int) -> dict[int, bytes]:
    return {kind: answer[first:last] for kind, first, last in attributes(answer, start, end)}


def _event(found: Difference[str], now: int) -> NetworkSetting:
    sort, interface, target = found.name.split("\0")
    return NetworkSetting(now, _SORTS[sort], interface, target, found.value, found.previous, found.unchanged_ns)
