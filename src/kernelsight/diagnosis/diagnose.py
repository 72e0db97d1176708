"""The whole way: open the store, test every hypothesis on the window, weigh them."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from kernelsight.diagnosis.coverage import coverage
from kernelsight.diagnosis.hypothesis import hypotheses
from kernelsight.diagnosis.model import Diagnosis, Window
from kernelsight.diagnosis.ranking import rank
from kernelsight.diagnosis.scene import Scene
from kernelsight.query.clock_notes import clock_notes
from kernelsight.query.source import Source, opened
from kernelsight.query.times import Time, time_range


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
        scene = Scene(reader, when)
        candidates = [candidate for test in hypotheses().values() for candidate in test(scene)]
        findings, ruled_out = rank(candidates, scene)
        unseen = scene.unseen
        known = scene.once(coverage)
        unknown, not_excluded = known.unknown, known.not_excluded
        notes = clock_notes(reader, when)
    return Diagnosis(
        window=Window(when.start_ns, when.end_ns),
        healthy=False if findings else None if unknown else True,
        findings=findings,
        ruled_out=ruled_out,
        unseen=unseen,
        unknown=unknown,
        notes=notes,
        not_excluded=not_excluded,
    )


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Without looking for cycles: some hundred thousand rows have none, and the looks take a quarter of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
