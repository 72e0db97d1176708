"""From what a model claims to a report: only what the store shows gets through, and nothing proven is lost.

A model cites evidence by the names under which tools handed it out, so it cannot make up rows; each number is
recomputed from the store nevertheless, because rows may have gone. A finding must name a culprit that occurs in
the rows that it cites. What the deterministic diagnosis found stays in the report even if the model is silent
about it: nothing that telemetry says can talk a finding away.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta

from kernelsight.agent.evidence import Citations
from kernelsight.agent.model import Doubt
from kernelsight.diagnosis.check import wrong_with
from kernelsight.diagnosis.model import Diagnosis, Entity, Evidence, Fault, Finding, Parameter, Proposal, Step
from kernelsight.diagnosis.registry import fault_classes
from kernelsight.diagnosis.remedies import remedies
from kernelsight.errors import UsageError
from kernelsight.events.declare import Column
from kernelsight.events.fields import field_named, getter
from kernelsight.printable import printable
from kernelsight.query.source import kind_named
from kernelsight.query.stored import cited_rows
from kernelsight.query.times import TimeRange, parse_time
from kernelsight.stores.base import Reader

_MOST_SURE = 0.95
"""A model's own confidence is not calibrated on anything; it may say no more than this."""
_MOST_CHARACTERS = 600
_MOST_SAID = 20
"""Claims, findings or limits of one answer; who says more has not understood what matters."""
_NUMBER = re.compile(r"(?<![\w.:/-])(\d[\d,]*(?:\.\d+)?)(?![\w:/-]|\.\d)\s*(%|[a-zA-Zµ]+(?:/s)?)?")


if TYPE_CHECKING:
    DeclaredFault = Fault
else:  # a model is told the classes, and an answer with another one is refused
    DeclaredFault = Literal[tuple(fault_classes())]

Label = tuple[str, str]
"""What a row names, and how it is called there."""
_PART = re.compile(r"[\w.-]+")


class Claim(msgspec.Struct, frozen=True):
    """One statement of a model."""

    claim: Annotated[str, Meta(description="one sentence")]
    evidence: Annotated[tuple[str, ...], Meta(description="the ref of each number that shows it, such as e3")]


class Advice(msgspec.Struct, frozen=True):
    """What a model proposes to do."""

    action: Annotated[str, Meta(extra_json_schema={"enum": [*remedies()]})]
    """Another one is dropped, and said; the rest of the answer may be right."""
    target: Entity
    text: Annotated[str, Meta(description="what is to be done, a sentence")]
    parameters: tuple[Parameter, ...] = ()


class Claimed(msgspec.Struct, frozen=True):
    """A fault as a model sees it."""

    fault: DeclaredFault
    culprit: Annotated[Entity, Meta(description="what to act on; of a process, id is its pid and name its comm")]
    victims: tuple[Entity, ...]
    since: Annotated[str, Meta(description="when it began, in UTC, such as 2026-11-23 14:00:05Z")]
    confidence: Annotated[float, Meta(ge=0, le=1)]
    path: Annotated[tuple[Claim, ...], Meta(description="from who suffers to the culprit")]
    refuted_by: Annotated[str, Meta(description="what would show that this is wrong")]
    outlook: Annotated[str, Meta(description="what happens if nothing is done")]
    actions: tuple[Advice, ...]


class Answer(msgspec.Struct, frozen=True):
    """What a model says in the end."""

    answer: Annotated[
        tuple[Claim, ...], Meta(max_length=_MOST_SAID, description="claims that answer the question, if one was asked")
    ]
    findings: Annotated[tuple[Claimed, ...], Meta(max_length=_MOST_SAID)]
    limits: Annotated[
        tuple[str, ...], Meta(max_length=_MOST_SAID, description="what the telemetry cannot tell, a sentence each")
    ]


@dataclass(slots=True)
class Proven:
    """What is left of an answer."""

    answer: tuple[Step, ...]
    findings: tuple[Finding, ...]
    limits: tuple[str, ...] = ()
    doubts: list[Doubt] = field(default_factory=list)


def proven(answer: Answer, reader: Reader, ledger: Citations, known: Diagnosis) -> Proven:
    """Hold an answer against the store.

    Args:
        answer: of a model.
        reader: of the store.
        ledger: the evidence that the tools handed out.
        known: what the deterministic diagnosis says of the time in question.
    """
    check = _Check(reader, ledger)
    steps = tuple(check.steps(answer.answer))
    findings = [finding for claimed in answer.findings if (finding := check.finding(claimed)) is not None]
    return Proven(steps, _with_known(findings, known), tuple(map(_text, answer.limits)), check.doubts)


