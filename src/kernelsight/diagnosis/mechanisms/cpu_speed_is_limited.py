"""CPUs that may not run as fast as they can, since something lowered the limit of their frequency."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.cpu_speed import BUSY_SHARE, busy_share, since, workers
from kernelsight.diagnosis.faults.cpu_throttling import CPU_THROTTLING
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Interval, Window
from kernelsight.events.hardware import CpuSpeed

LOW_SHARE = Threshold(
    0.75,
    "of the frequency that the hardware can",
    because="judged: the last quarter is mostly that of a single busy CPU (turbo), and is seldom had",
)
LOWERED_BY = Threshold(
    1.2, "times", because="judged: firmware moves limits by a step or two all the time; a sixth less is felt"
)


@dataclass(frozen=True, slots=True)
class Limited:
    """CPUs whose limit of frequency is low."""

    cpus: int
    """How many."""
    run: Interval
    limit_khz: int
    before_khz: int
    """The highest limit of the same CPU in the window."""
    hardware_khz: int
    busy: float | None
    rows: Sequence[CpuSpeed]
    """Of the CPU with the lowest limit, from when it was lowest."""

    @property
    def share(self) -> float:
        """Of what the hardware can, what it may."""
        return self.limit_khz / self.hardware_khz

    @property
    def was_lowered(self) -> bool:
        """Whether the limit was higher before."""
        return self.before_khz >= LOWERED_BY * self.limit_khz

    @property
    def has_work(self) -> bool | None:
        """Whether the CPUs have enough to do that slowness is felt."""
        return None if self.busy is None else self.busy >= BUSY_SHARE


def measure(window: Window) -> Iterable[Limited]:
    """The CPU with the lowest limit at the end, if it is low."""
    low = {
        key: rows
        for key, rows in window.series(CpuSpeed).items()
        if (last := rows[-1]).limit_khz and last.hardware_khz and last.limit_khz < LOW_SHARE * last.hardware_khz
    }
    if not low:
        return
    rows = min(low.values(), key=lambda one: (one[-1].limit_khz or 0) / (one[-1].hardware_khz or 1))
    limit_khz = rows[-1].limit_khz or 0
    lowered = [row for row in rows if row.limit_khz is not None and row.limit_khz < LOWERED_BY * limit_khz]
    run = since(window, lowered)
    yield Limited(
        len(low),
        run,
        limit_khz,
        max(row.limit_khz or 0 for row in rows),
        rows[-1].hardware_khz or 1,
        busy_share(window, run),
        lowered,
    )


def explain(window: Window, suspect: Limited) -> Explanation:
    """Everything that computes there runs slower."""
    culprit = Entity("limit", "scaling_max_freq", "scaling_max_freq")
    cpu = suspect.rows[-1].cpu
    return Explanation(
        culprit=culprit,
        onset_ns=suspect.rows[0].timestamp,
        victims=workers(window, suspect.run),
        does="keeps CPUs slow",
        detail=f"{suspect.cpus} run at {suspect.limit_khz / 1e6:.1f} of {suspect.hardware_khz / 1e6:.1f} GHz",
        harm="computes more slowly",
        suffering_s=(1 - suspect.share) * suspect.run.seconds * (suspect.busy or 0.0) * suspect.cpus,
        path=path(
            claim(
                f"CPU {cpu} and {suspect.cpus - 1} others may run at {suspect.limit_khz / 1e6:.1f} GHz, of the "
                f"{suspect.hardware_khz / 1e6:.1f} GHz that the hardware can"
                if suspect.cpus > 1
                else f"CPU {cpu} may run at {suspect.limit_khz / 1e6:.1f} GHz, of the "
                f"{suspect.hardware_khz / 1e6:.1f} GHz that the hardware can",
                window.evidence(suspect.rows, CpuSpeed.limit_khz, "min"),
                window.evidence(suspect.rows, CpuSpeed.hardware_khz, "max"),
            ),
        ),
        refuted_by="it is as slow with the limit at cpuinfo_max_freq",
        outlook="everything that computes runs slower until the limit is raised",
        actions=(
            LOOK.on(
                culprit,
                "see who lowers it: the firmware (power supply, temperature), a power profile, or thermald; "
                "grep . /sys/devices/system/cpu/cpu*/cpufreq/scaling_max_freq",
            ),
        ),
    )


MECHANISM = Mechanism[Limited](
    fault=CPU_THROTTLING,
    summary="Firmware, a power profile or a person lowered the limit of the CPUs' frequency, and programs run slower.",
    measure=measure,
    checks=(
        Check(
            id="was_lowered",
            says="the limit was higher before",
            holds=lambda suspect: suspect.was_lowered,
            supports=2.5,
            refutes=3.0,
            because="judged: a machine that always had such a limit has it by intention, to save power or noise",
        ),
        Check(
            id="has_work",
            says="the CPUs have much to do",
            holds=lambda suspect: suspect.has_work,
            supports=1.5,
            refutes=3.0,
            because="judged: whom a slower CPU harms has work for it",
        ),
    ),
    explain=explain,
)
