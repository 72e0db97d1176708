"""A diagnosis as lines for a person: what, who, since when, how sure, what shows it, what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from kernelsight.diagnosis.changed import told, watched_since
from kernelsight.diagnosis.commands import Commands, shell_command
from kernelsight.diagnosis.evidence_series import EvidenceSeries
from kernelsight.diagnosis.model import Diagnosis, Evidence, Finding, Muted
from kernelsight.diagnosis.naming import named, plain
from kernelsight.diagnosis.summary import FindingSummary, amount, summary
from kernelsight.events.action import Answer
from kernelsight.moments import to_next_second, to_second
from kernelsight.quantities import quantity

Style = Literal["plain", "quiet", "good", "fault", "claim", "course", "advice", "command"]

_MOST_RULED_OUT = 5
_STYLE_OF: Mapping[Answer, Style] = {"healthy": "good", "findings": "fault", "unknown": "fault"}
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
    *,
    verbose: bool = False,
) -> Iterator[Line]:
    """The lines; the first one is a sentence that a person can act on.

    Args:
        diagnosis: what was found.
        series_by_evidence: how the cited numbers went over the window, to be drawn under their claims.
        command: what can be typed for a proposal.
        verbose: cite the rows of each claim, draw their courses, and name all that was ruled out.
    """
    in_short, window = summary(diagnosis, command), diagnosis.window
    yield Line(in_short.sentence, _STYLE_OF[in_short.verdict])
    if not diagnosis.findings:
        yield from (Line(f"  {sentence}", "fault") for sentence in diagnosis.unknown)
    yield from (Line(sentence, "quiet") for sentence in muted(diagnosis))
    yield from noted(diagnosis)
    for number, (finding, said) in enumerate(zip(diagnosis.findings, in_short.findings, strict=True)):
        if number:
            yield Line("")
            yield Line(said.sentence, "fault")
        yield Line(f"  {said.fault}, {since(finding)}", "quiet")
        yield from _finding(diagnosis, finding, said, series_by_evidence or {}, verbose=verbose)
    yield from closer_looks(diagnosis)
    if others := in_short.ruled_out if verbose else in_short.ruled_out[:_MOST_RULED_OUT]:
        yield Line("")
        yield Line("Ruled out:", "quiet")
        yield from (Line(f"  {sentence}", "quiet") for sentence in others)
        if left := len(in_short.ruled_out) - len(others):
            yield Line(f"  and {left} more (diagnose -v shows all)", "quiet")
    if diagnosis.findings and diagnosis.unknown:
        yield Line("")
        yield Line("Besides, part of the window is not known:", "fault")
        yield from (Line(f"  {sentence}", "fault") for sentence in diagnosis.unknown)
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
    yield Line("")
    yield Line(f"Looked at {to_second(window.start_ns)} to {to_next_second(window.end_ns)}", "quiet")


def closer_looks(diagnosis: Diagnosis) -> Iterator[Line]:
    """The probes that ran or could not, why, and what they told."""
    if diagnosis.probes:
        yield Line("")
    for look in diagnosis.probes:
        if look.refused:
            yield Line(f"Closer look `{look.probe}` not taken: {look.refused} (wanted because {look.because})", "quiet")
            continue
        yield Line(f"Closer look `{look.probe}` for {look.seconds:.0f} s, because {look.because}", "quiet")
        for claim in look.told or ("it told nothing new",):
            yield Line(f"  {claim}", "quiet")


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


def not_excluded(diagnosis: Diagnosis) -> Iterator[str]:
    """The faults that the answer cannot exclude, in a line for each set of collectors that were missing."""
    by_collectors: dict[tuple[str, ...], list[str]] = {}
    for one in diagnosis.not_excluded:
        by_collectors.setdefault(one.collectors, []).append(plain(one.fault))
    for collectors, faults in by_collectors.items():
        yield f"{', '.join(faults)} ({', '.join(collectors)})"


def since(finding: Finding) -> str:
    """When it began, as far as the window tells."""
    return "since before that" if finding.began_before else f"since {to_second(finding.onset_ns)}"


def cited(evidence: Evidence) -> str:
    """What a number is, and how many rows it comes from."""
    before = "" if evidence.baseline is None else f", before {amount(evidence, evidence.baseline)}"
    value = f"{evidence.how} of {evidence.metric} {amount(evidence, evidence.value)}"
    rows = len(evidence.row_ids)
    return f"{evidence.table}: {value} in {rows:,} row{'' if rows == 1 else 's'}{before}"


def _finding(
    diagnosis: Diagnosis,
    finding: Finding,
    said: FindingSummary,
    series_by_evidence: Mapping[Evidence, EvidenceSeries],
    *,
    verbose: bool,
) -> Iterator[Line]:
    for place, claim in enumerate(said.claims, 1):
        yield Line(f"  {place}. {claim.text if verbose else claim.line}", "claim")
        for evidence in claim.evidence if verbose else ():
            yield Line(f"     {cited(evidence)}", "quiet")
            if evidence_series := series_by_evidence.get(evidence):
                yield from _drawn(evidence_series)
    yield from changed(diagnosis, finding)
    for todo in said.to_do:
        yield Line(f"  to do: {todo.text}", "advice")
        if todo.command:
            yield Line(f"         {todo.command}", "command")
    if said.alternatives:
        yield Line(f"  it may be instead: {', '.join(said.alternatives)}")
    if said.refuted_by:
        yield Line(f"  wrong if: {said.refuted_by}")
    if said.outlook:
        yield Line(f"  if nothing is done: {said.outlook}")


def changed(diagnosis: Diagnosis, finding: Finding) -> Iterator[Line]:
    """What changed shortly before, or since when it would be known."""
    if finding.changes:
        yield Line("  changed shortly before, and touches this (which does not make it the cause):")
    yield from (Line(f"    {told(change)}") for change in finding.changes)
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
