"""Set a kernel parameter, of those that the policy lists with the values that it allows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from kernelsight.agent.acting.action import action
from kernelsight.agent.acting.changes import Change, SetFile, read_value
from kernelsight.agent.acting.subject import MachineSubject, RefusedError
from kernelsight.collectors.base import Host

_NAME = re.compile(r"[a-z0-9_]+(\.[a-zA-Z0-9_-]+)+", re.ASCII)
"""What sysctl(8) calls a parameter: no slash and no empty part, so it stays below /proc/sys."""


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which parameter, and what for."""

    name: str
    value: str


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters that may be set, and to what."""

    allowed: Mapping[str, tuple[str, ...]] = msgspec.field(
        # Both help a machine that runs out of ports for outgoing connections, and neither takes anything from
        # anybody (Documentation/networking/ip-sysctl.rst).
        default_factory=lambda: {
            "net.ipv4.tcp_tw_reuse": ("1",),
            "net.ipv4.ip_local_port_range": ("1024 65535",),
        }
    )


@action("sysctl", targets=("machine",), asked=Asked, limits=Limits)
def sysctl(host: Host, subject: MachineSubject, asked: Asked, limits: Limits) -> Iterator[Change]:
    """Set a kernel parameter to one of the values that the policy lists for it."""
    del subject
    if not _NAME.fullmatch(asked.name) or asked.value not in limits.allowed.get(asked.name, ()):
        raise RefusedError(f"the policy does not list {asked.name!r} = {asked.value!r}")
    path = host.proc / "sys" / asked.name.replace(".", "/")
    former = read_value(path)
    if former == asked.value:
        raise RefusedError(f"{asked.name} is {asked.value} already")
    yield SetFile(path=str(path), former=former, value=asked.value)
