"""Speed of CPUs and what limits it, from cpufreq and thermal_throttle (Documentation/admin-guide/pm/cpufreq.rst)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.clock import NS_PER_S
from kernelsight.collectors.damage import bounded
from kernelsight.collectors.sysfs.values import names, value, word
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.hardware import CpuSpeed

_EVERY_NS = 5 * NS_PER_S
_MOST = 1024


@collector(source="sysfs", emits=(CpuSpeed,))
class CpuSpeedCollector:
    """How fast each CPU may run, and how often it was too hot, every 5 s.

    There are no rows where the kernel has neither cpufreq nor thermal_throttle, as in most virtual machines.
    """

    def __init__(self, host: Host) -> None:
        root = host.sys / "devices/system/cpu"
        cpus = [(int(name[3:]), root / name) for name in names(root) if name.startswith("cpu") and name[3:].isdigit()]
        self._cpus = [
            (cpu, folder)
            for cpu, folder in sorted(cpus)[:_MOST]
            if (folder / "cpufreq").is_dir() or (folder / "thermal_throttle").is_dir()
        ]
        self._monotonic_ns = host.monotonic_ns
        self._due = 0
        if not cpus:
            raise SourceUnavailableError(f"no CPUs in {root}: sysfs is not mounted")

    def collect(self, now: int) -> Iterator[CpuSpeed]:
        """Read all of them, if it is time to."""
        moment = self._monotonic_ns()
        if moment < self._due:
            return
        self._due = moment + _EVERY_NS
        for cpu, folder in self._cpus:
            with bounded(f"{folder}"):
                yield _speed(now, cpu, folder)

    def close(self) -> None:
        """Nothing is kept open: CPUs go offline, and their files with them."""


def _speed(now: int, cpu: int, folder: Path) -> CpuSpeed:
    frequency, heat = folder / "cpufreq", folder / "thermal_throttle"
    return CpuSpeed(
        now,
        cpu=cpu,
        frequency_khz=value(frequency / "scaling_cur_freq"),
        limit_khz=value(frequency / "scaling_max_freq"),
        hardware_khz=value(frequency / "cpuinfo_max_freq"),
        governor=word(frequency / "scaling_governor"),
        core_throttles=value(heat / "core_throttle_count"),
        package_throttles=value(heat / "package_throttle_count"),
        core_throttled_ms=value(heat / "core_throttle_total_time_ms"),
        package_throttled_ms=value(heat / "package_throttle_total_time_ms"),
    )
