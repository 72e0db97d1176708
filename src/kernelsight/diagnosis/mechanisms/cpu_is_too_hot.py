"""CPUs that are too hot and slow down until they are cooler."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kernelsight.diagnosis.cpu_speed import BUSY_SHARE, busy_share, workers
from kernelsight.diagnosis.faults.cpu_throttling import CPU_THROTTLING
from kernelsight.diagnosis.kernel_log import messages, said
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.phrases import times
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import CounterDelta, Interval, Window, samples_of
from kernelsight.events.hardware import CpuSpeed
from kernelsight.events.kernel_message import KernelMessage

SLOWED_SHARE = Threshold(
    0.1,
    "share of the time",
    because="judged: a CPU that is slowed for a moment, as at the start of much work, loses little",
)
AGAIN = Threshold(3, "times", because="judged: a CPU that gets too hot once has its fan started")


@dataclass(frozen=True, slots=True)
class TooHot:
    """CPUs that were throttled for their heat in a stretch."""

    run: Interval
    deltas: Sequence[CounterDelta[CpuSpeed]]
    """Of the CPU that was throttled most often."""
    times: float
    slowed_share: float | None
    """Of the time, the share in which it was throttled; None where it is not counted."""
    busy: float | None
    """Of all CPU time, the share in which something ran."""
    messages: Sequence[KernelMessage]

    @property
    def has_work(self) -> bool | None:
        """Whether the CPUs have enough to do that slowness is felt."""
        return None if self.busy is None else self.busy >= BUSY_SHARE


def measure(window: Window) -> Iterable[TooHot]:
    """The CPU that was throttled most, if any was."""
    found = [(times, deltas) for deltas in window.deltas(CpuSpeed).values() if (times := sum(map(_times, deltas))) > 0]
    if not found:
        return
    times, deltas = max(found, key=lambda one: one[0])
    hot = [delta for delta in deltas if _times(delta) > 0]
    run = Interval(window.second(hot[0].before), window.second(hot[-1].after))
    within = window.during(deltas, run)
    seconds = sum(delta.seconds for delta in within)
    slowed = [max(delta.of(CpuSpeed.core_throttled_ms), delta.of(CpuSpeed.package_throttled_ms)) for delta in within]
    is_counted = any(delta.after.core_throttled_ms is not None for delta in within)
    yield TooHot(
        run,
        within,
        times,
        slowed_share=sum(slowed) / 1000 / seconds if is_counted and seconds else None,
        busy=busy_share(window, run),
        messages=messages(window, "thermal_throttled"),
    )


def _times(delta: CounterDelta[CpuSpeed]) -> float:
    return max(delta.of(CpuSpeed.core_throttles), delta.of(CpuSpeed.package_throttles))


def explain(window: Window, hot: TooHot) -> Explanation:
    """Everything that computes runs slower until it is cooler."""
    culprit = Entity("machine", "heat of the CPUs", "heat of the CPUs")
    samples = samples_of(hot.deltas)
    cpu = samples[-1].cpu if samples else None
    share = "" if hot.slowed_share is None else f", for {hot.slowed_share:.0%} of the time"
    return Explanation(
        culprit=culprit,
        onset_ns=window.at(hot.run.first),
        victims=workers(window, hot.run),
        does="slows the CPUs down",
        detail=f"{times(hot.times)}{share}",
        harm="computes more slowly",
        suffering_s=(hot.slowed_share or 0.0) * hot.run.seconds * (hot.busy or 0.0) * window.cpus,
        path=path(
            claim(
                f"CPU {cpu} was slowed {hot.times:.0f} times for its heat{share}",
                window.evidence(samples, CpuSpeed.core_throttles, "increase"),
                window.evidence(samples, CpuSpeed.package_throttles, "increase"),
                window.evidence(samples, CpuSpeed.core_throttled_ms, "increase"),
            ),
            *said(window, hot.messages),
        ),
        refuted_by="the counters below /sys/devices/system/cpu/cpu*/thermal_throttle stand still and it is as slow",
        outlook="everything that computes runs slower until the CPUs are cooler",
        actions=(LOOK.on(culprit, "check fans, dust, the temperature of the room and the load"),),
    )


MECHANISM = Mechanism[TooHot](
    fault=CPU_THROTTLING,
    summary="CPUs are too hot, and the hardware slows them down until they are cooler.",
    measure=measure,
    checks=(
        Check(
            id="for_long",
            says="a CPU is slowed for a tenth of the time or more",
            holds=lambda hot: None if hot.slowed_share is None else hot.slowed_share >= SLOWED_SHARE,
            supports=2.0,
            refutes=3.0,
            because="judged: it is how much it loses at most; the hardware counts it (*_throttle_total_time_ms)",
        ),
        Check(
            id="again",
            says="it is slowed again and again",
            holds=lambda hot: hot.times >= AGAIN,
            supports=1.0,
            refutes=1.0,
            because="judged: once may be a moment of much work; again and again, its cooling does not suffice",
        ),
        Check(
            id="has_work",
            says="the CPUs have much to do",
            holds=lambda hot: hot.has_work,
            supports=1.0,
            refutes=3.0,
            because="judged: whom a slower CPU harms has work for it",
        ),
    ),
    explain=explain,
)
