"""I/O of block devices, from /sys/block/*/stat (Documentation/block/stat.rst)."""

from __future__ import annotations

import os

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.damage import bounded, parsing
from kernelsight.collectors.files import KernelFile, unavailable
from kernelsight.collectors.text import CutLine, lines, numbers
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.block import Block

_OLDER_COLUMNS = (11, 15)  # without discards, without flushes
_COLUMNS = 17  # with discards (Linux 4.18) and flushes (5.5); what comes after is not known yet


@collector(source="sysfs", emits=(Block,))
class BlockCollector:
    """I/O of every block device that has done any."""

    def __init__(self, host: Host) -> None:
        self._root = host.sys / "block"
        self._files: dict[str, KernelFile] = {}
        try:
            self._names()
        except OSError as error:
            raise unavailable(self._root, error, absent="sysfs is not mounted, or there are no block devices") from None

    def collect(self, now: int) -> list[Block]:
        """Read every device once; those that came are opened and those that went are closed."""
        present = self._names()
        for gone in self._files.keys() - set(present):
            self._files.pop(gone).close()
        events: list[Block] = []
        for device in present:
            text = self._text(device)
            # Loop and RAM disks that nobody has set up would be rows of zeros for ever.
            if text is not None and (not text or text.strip(b" 0\n")):
                with bounded("/sys/block/*/stat", text):
                    events.append(parse_block_stat(device, text, now))
        return events

    def close(self) -> None:
        """Close all files."""
        while self._files:
            self._files.popitem()[1].close()

    def _names(self) -> list[str]:
        return sorted(os.listdir(self._root))  # noqa: PTH208 - names are enough

    def _text(self, device: str) -> bytes | None:
        """What its file says; None when the device goes away at this moment."""
        for _ in range(2):
            try:
                if device not in self._files:
                    self._files[device] = KernelFile(self._root / device / "stat")
                return self._files[device].read()
            except SourceUnavailableError:
                return None
            except OSError:
                # ENODEV: this one has gone, but another may have come under its name.
                self._files.pop(device).close()
        return None


def parse_block_stat(device: str, text: bytes, now: int) -> Block:
    """Parse the one line of ``/sys/block/DEVICE/stat``; columns that a kernel lacks are None.

    Raises:
        SourceUnavailableError: it is not that.
    """
    with parsing(f"/sys/block/{device}/stat", text):
        line = lines(text)[0]
        values = numbers(line.split())
        if not isinstance(line, CutLine) and len(values) < _COLUMNS and len(values) not in _OLDER_COLUMNS:
            raise ValueError(f"{len(values)} columns")
        if len(values) > _COLUMNS and None in values:
            raise ValueError("a word too many")
        if all(value is None for value in values):
            raise ValueError("it has no number")
        # sysfs shows the `/` of a name such as cciss/c0d0 as `!`.
        return Block(now, device.replace("!", "/"), *values[:_COLUMNS])
