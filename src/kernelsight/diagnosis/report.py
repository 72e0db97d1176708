"""A diagnosis as lines for a person: what, who, since when, how sure, what shows it, what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from kernelsight.diagnosis.changed import told, watched_since
from kernelsight.diagnosis.commands import Commands, shell_command
from kernelsight.diagnosis.evidence_series import EvidenceSeries
from kernelsight.diagnosis.identity import UNKNOWN
from kernelsight.diagnosis.model import Diagnosis, Entity, Evidence, Finding, Identity, Muted, RuledOut
from kernelsight.events.declare import Label
from kernelsight.events.wire import tables
from kernelsight.linux.services import Service
from kernelsight.moments import format_time, to_next_second, to_second
from kernelsight.quantities import number, quantity

Style = Literal["plain", "quiet", "good", "fault", "claim", "course", "advice", "command"]

_MOST_RULED_OUT = 5
_MOST_AGAINST = 2
_INIT = "1"
"""Pid of the first process."""
_DELETED = " (deleted)"
"""What the kernel puts behind the path of a file that has no name any more (proc_pid_exe(5))."""
_LONGEST_PATH = 64
_WIDTH = 48
_BARS = " ▁▂▃▄▅▆▇█"


class Line(NamedTuple):
    """One line, and what it is."""

    text: str
    style: Style = "plain"


def report(
    diagnosis: Diagnosis,
    series_by_evidence: Mapping[Evidence, EvidenceSeries] | None = None,
    command: Commands = shell_command,
) -> Iterator[Line]:
    """The lines.

    Args:
        diagnosis: what was found.
        series_by_evidence: how the cited numbers went over the window, to be drawn under their claims.
        command: what can be typed for a proposal.
    """
    window = diagnosis.window
    yield Line(f"From {to_second(window.start_ns)} to {to_next_second(window.end_ns)}", "quiet")
    if diagnosis.healthy:
        yield Line("")
        yield Line(f"Healthy{diagnosis.but_for}: nobody suffers, nothing fails, nothing is about to run out.", "good")
    yield from (Line(sentence, "quiet") for sentence in muted(diagnosis))
    if diagnosis.unknown:
        yield Line("")
        yield from _unknown(diagnosis)
    yield from noted(diagnosis)
    for finding in diagnosis.findings:
        yield Line("")
        yield from _finding(diagnosis, finding, series_by_evidence or {}, command)
    if others := considered(diagnosis)[:_MOST_RULED_OUT]:
        yield Line("")
        yield Line("Considered, and less likely:", "quiet")
        yield from (Line(f"  {sentence}", "quiet") for sentence in others)
    if diagnosis.not_excluded:
        yield Line("")
        yield Line(
            "Not excluded, because the collectors that would show it recorded nothing, or single seconds alone:",
            "quiet",
        )
        yield from (Line(f"  {line}", "quiet") for line in not_excluded(diagnosis))
    if diagnosis.unseen:
        yield Line("")
        yield Line("Could not be looked at:", "quiet")
        yield from (Line(f"  {sentence}", "quiet") for sentence in diagnosis.unseen)


def muted(diagnosis: Diagnosis) -> Iterator[str]:
    """What somebody acknowledged, a line each."""
    for one in diagnosis.muted:
        by = f" by {one.muted_by}" if one.muted_by else ""
        yield f"Muted{by} until {to_second(one.until_ns)} ({one.mute_id}): {acknowledged(one)}"


def acknowledged(muted: Muted) -> str:
    """A finding that somebody acknowledged, and why."""
    return f"{plain(muted.finding.fault)} by {named(muted.finding.culprit)}: {muted.reason}"


def noted(diagnosis: Diagnosis) -> Iterator[Line]:
    """What was with the machine's clock."""
    if diagnosis.notes:
        yield Line("")
    for note in diagnosis.notes:
        yield Line(f"Note: at {to_second(note.timestamp)} {note.text}.", "advice")


def _unknown(diagnosis: Diagnosis) -> Iterator[Line]:
    """What nothing is known of; where no fault was found, that this is no proof that there is none."""
    if diagnosis.findings:
        yield Line("Besides, part of the window is not known:", "fault")
    else:
        yield Line("Not known: whether anybody suffers cannot be told.", "fault")
    yield from (Line(f"  {sentence}", "fault") for sentence in diagnosis.unknown)


