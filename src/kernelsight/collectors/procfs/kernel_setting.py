"""Settings of the kernel, from /proc/sys and /sys, a few files a second."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.damage import bounded
from kernelsight.collectors.differences import Differences
from kernelsight.collectors.files import read_once
from kernelsight.collectors.text import name
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.kernel_setting import KernelSetting
from kernelsight.linux.settings import QUEUE, SYSCTLS, SYSFS, is_watched, sysctl_name

EVERY_S = 20
"""A look at all of them takes this long, a part of them each second. 830 files take 0.06 % of a core."""
_LIST_NS = 300 * NS_PER_S
"""Between two lookings for files: modules bring settings with them."""
_MOST = 2_000
_MOST_DEVICES = 64
_LONGEST = 256
_CHOICE = re.compile(r"(?:^| )\[([^\[\]]+)\](?= |$)")


@collector(source="procfs", emits=(KernelSetting,))
class KernelSettingCollector:
    """Settings of the kernel: sysctls, huge pages, queues of disks; a row for each change."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._files: list[tuple[str, str]] = []
        self._differences: Differences[str] = Differences()
        self._next = 0
        self._listed_at: int | None = None
        if not (host.proc / "sys").is_dir():
            raise SourceUnavailableError(f"no {host.proc}/sys: is it mounted?")

    def collect(self, now: int) -> Iterator[KernelSetting]:
        """Look at the next part of them; at the first time at all."""
        moment = self._host.monotonic_ns()
        first = self._listed_at is None
        if self._listed_at is None or (self._next == 0 and moment >= self._listed_at + _LIST_NS):
            self._files, self._listed_at = list(files(self._host)), moment
        end = len(self._files) if first else self._next + -(-len(self._files) // EVERY_S)
        for setting, path in self._files[self._next : end]:
            with bounded(path):
                said = read_once(path)
                if said is None:
                    continue
                found = self._differences.seen(setting, value_in(said), now)
                if found is not None:
                    yield KernelSetting(now, *found)
        self._next = end
        if end >= len(self._files):
            self._next = 0
            there = {setting for setting, _ in self._files}
            for gone in self._differences.whole(there, now):
                yield KernelSetting(now, *gone)

    def close(self) -> None:
        """Nothing is kept open: modules and devices come and go."""


def files(host: Host) -> Iterator[tuple[str, str]]:
    """Name and path of each setting that this user may read."""
    count = 0
    for path in (*_sysctls(host.proc / "sys"), *_sysfs(host.sys)):
        is_sysctl = path.startswith(f"{host.proc}/sys/")
        below = path.removeprefix(f"{host.proc}/sys/") if is_sysctl else f"/sys{path.removeprefix(str(host.sys))}"
        if (is_sysctl and not is_watched(below)) or not os.access(path, os.R_OK):
            continue
        yield sysctl_name(below) if is_sysctl else below, path
        count += 1
        if count == _MOST:
            return


def _sysctls(root: Path) -> Iterator[str]:
    for folder in SYSCTLS:
        for place, folders, names in os.walk(root / folder):
            folders.sort()
            yield from (f"{place}/{file}" for file in sorted(names))


def _sysfs(root: Path) -> Iterator[str]:
    for folder in SYSFS:
        yield from sorted(str(file) for file in (root / folder).glob("*") if file.is_file())
    devices = sorted((root / "block").glob("*"))[:_MOST_DEVICES]
    yield from (str(file) for device in devices for name in QUEUE if (file := device / "queue" / name).is_file())


def value_in(said: bytes) -> str:
    """The value that a file tells: of a choice such as ``always [madvise] never`` the chosen one."""
    text = " ".join(name(said.rstrip(b"\0")).split())
    chosen = _CHOICE.findall(text)
    return (chosen[0] if len(chosen) == 1 else text)[:_LONGEST]
