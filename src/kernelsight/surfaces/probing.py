"""Closer looks for a live diagnosis: which one, for how long, and the answer with what it found."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

import msgspec

from kernelsight.collectors.runner import default_names
from kernelsight.diagnosis import diagnose
from kernelsight.diagnosis.model import Diagnosis, Probed
from kernelsight.diagnosis.probe import Wanted, probes, told, wanted
from kernelsight.errors import UsageError
from kernelsight.events.collector import CollectorReport
from kernelsight.query.source import opened
from kernelsight.query.stored import stored_rows
from kernelsight.query.times import EVERYTHING
from kernelsight.surfaces.live import collect_into, recorded_time


def probed(path: str, first: Diagnosis, asked_for: Iterable[str] = ()) -> Diagnosis:
    """The answer after a closer look, where the first one leaves something open or a person asks for a look.

    Args:
        path: the store that the first answer comes from.
        first: the first answer.
        asked_for: names of probes that are run in any case, and no others.

    Raises:
        UsageError: there is no such probe.
        SourceUnavailableError: no collector can run here any more.
        StoreError: the store cannot be read or written.
    """
    chosen = [_named(name) for name in dict.fromkeys(asked_for)] or wanted(first)
    if not chosen:
        return first
    refusals = _refusals(path)
    can_run = [each for each in chosen if each.probe.likened_to not in refusals]
    refused = tuple(
        Probed(each.probe.name, each.because, refused=refusals[each.probe.likened_to])
        for each in chosen
        if each.probe.likened_to in refusals
    )
    if not can_run:
        return msgspec.structs.replace(first, probes=refused)
    now = can_run if asked_for else can_run[:1]
    seconds = max(each.probe.seconds for each in now)
    options = {key: value for each in now for key, value in each.probe.options.items()}
    collectors = [*default_names(), *(name for each in now for name in each.probe.collectors)]
    collect_into(path, seconds, *collectors, *(f"-o{key}={value}" for key, value in options.items()))
    start_ns, end_ns = recorded_time(path, first.window.start_ns, time.time_ns())
    answer = diagnose(path, start_ns, end_ns)
    ran = tuple(
        Probed(each.probe.name, each.because, seconds, told=told(first, answer, [each.probe.shows])) for each in now
    )
    return msgspec.structs.replace(answer, probes=(*ran, *refused))


def _named(name: str) -> Wanted:
    if name not in probes():
        raise UsageError(f"there is no probe {name!r}; there are {', '.join(probes())}")
    return Wanted(probes()[name], "somebody asked for it")


def _refusals(path: str) -> Mapping[str, str]:
    """Why collectors do not run, by their names."""
    with opened(path) as reader:
        last = {row.name: row for row in stored_rows(reader, CollectorReport, EVERYTHING)}
    return {str(name): str(row.reason or row.status) for name, row in last.items() if row.status != "running"}
