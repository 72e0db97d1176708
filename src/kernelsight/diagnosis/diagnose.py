"""The whole way: open the store, test every mechanism on the window, weigh them."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.changed import with_changes
from kernelsight.diagnosis.code import with_code
from kernelsight.diagnosis.coverage import coverage
from kernelsight.diagnosis.model import Bounds, Diagnosis, Finding, Identity
from kernelsight.diagnosis.muting import holding, mutes, split
from kernelsight.diagnosis.processes import identity_of
from kernelsight.diagnosis.ranking import rank
from kernelsight.diagnosis.registry import finders, found_by
from kernelsight.diagnosis.window import Window
from kernelsight.query.clock_notes import clock_notes
from kernelsight.query.source import Source, opened
from kernelsight.query.times import Time, TimeRange, time_range
from kernelsight.stores.base import Reader


def diagnose(source: Source, start: Time, end: Time = "now") -> Diagnosis:
    """What is wrong within a window, who does it, and what shows it.

    Args:
        source: the store.
        start: where the window begins.
        end: where it ends.

    Raises:
        UsageError: a time cannot be read.
        StoreError: the store cannot be read.
    """
    when = time_range(start, end)
    with opened(source) as reader, _nothing_collected():
        return _diagnosed(reader, when)


def _diagnosed(reader: Reader, when: TimeRange) -> Diagnosis:
    """The answer; nothing of the window is left when it is given."""
    window = Window(reader, when)
    candidates, failures = _tested(window)
    findings, ruled_out = rank(candidates, window)
    findings = with_code(window, findings)
    findings, watched = with_changes(window, findings)
    findings, muted = split(findings, holding(mutes(reader), when.end_ns))
    identities = _identities(window, (*findings, *(each.finding for each in muted)))
    known = coverage(window)
    missing = [str(damage) for damage in reader.damages() if damage.overlaps(when.start_ns, when.end_ns)]
    unknown = (*known.unknown, *failures, *missing)
    return Diagnosis(
        window=Bounds(when.start_ns, when.end_ns),
        healthy=False if findings else None if unknown else True,
        findings=findings,
        ruled_out=ruled_out,
        unseen=window.unseen,
        unknown=unknown,
        notes=clock_notes(reader, when, window.clock_steps),
        not_excluded=known.not_excluded,
        muted=muted,
        identities=identities,
        watched=watched,
    )


def _identities(window: Window, findings: Iterable[Finding]) -> tuple[Identity, ...]:
    """Who the processes are that findings name, in the order in which they are named."""
    named = dict.fromkeys(
        entity
        for finding in findings
        for entity in (
            finding.culprit,
            *finding.fellows,
            *finding.victims,
            *(alternative.culprit for alternative in finding.alternatives),
            *(proposal.target for proposal in finding.actions),
        )
    )
    return tuple(identity for entity in named if (identity := identity_of(window, entity)) is not None)


def _tested(window: Window) -> tuple[list[Candidate], list[str]]:
    """What every mechanism says of the window, and which of them cannot judge it.

    Any SQLite client may write rows, with values that no kernel gives. Those end one test, which is said: the
    fault is then not known to be absent.
    """
    candidates: list[Candidate] = []
    failures: list[str] = []
    for fault, finder in ((fault, finder) for fault, several in finders().items() for finder in several):
        found, failure = found_by(finder, window)
        candidates += found
        failures += [f"{fault}: {failure}"] if failure else []
    return candidates, failures


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Without looking for cycles: some hundred thousand rows have none, and the looks take a quarter of the time.

    Nothing that is made meanwhile may be left at the end, or the first look after it goes over all of that.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
