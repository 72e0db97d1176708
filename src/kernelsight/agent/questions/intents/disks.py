"""How fast disks and networks are: latency by percentile, requests and bytes a second, and how busy they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TypeVar

from kernelsight.agent.questions.intent import intent
from kernelsight.agent.questions.question import ParsedQuestion
from kernelsight.agent.questions.subjects import Metric
from kernelsight.diagnosis.model import Evidence, Step
from kernelsight.events.block import Block, IoLatency
from kernelsight.events.declare import Event, kind_of
from kernelsight.events.fields import Field, getter, name_of
from kernelsight.events.network import Network
from kernelsight.moments import to_second
from kernelsight.quantities import number, quantity
from kernelsight.query.filters import Filter
from kernelsight.query.presence import why_no_rows

E = TypeVar("E", bound=Event)

_LATENCIES = {
    ("read", "p50"): IoLatency.read_p50_us,
    ("read", "p95"): IoLatency.read_p95_us,
    ("read", "p99"): IoLatency.read_p99_us,
    ("read", "max"): IoLatency.read_max_us,
    ("write", "p50"): IoLatency.write_p50_us,
    ("write", "p95"): IoLatency.write_p95_us,
    ("write", "p99"): IoLatency.write_p99_us,
    ("write", "max"): IoLatency.write_max_us,
}
_SHARE = re.compile(r"\bp(50|95|99)\b|\b(50|95|99)(?:th)? percentile\b|\b(max|highest|worst|median)\b")
_OTHER_SHARE = re.compile(r"\bp\d|\bpercentile\b")


def _devices(question: ParsedQuestion, kind: type[E], column: Field[E, str | None]) -> list[str]:
    """Those that are named, or all of which there are rows."""
    named = question.names_of("device")
    if named:
        return [str(name.value) for name in named]
    return _all(question, kind, column)


def _all(question: ParsedQuestion, kind: type[E], column: Field[E, str | None]) -> list[str]:
    """The devices or interfaces of which there are rows."""
    names = map(getter(column), question.rows(kind))
    return list(dict.fromkeys(name for name in names if name is not None))


@intent(
    r"^(?=.*\b(?:latency|p\d+(?:\.\d+)?|percentile|response time|slow|slowest|fast)\b)(?!.*\b(?:why|syscall|"
    r"system call|schedul\w+)\b)"
    r"(?=.*\b(?:disk|io|storage|device|write|read|latency|p\d+)\b)(?!.*\b(?:load|memory|cpu|swap|rss)\b)",
    order=50,
    examples=("what was the p99 latency of vda?",),
)
def latency(question: ParsedQuestion) -> Iterable[Step]:
    """Of reads and of writes of each device the percentile that is asked for: its mean and its worst second."""
    share = _SHARE.search(question.plain)
    if share is None and _OTHER_SHARE.search(question.plain):
        question.limits.append("the latency of disks is recorded as p50, p95, p99 and maximum; ask for one of them")
        return
    if question.names and not question.names_of("device"):
        question.limits.append(f"latency is recorded for each disk, not for {question.names[0].said}")
        return
    name = next((part for part in (share[1], share[2]) if part), None) if share else "99"
    column = (
        {"max": "max", "highest": "max", "worst": "max", "median": "p50"}.get(share[3] or "", f"p{name}")
        if share
        else "p99"
    )
    rows = question.rows(IoLatency)
    if not rows:
        question.limits.append(why_no_rows(question.reader, kind_of(IoLatency).table, question.when))
        return
    wanted = [direction for direction in ("read", "write") if re.search(rf"\b{direction}\b", question.plain)] or [
        "read",
        "write",
    ]
    steps = [
        step
        for device in _devices(question, IoLatency, IoLatency.device)
        for direction in wanted
        for step in _latency(question, device, direction, column)
    ]
    steps.sort(key=lambda step: -step.evidence[0].value)
    if steps and question.is_yes_no:
        head = "Not known whether that is too much, as no limit of it is recorded; "
        steps[0] = Step(f"{head}{steps[0].claim}", steps[0].evidence)
    if not steps:
        question.limits.append(f"there is no {' or '.join(wanted)} latency in the rows of that time")
    yield from steps[: question.count]


def _latency(question: ParsedQuestion, device: str, direction: str, column: str) -> Iterator[Step]:
    metric = Metric(_LATENCIES[direction, column])
    where = [Filter(IoLatency.device, "=", device)]
    worst, mean = question.evidence(metric, "max", where), question.evidence(metric, "mean", where)
    if worst is None or mean is None:
        return
    said = "longest" if column == "max" else column
    yield Step(
        f"{device}: {said} of {direction}s at most {quantity(worst.value, 'us')} (in the second at "
        f"{to_second(worst.end_ns)}),"
        f" {quantity(mean.value, 'us')} on average of the seconds",
        (worst, mean),
    )  # fmt: skip


@intent(
    r"\biops\b|\bthroughput\b|\brequests? (?:per|a|each) second\b|\bmb(?:ytes)?/s\b",
    order=51,
    examples=("how many IOPS did vda do?", "throughput of eth0"),
)
def speed(question: ParsedQuestion) -> Iterable[Step]:
    """Requests or bytes a second, each way."""
    if question.names_of("interface") or re.search(r"\b(?:network|interface)\b", question.plain):
        yield from _rates(
            question, Network, (Network.rx_bytes, Network.tx_bytes), Network.interface_name, ("received", "sent")
        )
        return
    if question.names and not question.names_of("device"):
        question.limits.append(f"that is recorded for each disk and interface, not for {question.names[0].said}")
        return
    iops = re.search(r"\biops\b|\brequest", question.plain)
    columns = (Block.read_ios, Block.write_ios) if iops else (Block.read_sectors, Block.write_sectors)
    yield from _rates(question, Block, columns, Block.device_name, ("read", "written"))


def _rates(
    question: ParsedQuestion,
    kind: type[E],
    columns: tuple[Field[E, int | None], Field[E, int | None]],
    by: Field[E, str | None],
    words: tuple[str, str],
) -> Iterator[Step]:
    declared = kind_of(kind)
    if not question.recorded(declared):
        question.limits.append(why_no_rows(question.reader, declared.table, question.when))
        return
    named = [str(name.value) for name in question.names if name.kind in {"device", "interface"}]
    entities = named or _all(question, kind, by)
    steps: list[tuple[float, Step]] = []
    for entity in entities:
        where = [Filter(by, "=", entity)]
        shown = [question.evidence(Metric(column), where=where) for column in columns]
        known = [evidence for evidence in shown if evidence is not None and evidence.end_ns > evidence.start_ns]
        if not known:
            continue
        rates = [_a_second(evidence) for evidence in known]
        unit = declared.by_name[name_of(columns[0])].unit
        total = sum(rates)
        each = " and ".join(f"{_said(rate, unit)} {word}" for rate, word in zip(rates, words, strict=False))
        label = "IOPS" if unit == "requests" else "throughput"
        steps.append((total, Step(f"{entity}: {label} {_said(total, unit)} on average ({each})", tuple(known))))
    if not steps:
        question.limits.append(f"{declared.table} has too few rows in that time to tell a rate")
    yield from (step for _, step in sorted(steps, key=lambda pair: -pair[0])[: question.count])


def _a_second(evidence: Evidence) -> float:
    return evidence.value / ((evidence.end_ns - evidence.start_ns) / 1e9)


def _said(rate: float, unit: str) -> str:
    return f"{number(rate)}/s" if unit == "requests" else quantity(rate, f"{unit}/s")


@intent(
    r"^(?=.*\b(?:disk|io|device|storage|utili[sz]ation)\b)(?=.*\b(?:busy|busiest|utili[sz]\w*|saturated|"
    r"overloaded|most busy|which (?:disk|device))\b)"
    r"(?!.*\b(?:cpu|memory|network|why|who|process|full|space|fill|write|read|latency|error)\b)",
    order=52,
    examples=("which disk is busiest?", "is vda busy?"),
)
def busy(question: ParsedQuestion) -> Iterable[Step]:
    """The share of time in which a disk had a request to do."""
    if not question.recorded(kind_of(Block)):
        question.limits.append(why_no_rows(question.reader, kind_of(Block).table, question.when))
        return
    shares = []
    for device in _devices(question, Block, Block.device_name):
        evidence = question.evidence(Metric(Block.io_ticks), where=[Filter(Block.device_name, "=", device)])
        if evidence is not None and evidence.end_ns > evidence.start_ns:
            shares.append((min(evidence.value / ((evidence.end_ns - evidence.start_ns) / 1e6), 1.0), device, evidence))
    shares.sort(key=lambda share: -share[0])
    if not shares:
        question.limits.append("block_stats has too few rows in that time to tell how busy a disk was")
    for place, (share, device, evidence) in enumerate(shares[: question.count]):
        first = ("Yes: " if share >= 0.9 else "No: ") if question.is_yes_no and place == 0 else ""
        yield Step(f"{first}{device} was busy {share:.0%} of the time", (evidence,))
