"""What is computed of several columns of the machine: how busy its CPUs are, how much memory and swap are used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from kernelsight.agent.questions.intent import intent
from kernelsight.agent.questions.intents.top import ranked
from kernelsight.agent.questions.question import ParsedQuestion
from kernelsight.agent.questions.subjects import Metric
from kernelsight.diagnosis.model import Evidence, Step
from kernelsight.events.declare import kind_of
from kernelsight.events.fields import name_of
from kernelsight.events.memory import Memory, Vmstat
from kernelsight.events.scheduler import Cpu
from kernelsight.quantities import quantity
from kernelsight.query.filters import Filter
from kernelsight.query.presence import why_no_rows

_TIMES = (Cpu.user, Cpu.nice, Cpu.system, Cpu.idle, Cpu.iowait, Cpu.irq, Cpu.softirq, Cpu.steal)
_SPECIAL = (Cpu.iowait, Cpu.steal, Cpu.softirq, Cpu.idle)
_BUSY = 0.9
_LITTLE = 0.1
_WHOLE_CPU = [Filter(Cpu.cpu, "=", -1)]


@intent(
    r"^(?!.*\b(?:what (?:be )?(?:use|take|burn\w*|consume)|who|whose|process|which|when|why|top|throttle|"
    r"queue|delay|pressure|list|most|load|forks?|eat\w*|hog\w*|fault|switch|interrupt)\b)"
    r"(?=.*\b(?:cpu|iowait|io wait|steal|softirq|idle)\b)",
    order=55,
    examples=("how busy is the cpu?", "was the cpu overloaded?"),
)
def cpu(question: ParsedQuestion) -> Iterable[Step]:
    """The share of CPU time that was not idle, and what it went to."""
    if question.names or not question.recorded(kind_of(Cpu)):
        yield from _by_process(question)
        return
    spent = {column: question.evidence(Metric(column), where=_WHOLE_CPU) for column in _TIMES}
    known = {column: evidence for column, evidence in spent.items() if evidence is not None}
    total = sum(evidence.value for evidence in known.values())
    if not total or Cpu.idle not in known:
        yield from _by_process(question)
        return
    share = {column: evidence.value / total for column, evidence in known.items()}
    special = next(
        (
            column
            for column in _SPECIAL
            if re.search(rf"\b{name_of(column).replace('iowait', 'io ?wait')}\b", question.plain)
        ),
        None,
    )
    evidences = tuple(known.values())
    if special and special in share:
        yield Step(f"{name_of(special)} was {share[special]:.1%} of all CPU time", evidences)
        return
    busy = 1 - share[Cpu.idle] - share.get(Cpu.iowait, 0.0)
    first = ("Yes: " if busy >= _BUSY else "No: ") if question.is_yes_no else ""
    parts = ", ".join(
        f"{name_of(column)} {part:.0%}"
        for column, part in sorted(share.items(), key=lambda item: -item[1])
        if part >= 0.005
    )
    yield Step(f"{first}the CPUs were busy {busy:.0%} of the time ({parts})", evidences)


def _by_process(question: ParsedQuestion) -> Iterator[Step]:
    metric = question.metric(whole=not question.names, unless="what of the CPU?")
    if metric is not None:
        yield from ranked(question, metric)


@intent(
    r"^(?!.*\b(?:what (?:be )?(?:use|take|burn\w*|consume)|eat\w*|hog\w*|who|whose|process|which|when|why|"
    r"top|page|dirty|leak|grow|pressure|list|most|lowest|average|p\d+|cached|slab|fault)\b)"
    r"(?=.*\b(?:memory|swap|swapping)\b)(?=.*\b(?:use|usage|low|left|free|available|full|enough|much|swapping|short|any|be)\b)",
    order=56,
    examples=("how much swap is used?", "is memory low?", "is the machine swapping?"),
)
def memory(question: ParsedQuestion) -> Iterable[Step]:
    """Used and free memory or swap at the end of the time, and how little was free at the least."""
    if question.names:
        metric = question.metric(whole=False, unless="")
        yield from ranked(question, metric) if metric else ()
        return
    if not question.recorded(kind_of(Memory)):
        question.limits.append(why_no_rows(question.reader, kind_of(Memory).table, question.when))
        return
    if re.search(
        r"\bswapping\b|^\W*(?:be|is|was|does|do|did) (?:the |my |this |it |we |machine |system )*swap$", question.plain
    ):
        yield from _swapping(question)
        return
    swap = "swap" in question.plain.split()
    name = "swap" if swap else "memory"
    free_of, total_of = Metric(Memory.mem_available_kb), Metric(Memory.mem_total_kb)
    if swap:
        free_of, total_of = Metric(Memory.swap_free_kb), Metric(Memory.swap_total_kb)
    free, total, least = (
        question.evidence(free_of, "last"),
        question.evidence(total_of, "last"),
        question.evidence(free_of, "min"),
    )
    if free is None or least is None:
        question.limits.append(f"{name} has no value in that time")
        return
    if total is None or (not total.value and not swap):
        yield Step(f"{name} free: {_kib(least)} at least, {_kib(free)} at the end", (least, free))
        return
    if not total.value:
        yield Step(f"{'No: ' if question.is_yes_no else ''}this machine has no swap", (total,))
        return
    used = quantity(total.value - free.value, "KiB")
    share = free.value / total.value
    answer = ""
    if question.is_yes_no:
        is_low = least.value / total.value < _LITTLE
        asks_use = (
            swap
            and re.search(r"\b(?:use|any)\b", question.plain)
            and not re.search(r"\b(?:low|left|free|full|enough)\b", question.plain)
        )
        yes = total.value > free.value if asks_use else is_low
        if re.search(r"\b(?:enough|free|left|available)\b", question.plain):
            yes = not is_low
        answer = "Yes: " if yes else "No: "
    yield Step(
        f"{answer}{name}: {used} of {_kib(total)} used and {_kib(free)} free ({share:.0%}) at the end; at "
        f"least {_kib(least)} was free",
        (free, total, least),
    )


def _kib(evidence: Evidence) -> str:
    return quantity(evidence.value, "KiB")


def _swapping(question: ParsedQuestion) -> Iterator[Step]:
    shown = (
        [question.evidence(Metric(column)) for column in (Vmstat.pswpin, Vmstat.pswpout)]
        if question.recorded(kind_of(Vmstat))
        else []
    )
    known = [evidence for evidence in shown if evidence is not None]
    if len(known) < 2:
        question.limits.append(why_no_rows(question.reader, kind_of(Vmstat).table, question.when))
        return
    inward, outward = known
    word = "Yes" if inward.value or outward.value else "No"
    yield Step(
        f"{word}: {quantity(inward.value, 'pages')} were swapped in and {quantity(outward.value, 'pages')} out",
        tuple(known),
    )
