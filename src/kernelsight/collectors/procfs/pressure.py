"""Pressure stall information, from /proc/pressure and cgroup v2 (Documentation/accounting/psi.rst)."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.damage import bounded, note, parsing
from kernelsight.collectors.files import KernelFile
from kernelsight.collectors.text import lines, name, number, pairs, real
from kernelsight.errors import SourceUnavailableError, UsageError
from kernelsight.events.pressure import Pressure

Resource = Literal["cpu", "memory", "io", "irq"]
SYSTEM = "system"

_ABSENT = "this kernel has no pressure stall information (CONFIG_PSI); boot with psi=1 if it is off by default"
_RESCAN_NS = 10_000_000_000
_GROUPS = 64
_REAL = rb"([0-9]{1,18}\.[0-9]{1,18})"
_STALLS = re.compile(rb"avg10=%b avg60=%b avg300=%b total=([0-9]{1,18})" % (_REAL, _REAL, _REAL))
_OF_A_GROUP: tuple[Resource, ...] = ("cpu", "memory", "io")


@collector(source="procfs", emits=(Pressure,))
class PressureCollector:
    """Time lost for want of CPU, memory and I/O, of the machine and its cgroups.

    Options: `pressure_groups`: how many cgroups at most, from the root down (64; 0: none).
    """

    def __init__(self, host: Host) -> None:
        most = host.options.get("pressure_groups", _GROUPS)
        if not isinstance(most, int) or most < 0:
            raise UsageError(f"pressure_groups={most}: it must be a number of cgroups, 0 or more")
        self._most = most
        self._system: dict[Resource, KernelFile] = {}
        for resource in get_args(Resource):
            self._open(host.proc / "pressure" / resource, resource)
        if not self._system:
            raise SourceUnavailableError(f"nothing in {host.proc / 'pressure'}: {_ABSENT}")
        self._root = next((root for root in (host.cgroup, host.cgroup / "unified") if _is_v2(root)), None)
        self._groups: dict[str, list[_Stalls]] = {}
        self._monotonic_ns = host.monotonic_ns
        self._scan_due = 0

    def _open(self, path: Path, resource: Resource) -> None:
        # A kernel that has the file may refuse to read it: EOPNOTSUPP when PSI is off (psi=0), or
        # for `irq` when interrupt time is not accounted.
        try:
            file = KernelFile(path)
        except SourceUnavailableError:
            return
        try:
            file.read()
        except OSError:
            file.close()
        else:
            self._system[resource] = file

    def collect(self, now: int) -> list[Pressure]:
        """Read the machine's files, and those of the cgroups; of these, the ones that moved are yielded."""
        events: list[Pressure] = []
        for resource, file in self._system.items():
            with bounded(str(file.path)):
                events.append(parse_pressure(resource, SYSTEM, file.read(), now))
        moment = self._monotonic_ns()
        if self._root is not None and moment >= self._scan_due:
            self._scan(self._root)
            self._scan_due = moment + _RESCAN_NS
        for group in list(self._groups):
            try:
                texts = [(stalls, stalls.read()) for stalls in self._groups[group]]
            except OSError:  # ENODEV: the group has gone
                self._forget(group)
                continue
            for stalls, text in texts:
                with bounded("*.pressure of control groups", text):
                    events += [event for event in (stalls.moved(text, now),) if event is not None]
        return events

    def close(self) -> None:
        """Close all files."""
        for group in list(self._groups):
            self._forget(group)
        while self._system:
            self._system.popitem()[1].close()

    def _scan(self, root: Path) -> None:
        groups = dict(zip(groups_below(root), range(self._most), strict=False))
        for gone in self._groups.keys() - groups.keys():
            self._forget(gone)
        for new in [group for group in groups if group not in self._groups]:
            self._groups[new] = []
            for resource in _OF_A_GROUP:
                try:
                    file = KernelFile(root / new[1:] / f"{resource}.pressure")
                except SourceUnavailableError:
                    continue  # its controller is off, or the group has gone
                self._groups[new].append(_Stalls(resource, name(os.fsencode(new)), file))

    def _forget(self, group: str) -> None:
        for stalls in self._groups.pop(group):
            stalls.close()


class _Stalls:
    """One resource of one cgroup, and what it said last."""

    __slots__ = ("_file", "_last", "_resource", "_scope", "_text")

    def __init__(self, resource: Resource, scope: str, file: KernelFile) -> None:
        self._resource: Resource = resource
        self._scope = scope
        self._file = file
        self._text = b""
        self._last: Pressure | None = None

    def read(self) -> bytes:
        """What the file says.

        Raises:
            OSError: the group has gone.
        """
        return self._file.read()

    def moved(self, text: bytes, now: int) -> Pressure | None:
        """An event when there was a stall since the last time, or the averages have still to fall to zero."""
        if text == self._text:
            return None
        self._text = text
        last, self._last = self._last, parse_pressure(self._resource, self._scope, text, now)
        changed = last is None or (last.some_total_us, last.full_total_us) != (
            self._last.some_total_us,
            self._last.full_total_us,
        )
        falling = last is not None and last.some_avg10
        return self._last if changed or falling else None

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def parse_pressure(resource: Resource, scope: str, text: bytes, now: int) -> Pressure:
    """Parse lines such as ``some avg10=0.31 avg60=0.42 avg300=0.13 total=3575126``.

    `full` is missing for the CPU before Linux 5.13, `some` for interrupts; they are None then.

    Raises:
        SourceUnavailableError: it is not that.
    """
    with parsing(f"pressure of {resource} ({scope})", text):
        event = Pressure(now, resource, scope)
        understood = False
        for line in lines(text):
            share, _, rest = line.partition(b" ")
            if share == b"some":
                event.some_avg10, event.some_avg60, event.some_avg300, event.some_total_us = _stalls(rest)
            elif share == b"full":
                event.full_avg10, event.full_avg60, event.full_avg300, event.full_total_us = _stalls(rest)
            else:
                note("neither `some` nor `full`", line)
                continue
            understood = True
        if not understood:
            raise ValueError("neither `some` nor `full`")
        return event


def _stalls(rest: bytes) -> tuple[float | None, float | None, float | None, int | None]:
    told = _STALLS.fullmatch(rest)
    if told:
        return float(told[1]), float(told[2]), float(told[3]), int(told[4])
    values = pairs(rest.split(), b"=")
    return (
        real(values.get(b"avg10")),
        real(values.get(b"avg60")),
        real(values.get(b"avg300")),
        number(values.get(b"total")),
    )


def groups_below(root: Path) -> Iterator[str]:
    """The paths of the cgroups below a mount of cgroup v2, such as ``/system.slice``, upper levels first."""
    waiting = deque([""])
    while waiting:
        above = waiting.popleft()
        try:
            with os.scandir(f"{root}{above}") as entries:
                below = sorted(f"{above}/{entry.name}" for entry in entries if entry.is_dir(follow_symlinks=False))
        except OSError:
            continue  # it has gone meanwhile
        yield from below
        waiting.extend(below)


def _is_v2(root: Path) -> bool:
    return (root / "cgroup.controllers").exists()