def not_excluded(diagnosis: Diagnosis) -> Iterator[str]:
    """The faults that the answer cannot exclude, in a line for each set of collectors that were missing."""
    by_collectors: dict[tuple[str, ...], list[str]] = {}
    for one in diagnosis.not_excluded:
        by_collectors.setdefault(one.collectors, []).append(plain(one.fault))
    for collectors, faults in by_collectors.items():
        yield f"{', '.join(faults)} ({', '.join(collectors)})"


def considered(diagnosis: Diagnosis) -> list[str]:
    """The explanations that are no findings, one sentence for each fault of each name, the likeliest first."""
    groups: dict[tuple[str, str], list[RuledOut]] = {}
    for one in diagnosis.ruled_out:
        if one.against or one.effect_of:
            groups.setdefault((one.fault, one.culprit.name), []).append(one)
    return [_considered(group) for group in groups.values()]


def _considered(group: Sequence[RuledOut]) -> str:
    first, others = group[0], len({one.culprit.id for one in group}) - 1
    more = f" and {others} more" if others else ""
    return f"{plain(first.fault)} by {named(first.culprit)}{more} ({first.confidence:.0%}): {_why_not(first)}"


def _why_not(one: RuledOut) -> str:
    if one.effect_of:
        return f"an effect of {plain(one.effect_of)}"
    left_out = len(one.against) - _MOST_AGAINST
    more = f", and {left_out} more" if left_out > 0 else ""
    return f"does not hold: {'; '.join(one.against[:_MOST_AGAINST])}{more}"


def named(entity: Entity) -> str:
    """What people call it, with what tells it from others."""
    return entity.name if entity.id == entity.name else f"{entity.name} ({entity.id})"


def introduced(diagnosis: Diagnosis, *entities: Entity) -> str:
    """Entities, each with who it is; processes of one name that are described alike stand together.

    Such as `postgres 4182 (postgresql@15-main.service, uid 114, started by systemd)`; where nothing more is known of a
    process than its name and pid, `postgres (4182)`.
    """
    alike: dict[tuple[str, str], list[Entity]] = {}
    for entity in entities:
        alike.setdefault((entity.name, _described(diagnosis.identity(entity))), []).append(entity)
    return ", ".join(
        f"{name} {', '.join(entity.id for entity in group)} ({described})"
        if described
        else ", ".join(map(named, group))
        for (name, described), group in alike.items()
    )


def _described(identity: Identity | None) -> str:
    if identity is None:
        return ""
    if identity.is_kernel_thread:
        return "kernel thread"
    service = Service(identity.unit or None, identity.container or None, identity.pod or None)
    user = "" if identity.uid is None else "root" if identity.uid == 0 else f"uid {identity.uid}"
    return ", ".join(part for part in (_executable(identity), service.text, user, _origin(identity)) if part)


def _executable(identity: Identity) -> str:
    """The file that it runs, where its name does not tell: of a script that is the interpreter, of a thread anything.

    A file that was removed or replaced is told in any case: the process runs what is not there any more.
    """
    path = identity.executable.removesuffix(_DELETED)
    name, file = identity.process.name, path.rpartition("/")[2]
    if path == identity.executable and (not file or file.startswith(name) or name.startswith(file)):
        return ""
    return _path_end(path) + (_DELETED if path != identity.executable else "")


def _path_end(path: str) -> str:
    """A path; of one that is long, its end."""
    return path if len(path) <= _LONGEST_PATH else f"…{path[1 - _LONGEST_PATH :]}"


def _origin(identity: Identity) -> str:
    """Who started it: its parent, but that the first process is given those whose parents have ended, too."""
    if not identity.parents:
        return ""
    parent = identity.parents[0]
    if parent.id == _INIT:
        of_service = identity.unit.endswith(".service") and not identity.container
        return "" if parent.name == UNKNOWN else f"{'started by' if of_service else 'child of'} {parent.name}"
    return f"started by {'process' if parent.name == UNKNOWN else parent.name} {parent.id}"


