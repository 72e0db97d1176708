"""What a culprit computes: the function that has most of its CPU time, by sampled stacks.

Said once, of every finding of a class that is about CPU time and whose culprit was seen to compute, whatever mechanism
found it. Where a function has no name, the claim says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from kernelsight.diagnosis.model import Entity, Finding, Step
from kernelsight.diagnosis.registry import fault_classes
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Window
from kernelsight.events.process import Process
from kernelsight.events.stack import FaultStack, StackSample
from kernelsight.profiles.interpreters import INTERPRETS
from kernelsight.profiles.samples import StoredStack, stacks

if TYPE_CHECKING:  # with them comes numpy
    from kernelsight.profiles.symbols import Name, Symbols

LEAST_SAMPLES = Threshold(
    20,
    "samples",
    because="judged: a share of half of 20 samples is known to within 11 % (standard error of a proportion)",
)
HOT_SHARE = Threshold(
    0.1,
    "share of the samples",
    because="judged: to make a function that has less than a tenth of the CPU time faster helps nobody",
)
CALLER_SHARE = Threshold(
    0.6, "share of a function's samples", because="judged: a caller that most of the samples have is worth its name"
)
GROWN_SHARE = Threshold(
    0.32,
    "share of the samples",
    because="twice the standard error of the difference of two shares of half of 20 samples",
)
_MOST_ROWS = 3600
_MOST_STACKS = 400
_PARTS = frozenset({"cpu", "lock"})
"""Of the machine: a fault of one of these, or one that spends CPU time, is about what its culprit computes."""

R = TypeVar("R", StackSample, FaultStack)


class _Sampled(NamedTuple):
    row: StackSample
    function: Name
    program: Name | None
    """The innermost function of the program, where the kernel computes for it or a library does."""


def computed(window: Window, finding: Finding, symbols: Symbols) -> Step | None:
    """The claim of what the culprit computes; None where samples do not tell."""
    if not is_about_cpu_time(finding):
        return None
    samples = rows_of(window, StackSample, finding.culprit)
    rows = [row for row in samples if row.timestamp >= finding.onset_ns][-_MOST_ROWS:]
    before = [row for row in samples if row.timestamp < finding.onset_ns][-_MOST_ROWS:]
    return _step(window, finding.culprit, rows, [] if finding.began_before else before, symbols)


def is_about_cpu_time(finding: Finding) -> bool:
    """Whether a finding is of a class of faults that spend CPU time, want it, or are of locks."""
    declared = fault_classes()[finding.fault]
    return declared.traits.spends_cpu or declared.traits.wants_cpu or not _PARTS.isdisjoint(declared.parts)


def rows_of(window: Window, kind: type[R], culprit: Entity) -> list[R]:
    """The rows with stacks of a process, of a program by its name, or of the processes of a control group."""
    if culprit.kind == "process":
        return [row for row in window.rows(kind) if str(row.pid) == culprit.id]
    if culprit.kind == "program":
        return [row for row in window.rows(kind) if row.comm == culprit.name]
    if culprit.kind == "cgroup":
        inside = {row.pid for row in window.rows(Process) if is_in(row.cgroup, culprit.id)}
        return [row for row in window.rows(kind) if row.pid in inside]
    return []


def is_in(group: str | None, path: str) -> bool:
    """Whether a control group is at a path or below it."""
    return group is not None and f"{group.rstrip('/')}/".startswith(f"{path.rstrip('/')}/")


def _step(
    window: Window, culprit: Entity, rows: Sequence[StackSample], before: Sequence[StackSample], symbols: Symbols
) -> Step | None:
    total = sum(row.samples or 0 for row in rows)
    if total < LEAST_SAMPLES:
        return None
    sampled = _sampled(window, rows, symbols)
    counts: Counter[Name] = Counter()
    for one in sampled:
        counts[one.function] += one.row.samples or 0
    if not counts:
        return None
    hottest, most = min(counts.items(), key=lambda one: (-one[1], one[0]))
    share = most / total
    its = [one for one in sampled if one.function == hottest]
    grown, rows_before = _grown(window, hottest, share, before, symbols)
    cited = ([one.row for one in its], rows, *rows_before)
    evidence = [window.evidence(each, StackSample.samples, "sum") for each in cited]
    percent, where = f"{100 * share:.0f} %{grown}", _mostly_in(sampled, total, share)
    if share >= HOT_SHARE:
        claim = f"{percent} of the CPU time of {culprit.name} is in {told(hottest)}{_for_whom(its, most)}{where}"
    else:
        hot = f"{told(hottest)} has most of it, {percent}{where}"
        claim = f"the CPU time of {culprit.name} is spread over many functions: {hot}"
    return Step(claim, tuple(one for one in evidence if one is not None))


def _grown(
    window: Window, function: Name, share: float, before: Sequence[StackSample], symbols: Symbols
) -> tuple[str, tuple[Sequence[StackSample], ...]]:
    """What share a function had before, where it had clearly less, and the rows that show it; else nothing."""
    total = sum(row.samples or 0 for row in before)
    if total < LEAST_SAMPLES:
        return "", ()
    its = [one.row for one in _sampled(window, before, symbols) if one.function == function]
    was = sum(row.samples or 0 for row in its) / total
    if share < was + GROWN_SHARE:
        return "", ()
    return f" (before {100 * was:.0f} %)", (its, before) if its else (before,)


def _sampled(window: Window, rows: Iterable[StackSample], symbols: Symbols) -> list[_Sampled]:
    """The rows whose stack is known, each with its function; those of most samples first where there are too many."""
    weights: Counter[tuple[int | None, int | None]] = Counter()
    for row in rows:
        weights[row.user_stack_id, row.kernel_stack_id] += row.samples or 0
    chosen = {pair for pair, _ in weights.most_common(_MOST_STACKS)}
    known = stacks(window.reader, window.when, (number for pair in chosen for number in pair if number is not None))
    names: dict[tuple[int | None, int | None, int | None], tuple[Name, Name | None] | None] = {}
    found = []
    for row in rows:
        pair = row.user_stack_id, row.kernel_stack_id
        if pair not in chosen:
            continue
        key = (row.pid, *pair)
        if key not in names:
            names[key] = function_of(row, known, symbols)
        named = names[key]
        if named is not None:
            found.append(_Sampled(row, *named))
    return found


def function_of(
    row: StackSample | FaultStack, known: Mapping[int, StoredStack], symbols: Symbols
) -> tuple[Name, Name | None] | None:
    """Where a sample was taken, and the innermost function of the program above that; None where it is not known."""
    user = known.get(row.user_stack_id) if row.user_stack_id is not None else None
    kernel = known.get(row.kernel_stack_id) if row.kernel_stack_id is not None else None
    chain = symbols.user(user.frames, row.pid, user.ends).names if user is not None else ()
    if kernel is not None and kernel.frames.kernel:
        return symbols.kernel(kernel.frames)[-1], chain[-1] if chain else None
    if row.kernel_stack_id is not None or not chain:
        return None
    function = chain[-1]
    caller = next((name for name in reversed(chain) if name.is_known and name.where != function.where), None)
    return function, caller


def told(name: Name) -> str:
    """A function in a claim."""
    if name.is_known:
        language = INTERPRETS.get(name.function)
        also = f", which interprets {language}" if language else ""
        return f"`{name.function}` ({name.where}){also}" if name.where else f"`{name.function}`{also}"
    if name.function.startswith("[code of no file"):
        return "code that it made while it ran, and that has no names"
    return f"a function without a name (`{name.function}`)"


def _mostly_in(sampled: Sequence[_Sampled], total: int, share: float) -> str:
    """The file that has most of the CPU time, where no function has most of it."""
    counts: Counter[str] = Counter()
    for one in sampled:
        counts[one.function.where] += one.row.samples or 0
    where, most = min(counts.items(), key=lambda one: (-one[1], one[0]))
    place = "the kernel" if where == "kernel" else where
    return f"; {100 * most / total:.0f} % is in {place}" if where and most > total / 2 > share * total else ""


def _for_whom(its: Sequence[_Sampled], most: int) -> str:
    """On whose behalf: the function of the program above it in most of the samples, where there is one."""
    callers: Counter[Name] = Counter()
    for one in its:
        if one.program is not None:
            callers[one.program] += one.row.samples or 0
    if not callers:
        return ""
    caller, count = min(callers.items(), key=lambda one: (-one[1], one[0]))
    return f", below {told(caller)}" if count >= CALLER_SHARE * most else ""
