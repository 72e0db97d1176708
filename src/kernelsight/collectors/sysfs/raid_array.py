"""Arrays of disks, from /sys/block/md*/md (Documentation/admin-guide/md.rst)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.damage import bounded
from kernelsight.collectors.sysfs.values import names, value, word
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.hardware import RaidArray

_EVERY_NS = 5 * NS_PER_S


@collector(source="sysfs", emits=(RaidArray,))
class RaidArrayCollector:
    """State of each array of disks, every 5 s: which disks are missing, and how far it is in sync."""

    def __init__(self, host: Host) -> None:
        self._root = host.sys / "block"
        self._monotonic_ns = host.monotonic_ns
        self._due = 0
        if not self._root.is_dir():
            raise SourceUnavailableError(f"no {self._root}: sysfs is not mounted")

    def collect(self, now: int) -> Iterator[RaidArray]:
        """Read all of them, if it is time to."""
        moment = self._monotonic_ns()
        if moment < self._due:
            return
        self._due = moment + _EVERY_NS
        for device in names(self._root):
            folder = self._root / device / "md"
            if device.startswith("md") and folder.is_dir():
                with bounded(f"{folder}"):
                    yield _array(now, device, folder)

    def close(self) -> None:
        """Nothing is kept open: arrays are stopped and assembled again."""


def _array(now: int, device: str, folder: Path) -> RaidArray:
    members = [member for member in names(folder) if member.startswith("dev-")]
    faulty = [member[4:] for member in members if "faulty" in (word(folder / member / "state") or "").split(",")]
    return RaidArray(
        now,
        device_name=device,
        raid_level=word(folder / "level"),
        array_state=word(folder / "array_state"),
        raid_disks=_first(word(folder / "raid_disks")),
        degraded=value(folder / "degraded"),
        sync_action=word(folder / "sync_action"),
        synced_share=parse_completed(word(folder / "sync_completed")),
        faulty=",".join(faulty) or None,
    )


def _first(text: str | None) -> int | None:
    """The number of `4 (3)`, as an array shows that is being reshaped."""
    return int(text.split()[0]) if text else None


def parse_completed(text: str | None) -> float | None:
    """The share of `1024 / 2048` sectors; None for `none` and for `delayed`.

    Raises:
        ValueError: it is neither.
    """
    if text is None or text in {"none", "delayed"}:
        return None
    done, slash, whole = text.partition("/")
    if not slash or not int(whole):
        raise ValueError(f"{text[:40]!r} is no part of a whole")
    return int(done) / int(whole)