def plain(fault: str) -> str:
    """A class of fault in words."""
    return fault.replace("_", " ")


def since(finding: Finding) -> str:
    """When it began, as far as the window tells."""
    return "since before that" if finding.began_before else f"since {to_second(finding.onset_ns)}"


def cited(evidence: Evidence) -> str:
    """What a number is, and how many rows it comes from."""
    before = "" if evidence.baseline is None else f", before {_amount(evidence, evidence.baseline)}"
    value = f"{evidence.how} of {evidence.metric} {_amount(evidence, evidence.value)}"
    rows = len(evidence.row_ids)
    return f"{evidence.table}: {value} in {rows:,} row{'' if rows == 1 else 's'}{before}"


def _amount(evidence: Evidence, value: float) -> str:
    """A cited number in the unit that its column declares."""
    kind = tables().get(evidence.table)
    column = kind.by_name.get(evidence.metric) if kind else None
    if column is None or evidence.how == "count":
        return number(value)
    if isinstance(column.semantics, Label) and evidence.how in {"last", "min", "max"}:
        return format_time(int(value)) if column.unit == "ns" else f"{value:.0f}"
    return quantity(value, f"{column.unit}/s" if evidence.how == "slope" else column.unit)


def _finding(
    diagnosis: Diagnosis, finding: Finding, series_by_evidence: Mapping[Evidence, EvidenceSeries], command: Commands
) -> Iterator[Line]:
    who = f"{finding.culprit.kind} {introduced(diagnosis, finding.culprit)}"
    yield Line(f"{plain(finding.fault).upper()} by {who}, {since(finding)} ({finding.confidence:.0%} sure)", "fault")
    if finding.victims:
        yield Line(f"  suffering: {introduced(diagnosis, *finding.victims)}")
    for place, step in enumerate(finding.path, 1):
        yield Line(f"  {place}. {step.claim}", "claim")
        for evidence in step.evidence:
            yield Line(f"     {cited(evidence)}", "quiet")
            if evidence_series := series_by_evidence.get(evidence):
                yield from _drawn(evidence_series)
    yield from changed(diagnosis, finding)
    if finding.alternatives:
        others = (
            f"{plain(one.fault)} by {introduced(diagnosis, one.culprit)} ({one.confidence:.0%})"
            for one in finding.alternatives
        )
        yield Line(f"  it may be instead: {', '.join(others)}")
    if finding.refuted_by:
        yield Line(f"  wrong if: {finding.refuted_by}")
    if finding.outlook:
        yield Line(f"  if nothing is done: {finding.outlook}")
    for proposal in finding.actions:
        yield Line(f"  to do: {proposal.text}", "advice")
        if typed := command(finding, proposal):
            yield Line(f"         {typed}", "command")


def changed(diagnosis: Diagnosis, finding: Finding) -> Iterator[Line]:
    """What changed shortly before, or since when it would be known."""
    for change in finding.changes:
        yield Line(f"  changed shortly before: {told(change)}")
    if finding.changes_elsewhere:
        several = "another thing" if finding.changes_elsewhere == 1 else f"{finding.changes_elsewhere} other things"
        how = f"`kernelsight changes --at '{to_second(finding.onset_ns)}'`"
        yield Line(f"  {several} changed shortly before, and no way to this fault is known: {how} lists all", "quiet")
    if diagnosis.watched and not finding.changes and not finding.changes_elsewhere:
        yield Line(f"  nothing is known to have changed shortly before; {watched_since(diagnosis.watched)}", "quiet")


def _drawn(evidence_series: EvidenceSeries) -> Iterator[Line]:
    """A course as a line of bars; with fewer than two points there is nothing to draw."""
    values = [value for _, value in evidence_series.points]
    if len(values) < 2:
        return
    low, high = min(0.0, *values), max(values)
    bars = "".join(_bar(value, low, high) for value in evidence_series.bins(_WIDTH))
    yield Line(f"     │{bars}│ to {quantity(high, evidence_series.unit)}", "course")


def _bar(value: float | None, low: float, high: float) -> str:
    if value is None:
        return " "
    steps = len(_BARS) - 2
    return _BARS[1 + (round((value - low) / (high - low) * steps) if high > low else 0)]
