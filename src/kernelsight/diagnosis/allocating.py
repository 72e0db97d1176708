"""In which function a culprit takes memory, by the stacks of its page faults, where a probe took them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from kernelsight.diagnosis.functions import CALLER_SHARE, HOT_SHARE, function_of, is_about_cpu_time, rows_of, told
from kernelsight.diagnosis.model import Finding, Step
from kernelsight.diagnosis.registry import fault_classes
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Window
from kernelsight.events.stack import FaultStack
from kernelsight.profiles.samples import stacks

if TYPE_CHECKING:  # with them comes numpy
    from kernelsight.profiles.symbols import Name, Symbols

LEAST_FAULTS = Threshold(
    1940,
    "faults",
    because="20 stacks, each of which stands for 97 faults: a share of half of 20 is known to within 11 %",
)
_MOST_ROWS = 3600


def is_about_memory(finding: Finding) -> bool:
    """Whether a finding is of a class of faults of memory."""
    return "memory" in fault_classes()[finding.fault].parts


def allocated(window: Window, finding: Finding, symbols: Symbols) -> Step | None:
    """The claim of where the culprit takes its memory; None where no stacks of faults tell."""
    if not is_about_memory(finding) and not is_about_cpu_time(finding):  # to fault costs CPU time
        return None
    rows = rows_of(window, FaultStack, finding.culprit)[-_MOST_ROWS:]
    total = sum(row.faults or 0 for row in rows)
    if total < LEAST_FAULTS:
        return None
    numbers = {number for row in rows for number in (row.user_stack_id, row.kernel_stack_id) if number is not None}
    known = stacks(window.reader, window.when, numbers)
    counts: Counter[tuple[Name, Name | None]] = Counter()
    of_function: dict[Name, list[FaultStack]] = {}
    for row in rows:
        named = function_of(row, known, symbols)
        if named is not None:
            counts[named] += row.faults or 0
            of_function.setdefault(named[0], []).append(row)
    functions: Counter[Name] = Counter()
    for (function, _), faults in counts.items():
        functions[function] += faults
    if not functions:
        return None
    hottest, most = min(functions.items(), key=lambda item: (-item[1], item[0]))
    if most < HOT_SHARE * total:
        return None
    callers = {caller: faults for (function, caller), faults in counts.items() if function == hottest}
    caller, its = max(callers.items(), key=lambda item: item[1])
    below = f", below {told(caller)}" if caller is not None and its >= CALLER_SHARE * most else ""
    claim = f"{100 * most / total:.0f} % of the page faults of {finding.culprit.name} are in {told(hottest)}{below}"
    evidence = (window.evidence(part, FaultStack.faults, "sum") for part in (of_function[hottest], rows))
    return Step(claim, tuple(each for each in evidence if each is not None))