def _with_known(findings: Iterable[Finding], known: Diagnosis) -> tuple[Finding, ...]:
    """A model's findings beside those of the diagnosis.

    Where both agree, the diagnosis says how sure that is. Where they blame the same fault on different culprits, the
    model is no surer than the diagnosis, whose confidence is calibrated, and comes after it.
    """
    sure = {(finding.fault, finding.culprit.kind, finding.culprit.id): finding for finding in known.findings}
    surest: dict[str, float] = {}
    for finding in known.findings:
        surest[finding.fault] = max(surest.get(finding.fault, 0.0), finding.confidence)
    merged: dict[tuple[str, str, str], Finding] = {}
    for finding in findings:
        key = finding.fault, finding.culprit.kind, finding.culprit.id
        same = sure.get(key)
        if same is not None:
            agreed = msgspec.structs.replace(finding, confidence=same.confidence, culprit=same.culprit)
        else:
            agreed = msgspec.structs.replace(
                finding, confidence=min(finding.confidence, surest.get(finding.fault, 1.0))
            )
        merged.setdefault(key, agreed)
    # Those of the diagnosis stand first, and sorting keeps the order of what is equally sure.
    return tuple(sorted((sure | merged).values(), key=lambda finding: -finding.confidence))


class _Check:
    def __init__(self, reader: Reader, ledger: Citations) -> None:
        self._reader = reader
        self._ledger = ledger
        self.doubts: list[Doubt] = []

    def finding(self, claimed: Claimed) -> Finding | None:
        """The finding with what is shown of its path; None where that does not lead to its culprit."""
        path = tuple(self.steps(claimed.path))
        what = f"{claimed.fault} by {_text(claimed.culprit.name)}"
        if not path:
            self._doubt(what, "no step of its path is shown")
            return None
        cited = [evidence for step in path for evidence in step.evidence]
        labels = self._labels(cited)
        if not _occurs(claimed.culprit, labels):
            self._doubt(what, f"{_text(claimed.culprit.name)} is in none of the rows that it cites")
            return None
        return Finding(
            fault=claimed.fault,
            culprit=claimed.culprit,
            victims=tuple(victim for victim in claimed.victims if _occurs(victim, labels)),
            onset_ns=self._onset(claimed.since, cited),
            confidence=min(claimed.confidence, _MOST_SURE),
            path=path,
            refuted_by=_text(claimed.refuted_by),
            actions=tuple(self._proposals(claimed.actions, labels)),
            outlook=_text(claimed.outlook),
        )

    def steps(self, claims: Iterable[Claim]) -> Iterator[Step]:
        """The claims that are shown, with what shows them; the others become doubts."""
        for claim in claims:
            evidence = tuple(dict.fromkeys(self._evidence(claim)))
            if evidence and (unshown := unshown_number(claim.claim, evidence, self._texts(evidence))):
                self._doubt(claim.claim, f"the rows do not show {unshown}")
            elif evidence:
                yield Step(_text(claim.claim), evidence)
            elif not claim.evidence:
                self._doubt(claim.claim, "it cites nothing")

    def _evidence(self, claim: Claim) -> Iterator[Evidence]:
        for name in claim.evidence:
            evidence = self._ledger.find(name)
            wrong = f"there is no evidence {name!r}" if evidence is None else wrong_with(self._reader, evidence)
            if wrong or evidence is None:
                self._doubt(claim.claim, wrong)
            else:
                yield evidence

    def _texts(self, cited: Iterable[Evidence]) -> set[str]:
        return {text for _, text in self._labels(cited)}

    def _doubt(self, claim: str, why: str) -> None:
        self.doubts.append(Doubt(_text(claim), _text(why)))

    def _onset(self, since: str, cited: Iterable[Evidence]) -> int:
        """When it began: as claimed if that is a time, else the first row that is cited."""
        try:
            return parse_time(since)
        except UsageError:
            return min(evidence.start_ns for evidence in cited)

    def _proposals(self, actions: Iterable[Advice], labels: Collection[Label]) -> Iterator[Proposal]:
        """Remedies as they are declared, for something that the rows are about; nothing else can be meant."""
        for advice in actions:
            proposal = Proposal(advice.action, advice.target, _text(advice.text), advice.parameters)
            remedy = remedies().get(advice.action)
            if wrong := remedy.wrong_with(proposal) if remedy else "there is no such remedy":
                self._doubt(f"{advice.action} {advice.target.name}", wrong)
            elif not _occurs(advice.target, labels):
                self._doubt(f"{advice.action} {advice.target.name}", "its target is in none of the rows that are cited")
            else:
                yield proposal

    def _labels(self, cited: Iterable[Evidence]) -> set[Label]:
        """Whom and what the cited rows name."""
        labels: set[Label] = set()
        for evidence in cited:
            kind = kind_named(evidence.table)
            named = {field_named(kind, column.name): what for column in kind.columns if (what := _names(column))}
            when = TimeRange(evidence.start_ns, evidence.end_ns)
            for row in cited_rows(self._reader, kind.struct, when, evidence.row_ids):
                labels |= {
                    (what, str(value)) for column, what in named.items() if (value := getter(column)(row)) is not None
                }
        return labels


