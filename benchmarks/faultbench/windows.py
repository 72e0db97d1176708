"""The windows of the recorded cases that a calibration asks about, with their candidates; kept on disk if wished.

A replay takes seconds, what is asked of its candidates milliseconds.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import cast

import msgspec
from benchmarks.faultbench import recording
from benchmarks.faultbench.run import LOOKS_BACK_S, NS, replayed
from benchmarks.faultbench.truth import Truth

import kernelsight
from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.processes import processes
from kernelsight.diagnosis.registry import finders
from kernelsight.diagnosis.window import Window
from kernelsight.events.declare import Event, kind_of
from kernelsight.events.process import Process
from kernelsight.events.scheduler import SchedProcess
from kernelsight.query.source import opened
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Reader


@dataclass(frozen=True, slots=True)
class AskedWindow:
    """A minute of a recorded case, and every candidate that the mechanisms have in it."""

    scenario: str
    moment: str
    """Where in the case it ends: "before" the onset, in its "midst", at its "end"."""
    tracers: bool
    """Whether what tracers recorded is in it."""
    truth: Truth
    """What is wrong by then."""
    candidates: Sequence[Candidate]
    window: Window
    """Only what tells how candidates relate to each other: who the processes are, and how long the culprits lived."""

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self.scenario} ({self.moment}{'' if self.tracers else ', without tracers'})"


def windows_of(case: Path, keep: Path | None = None) -> list[AskedWindow]:
    """The windows of one case: before its onset, in its midst and at its end, with and without tracers.

    Args:
        case: the recording.
        keep: folder where windows are kept. Those of the same recording and the same sources are taken from there.
    """
    if keep is None:
        return [*_replayed_windows(case)]
    digest = hashlib.sha256(_sources() + case.read_bytes()).hexdigest()[:16]
    kept = keep / f"{recording.name_of(case)}-{digest}.pickle"
    if kept.exists():
        return cast("list[Window]", pickle.loads(kept.read_bytes()))
    windows = [*_replayed_windows(case)]
    keep.mkdir(parents=True, exist_ok=True)
    partial = kept.with_suffix(".part")
    partial.write_bytes(pickle.dumps(windows))
    partial.rename(kept)
    return windows


def _replayed_windows(case: Path) -> Iterator[AskedWindow]:
    about = recording.about(case)
    truth = msgspec.convert(about["truth"], Truth)
    onset, offset = about["onset_ns"], about["offset_ns"]
    moments = {"before": onset - NS, "midst": (onset + offset) // 2, "end": offset - NS}
    for tracers in (True, False):
        with replayed(case, tracers=tracers) as database, opened(database) as reader:
            for moment, end in moments.items():
                window = Window(reader, TimeRange(end - LOOKS_BACK_S * NS, end))
                candidates = [
                    candidate for several in finders().values() for find in several for candidate in find(window)
                ]
                there = truth if end > onset else Truth(None)
                yield AskedWindow(about["scenario"], moment, tracers, there, candidates, relations(window, candidates))


def relations(window: Window, candidates: Sequence[Candidate]) -> Window:
    """What tells how candidates relate to each other, as a window that has no store to read anything else from."""
    culprits = {candidate.culprit.id for candidate in candidates}
    known = {
        pid: replace(process, samples=[_declared(Process, row) for row in process.samples[-1:]])
        for pid, process in window.once(processes).items()
    }
    rows = [_declared(SchedProcess, row) for row in window.rows(SchedProcess) if str(row.pid) in culprits]
    return Window(
        cast("Reader", None), window.when, _rows={kind_of(SchedProcess).name: rows}, _derived={processes: known}
    )


def _declared(kind: type[Event], row: Event) -> Event:
    """A row as its kind declares it: the classes of rows that a store gives cannot be pickled."""
    return kind(**{column: getattr(row, column) for column in kind.__struct_fields__})


@cache
def _sources() -> bytes:
    """A digest of what candidates come from."""
    digest = hashlib.sha256()
    for source in sorted(Path(kernelsight.__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.digest()
