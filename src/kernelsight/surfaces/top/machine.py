"""The lines above the table: the verdict, and how the machine as a whole is in this second."""

from __future__ import annotations

from kernelsight.events.memory import Memory
from kernelsight.events.pressure import Pressure
from kernelsight.events.scheduler import Cpu, Load
from kernelsight.quantities import number, quantity
from kernelsight.surfaces.top.look import Look, rate

_CPU = (
    Cpu.user, Cpu.nice, Cpu.system, Cpu.idle, Cpu.iowait, Cpu.irq, Cpu.softirq, Cpu.steal, Cpu.procs_running,
    Cpu.procs_blocked,
)  # fmt: skip
_BUSY = (Cpu.user, Cpu.nice, Cpu.system, Cpu.irq, Cpu.softirq, Cpu.steal)
_HOST = "system"
_ALL = -1
"""The CPU of the row for all of them together."""


def machine_line(look: Look) -> str:
    """CPUs and load in a line that fits beside the time."""
    return "  ".join(part for part in (_cpus(look), _load(look)) if part) or "nothing is recorded of this second"


def pressure_line(look: Look) -> str:
    """Of this second, the share in which somebody waited for a resource, and in which all did; and the memory."""
    shares: dict[str, tuple[float | None, float | None]] = {}
    columns = (Pressure.some_total_us, Pressure.full_total_us)
    for sample in look.samples(Pressure, columns):
        if sample.row.scope in {None, _HOST} and sample.row.resource:
            shares[sample.row.resource] = rate(sample, Pressure.some_total_us), rate(sample, Pressure.full_total_us)
    told = [
        f"{resource} {_percent(some)}" + (f" (all {_percent(full)})" if full else "")
        for resource, (some, full) in sorted(shares.items())
    ]
    stalls = f"pressure  {'  '.join(told)}" if told else ""
    return "   ".join(part for part in (stalls, _memory(look)) if part)


def _percent(us_per_s: float | None) -> str:
    return "·" if us_per_s is None else f"{us_per_s / 1e4:.0f} %"


def _cpus(look: Look) -> str:
    busy = whole = steal = 0.0
    samples = [sample for sample in look.samples(Cpu, _CPU) if sample.row.cpu != _ALL]
    together = [sample.row for sample in look.samples(Cpu, _CPU) if sample.row.cpu == _ALL]
    for sample in samples:
        used, idle = rate(sample, *_BUSY), rate(sample, Cpu.idle, Cpu.iowait)
        if used is not None and idle is not None:
            busy, whole, steal = busy + used, whole + used + idle, steal + (rate(sample, Cpu.steal) or 0.0)
    if not whole:
        return ""
    stolen = f", {100 * steal / whole:.0f} % stolen" if steal >= whole / 100 else ""
    tasks = "".join(f"  {row.procs_running} run, {row.procs_blocked} blocked" for row in together[:1])
    return f"CPU {100 * busy / whole:.0f} % of {len(samples)}{stolen}{tasks}"


def _memory(look: Look) -> str:
    columns = (Memory.mem_total_kb, Memory.mem_available_kb, Memory.swap_total_kb, Memory.swap_free_kb)
    for sample in look.samples(Memory, columns):
        row = sample.row
        if row.mem_total_kb and row.mem_available_kb is not None:
            swapped = (row.swap_total_kb or 0) - (row.swap_free_kb or 0)
            swap = f", {quantity(swapped, 'KiB')} in swap" if swapped > 0 else ""
            used = row.mem_total_kb - row.mem_available_kb
            return f"used {quantity(used, 'KiB')} of {quantity(row.mem_total_kb, 'KiB')}{swap}"
    return ""


def _load(look: Look) -> str:
    for sample in look.samples(Load, (Load.load_1min,)):
        if sample.row.load_1min is not None:
            return f"load {number(sample.row.load_1min)}"
    return ""
