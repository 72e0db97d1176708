"""A diagnosis in short, as the command line, the agent, notifications and the web pages say it.

One sentence that a person can act on (who does what since when, what that is to whom, and how sure it is), then the
claims of its path, what can be typed against it, and what was ruled out, one line each::

    porka 17714 (root, started by sh 17090) uses 98 % of a CPU since 11:37:00; nixmir 17593 waits 281 ms of every second
    for a CPU. 95 % sure.

All texts may hold foreign names: who shows them makes them safe (:mod:`kernelsight.printable`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from kernelsight.diagnosis.commands import Commands, shell_command
from kernelsight.diagnosis.model import Diagnosis, Entity, EntityKind, Evidence, Finding, Proposal, RuledOut, Step
from kernelsight.diagnosis.naming import introduced, named, plain
from kernelsight.events.action import Answer
from kernelsight.events.declare import Label
from kernelsight.events.wire import tables
from kernelsight.moments import clock_text, format_time
from kernelsight.quantities import number, quantity

_KINDS: dict[EntityKind, str] = {
    "process": "",
    "program": "program ",
    "cgroup": "group ",
    "device": "device ",
    "mount": "file system ",
    "interface": "interface ",
    "listener": "",
    "rule": "rule ",
    "limit": "limit ",
    "machine": "",
}
"""What stands before the name of an entity in a sentence."""
_TIMES = "\N{MULTIPLICATION SIGN}"
_MOST_PIDS = 4
_MOST_LIKEWISE = 3
_MOST_AGAINST = 2
_SUFFIX = re.compile(r"_(?:ns|us|ms|s|kb|bytes)$")
"""Unit in the name of a column; its value says it."""
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


class Claim(msgspec.Struct, frozen=True):
    """One claim of a path, with its number in human units."""

    text: str
    value: str
    """What was measured, with its name where the text does not say the number; else empty."""
    before: str
    """The same before the fault began; empty where it is not known."""
    evidence: tuple[Evidence, ...]

    @property
    def line(self) -> str:
        """The claim, its value and what it was before, in one line."""
        numbers = ", ".join(part for part in (self.value, f"before {self.before}" if self.before else "") if part)
        return f"{self.text} ({numbers})" if numbers else self.text


class Todo(msgspec.Struct, frozen=True):
    """Something that can be done, and the command for it."""

    text: str
    command: str
    """What can be typed; empty where there is nothing to type."""
    proposal: Proposal


class FindingSummary(msgspec.Struct, frozen=True):
    """What is to be said of a finding."""

    sentence: str
    fault: str
    """The class of fault, in words."""
    claims: tuple[Claim, ...]
    to_do: tuple[Todo, ...]
    alternatives: tuple[str, ...]
    """What else it may be."""
    refuted_by: str
    outlook: str


class Summary(msgspec.Struct, frozen=True):
    """What is to be said of a window."""

    verdict: Answer
    sentence: str
    """The first line: of the most certain finding, or that the machine is healthy, or that this is not known."""
    findings: tuple[FindingSummary, ...]
    ruled_out: tuple[str, ...]
    """Explanations that were considered and are less likely, and why; the likeliest first."""


def summary(diagnosis: Diagnosis, command: Commands = shell_command) -> Summary:
    """A diagnosis in short.

    Args:
        diagnosis: what was found.
        command: what can be typed for a proposal.
    """
    return Summary(
        diagnosis.verdict,
        sentence(diagnosis),
        tuple(finding_summary(diagnosis, finding, command) for finding in diagnosis.findings),
        tuple(considered(diagnosis)),
    )


def sentence(diagnosis: Diagnosis) -> str:
    """The one sentence that stands above everything else."""
    if diagnosis.findings:
        others = len(diagnosis.findings) - 1
        more = f" And {others} more fault{'' if others == 1 else 's'}." if others else ""
        return finding_sentence(diagnosis, diagnosis.findings[0]) + more
    if diagnosis.healthy:
        return f"Healthy{diagnosis.but_for}: nobody suffers, nothing fails, nothing is about to run out."
    return "Not known: whether anybody suffers cannot be told."


def finding_sentence(diagnosis: Diagnosis, finding: Finding) -> str:
    """Who does what since when, what that is to whom, and how sure that is."""
    does = finding.does or f"causes {plain(finding.fault)}"
    detail = f": {finding.detail}" if finding.detail else ""
    began = clock_text(finding.onset_ns, beside_ns=diagnosis.window.end_ns)
    since = f"since {began} or before" if finding.began_before else f"since {began}"
    harm = _harm(diagnosis, finding)
    told = f"{_culprit(diagnosis, finding)} {does} {since}{detail}" + (f"; {harm}" if harm else "")
    return f"{told}. {_percent(finding.confidence)} sure."


def finding_summary(diagnosis: Diagnosis, finding: Finding, command: Commands = shell_command) -> FindingSummary:
    """A finding in short."""
    return FindingSummary(
        sentence=finding_sentence(diagnosis, finding),
        fault=plain(finding.fault),
        claims=tuple(map(_claim, finding.path)),
        to_do=tuple(Todo(proposal.text, command(finding, proposal), proposal) for proposal in finding.actions),
        alternatives=tuple(
            f"{plain(other.fault)} by {introduced(diagnosis, other.culprit)} ({_percent(other.confidence)})"
            for other in finding.alternatives
        ),
        refuted_by=finding.refuted_by,
        outlook=finding.outlook,
    )


def considered(diagnosis: Diagnosis) -> list[str]:
    """The explanations that are no findings, one sentence for each fault of each name, the likeliest first."""
    groups: dict[tuple[str, str], list[RuledOut]] = {}
    for one in diagnosis.ruled_out:
        if one.against or one.effect_of:
            groups.setdefault((one.fault, one.culprit.name), []).append(one)
    return [_considered(group) for group in groups.values()]


def amount(evidence: Evidence, value: float) -> str:
    """A cited number in the unit that its column declares."""
    kind = tables().get(evidence.table)
    column = kind.by_name.get(evidence.metric) if kind else None
    if column is None or evidence.how == "count":
        return number(value)
    if isinstance(column.semantics, Label) and evidence.how in {"last", "min", "max"}:
        return format_time(int(value)) if column.unit == "ns" else f"{value:.0f}"
    return quantity(value, f"{column.unit}/s" if evidence.how == "slope" else column.unit)


def _culprit(diagnosis: Diagnosis, finding: Finding) -> str:
    if finding.fellows:
        return _several(diagnosis, (finding.culprit, *finding.fellows))
    return _KINDS[finding.culprit.kind] + introduced(diagnosis, finding.culprit)


def _several(diagnosis: Diagnosis, entities: Sequence[Entity]) -> str:
    """Processes that do one thing together: `4 x sh (pids 12, 13, 14, 15; cron.service, started by cron 9)`."""
    first = entities[0]
    pids = ", ".join(entity.id for entity in entities[:_MOST_PIDS]) + (", …" if len(entities) > _MOST_PIDS else "")
    _, _, described = introduced(diagnosis, first).removeprefix(first.name).partition(" (")
    known = diagnosis.identity(first) is not None and described
    return f"{len(entities)} {_TIMES} {first.name} (pids {pids}" + (f"; {described}" if known else ")")


def _harm(diagnosis: Diagnosis, finding: Finding) -> str:
    """What it is to whom: to the victim that is named first, to others likewise, to itself, or what will come of it."""
    actors = {finding.culprit, *finding.fellows}
    victims = [victim for victim in finding.victims if victim not in actors]
    if not finding.victims or not finding.harm:
        return finding.outlook
    if not victims:
        return f"{'one of them' if finding.fellows else 'it'} {finding.harm}"
    first, *others = victims
    likewise = f", likewise {_grouped(others)}" if others else ""
    return f"{introduced(diagnosis, first)} {finding.harm}{likewise}"


def _grouped(entities: Sequence[Entity]) -> str:
    """Entities by their names: `2 x nginx, postgres (12) and 3 more`."""
    by_name: dict[str, list[Entity]] = {}
    for entity in entities:
        by_name.setdefault(entity.name, []).append(entity)
    groups = list(by_name.items())
    shown = [
        named(group[0]) if len(group) == 1 else f"{len(group)} {_TIMES} {name}"
        for name, group in groups[:_MOST_LIKEWISE]
    ]
    left = sum(len(group) for _, group in groups[_MOST_LIKEWISE:])
    parts = [*shown, f"{left} more"] if left else shown
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]


def _claim(step: Step) -> Claim:
    if not step.evidence:
        return Claim(step.claim, "", "", ())
    first = step.evidence[0]
    value = amount(first, first.value)
    return Claim(
        step.claim,
        "" if _says(step.claim, value) else f"{_SUFFIX.sub('', first.metric).replace('_', ' ')} {value}",
        "" if first.baseline is None else amount(first, first.baseline),
        step.evidence,
    )


def _says(text: str, value: str) -> bool:
    """Whether a text has a number, to as many digits as it gives."""
    measured = _NUMBER.search(value)
    if measured is None:
        return value in text
    exact = float(measured.group().replace(",", ""))
    return any(
        round(exact, len(said.partition(".")[2])) == float(said.replace(",", "")) for said in _NUMBER.findall(text)
    )


def _considered(group: Sequence[RuledOut]) -> str:
    first, others = group[0], len({one.culprit.id for one in group}) - 1
    more = f" and {others} more" if others else ""
    return f"{plain(first.fault)} by {named(first.culprit)}{more} ({_percent(first.confidence)}): {_why_not(first)}"


def _why_not(one: RuledOut) -> str:
    if one.effect_of:
        return f"an effect of {plain(one.effect_of)}"
    left_out = len(one.against) - _MOST_AGAINST
    more = f", and {left_out} more" if left_out > 0 else ""
    return f"does not hold: {'; '.join(one.against[:_MOST_AGAINST])}{more}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
