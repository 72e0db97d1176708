"""Errors of memory, from EDAC (Documentation/driver-api/edac.rst, ABI/testing/sysfs-devices-edac)."""

from __future__ import annotations

from collections.abc import Iterator

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.sysfs.values import names, value, word
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.hardware import MemoryErrors

_EVERY_NS = 10 * NS_PER_S
_MODULES = ("dimm", "rank")


@collector(source="sysfs", emits=(MemoryErrors,))
class MemoryErrorsCollector:
    """Errors of memory that the hardware corrected or could not correct, by controller and module, every 10 s.

    There are no rows where the memory has no error correction, its driver (EDAC) is not loaded, or the firmware keeps
    the errors to itself.
    """

    def __init__(self, host: Host) -> None:
        self._root = host.sys / "devices/system/edac/mc"
        self._monotonic_ns = host.monotonic_ns
        self._due = 0
        if not host.sys.is_dir() or not names(host.sys):
            raise SourceUnavailableError(f"nothing in {host.sys}: sysfs is not mounted")

    def collect(self, now: int) -> Iterator[MemoryErrors]:
        """Read all of them, if it is time to."""
        moment = self._monotonic_ns()
        if moment < self._due:
            return
        self._due = moment + _EVERY_NS
        for controller in names(self._root):
            folder = self._root / controller
            if not controller.startswith("mc") or not controller[2:].isdigit():
                continue
            yield MemoryErrors(
                now, controller, None, value(folder / "ce_noinfo_count"), value(folder / "ue_noinfo_count")
            )
            for module in names(folder):
                if module.startswith(_MODULES):
                    label = word(folder / module / "dimm_label") or module
                    corrected = value(folder / module / "dimm_ce_count")
                    yield MemoryErrors(now, controller, label, corrected, value(folder / module / "dimm_ue_count"))

    def close(self) -> None:
        """Nothing is kept open."""
