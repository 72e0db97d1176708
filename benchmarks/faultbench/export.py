"""The recorded cases in formats that need nothing of ours: NDJSON and CSV, and what is true apart from them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path

import msgspec
from benchmarks.faultbench.case import Case, tables_of
from benchmarks.faultbench.recording import about

from kernelsight.events.declare import Event, kind_of


def export(cases: Iterable[Case], folder: Path, *, as_csv: bool = False) -> int:
    """Write each case to a folder of its own; how many.

    ``CASE/events.ndjson`` has what the collectors said, or ``CASE/TABLE.csv`` each kind of it; ``CASE/questions.json``
    the moments at which a system is asked, ``CASE/truth.json`` what is true. A system that is judged reads no truth.

    Raises:
        OSError: it cannot be written.
    """
    number = 0
    for case in cases:
        place = folder / case.name
        place.mkdir(parents=True, exist_ok=True)
        if as_csv:
            for kind, events in tables_of(case.events()):
                _write_csv(place / f"{kind_of(kind).table}.csv", kind, events)
        else:
            (place / "events.ndjson").write_bytes(case.lines())
        questions = {"before": {"until_ns": case.before_ns}, "end": {"until_ns": case.end_ns}}
        (place / "questions.json").write_text(json.dumps(questions, indent=1) + "\n")
        truth = {**about(case.path), "group": case.group, "tags": sorted(case.tags)}
        (place / "truth.json").write_text(json.dumps(truth, indent=1) + "\n")
        number += 1
    return number


def _write_csv(path: Path, kind: type[Event], events: Iterable[Event]) -> None:
    """A column for each field; what is not known is empty."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(kind.__struct_fields__)
        writer.writerows(msgspec.structs.astuple(event) for event in events)