def _names(column: Column) -> str:
    """What the values of a column name: a `pid`, a `cgroup`, a `port`, something by its `text`; empty if nothing."""
    if column.type == "TEXT":
        return "text"
    for what in ("pid", "port"):
        if column.name == what or column.name.endswith(f"_{what}"):
            return what
    return "cgroup" if column.name == "cgroup_id" else ""


def _occurs(entity: Entity, labels: Collection[Label]) -> bool:
    """Whether rows name an entity; a process by its pid, since others may have its name."""
    match entity.kind:
        case "machine" | "limit":
            return True
        case "process":
            return ("pid", entity.id) in labels
        case "listener" | "rule":
            return any((what, part) in labels for part in _PART.findall(entity.id) for what in ("text", "port"))
        case "cgroup":
            return not {("cgroup", entity.id), ("text", entity.id), ("text", entity.name)}.isdisjoint(labels)
        case _:
            return not {("text", entity.id), ("text", entity.name)}.isdisjoint(labels)


_THOUSANDS = (1.0, 1e3, 1e-3, 1e6, 1e-6, 1e9, 1e-9)
_BINARY = (*_THOUSANDS, *(1024.0**power for power in (-3, -2, -1, 1, 2, 3)))
_LEAST_ROUNDING, _MOST_ROUNDING = 0.01, 0.05
_LEAST_DIGITS = 3
_MOST_DIGITS = 30
"""Nothing that is measured has more."""
_FEW = 10
"""Smaller numbers ("2 of 3 CPUs") are words rather than measurements."""


def unshown_number(claim: str, evidence: Iterable[Evidence], labels: Collection[str] = ()) -> str:
    """The first number with a unit, or of three digits, that a claim makes and its evidence does not; empty if none.

    A number is shown when a value of the evidence (or its baseline, their difference or ratio, the value per
    second, how many rows or seconds there are) is the same after rounding and a change of unit; or when the cited
    rows have it as a label, such as a pid.
    """
    cited = list(evidence)
    for match in _NUMBER.finditer(claim):
        digits, unit = match[1].replace(",", ""), match[2]
        telling = unit is not None or len(digits.replace(".", "").lstrip("0")) >= _LEAST_DIGITS
        if telling and float(digits) >= _FEW and digits not in labels and not _is_shown(digits, unit, cited):
            return match[0].strip()
    return ""


def _is_shown(digits: str, unit: str | None, cited: Iterable[Evidence]) -> bool:
    if len(digits) > _MOST_DIGITS:
        return False
    number = float(digits)
    rounding = min(max(_rounding(digits), _LEAST_ROUNDING * number), _MOST_ROUNDING * number)
    return any(abs(value - number) <= rounding for value in _shown(cited, per_cent=unit == "%"))


def _rounding(digits: str) -> float:
    """Half of the last digit that a number was given with: of 17,000 half a thousand."""
    whole, _, fraction = digits.partition(".")
    places = -len(fraction) if fraction else len(whole) - len(whole.rstrip("0"))
    return float(0.5 * 10.0**places)


def _shown(cited: Iterable[Evidence], *, per_cent: bool) -> Iterator[float]:
    """The numbers that evidence shows, in every unit."""
    values: list[float] = []
    for evidence in cited:
        seconds = max((evidence.end_ns - evidence.start_ns) / 1e9, 1.0)
        values = [*values, abs(evidence.value), abs(evidence.value) / seconds]
        yield from (float(len(evidence.row_ids)), seconds, seconds / 60.0)
        if evidence.baseline is not None:
            values += [abs(evidence.baseline), abs(evidence.value - evidence.baseline)]
        scales = _BINARY if evidence.metric.endswith(("bytes", "_kb")) else _THOUSANDS
        yield from (value * scale * share for value in values for scale in scales for share in (1, *[100] * per_cent))
    yield from (a / b * (100 if per_cent else 1) for a in values for b in values if b)


def _text(text: str) -> str:
    return printable(text[:_MOST_CHARACTERS])
