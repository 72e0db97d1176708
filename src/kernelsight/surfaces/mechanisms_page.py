"""The page of the mechanisms, written from the mechanisms themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from kernelsight.diagnosis.exhaustible import EXHAUSTIBLES, Exhaustible, foresights
from kernelsight.diagnosis.mechanism import Check, Mechanism
from kernelsight.diagnosis.ranking import PRIOR
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.events.declare import kind_of

_FIELD = re.compile(r"\{(\w+)[^}]*\}")


def mechanisms_page(mechanisms: Iterable[Mechanism[Any]]) -> Iterator[str]:
    """The lines of the page: one section a class of faults, in it one a mechanism, with its checks and thresholds."""
    yield from ("# Mechanisms", "")
    yield (
        "How a diagnosis judges: each class of [faults](faults.md) comes about by one or more mechanisms. A mechanism "
        "measures each suspect of a window. Its checks judge that measurement. *Supports*: what a check adds to the "
        "log-odds when it holds. *Refutes*: what it takes from them when it fails. Both are in nats: 1 makes a "
        "candidate 2.7 times as likely, 3 makes it twenty times as likely. A check that does not apply to a suspect "
        f"counts for nothing. A candidate starts at {PRIOR:+g}, plus the prior of its mechanism. "
        "[diagnosis.md](diagnosis.md) says how candidates are compared. *Italic* words in a check stand for the "
        "measured value."
    )
    by_fault: dict[str, list[Mechanism[Any]]] = {}
    for mechanism in mechanisms:
        by_fault.setdefault(mechanism.fault.name, []).append(mechanism)
    for fault, several in sorted(by_fault.items()):
        yield from ("", f"## {fault}", "", several[0].fault.meaning)
        for mechanism in several:
            yield from _section(mechanism)
    yield from ("", "## What can be used up", "")
    yield (
        "How far ahead a finding foresees the end of each resource: at most so many *times* as long as its trend has "
        "been seen, and at most the *horizon*. Forecasts of the agent have numbers of their own, the same for all."
    )
    yield from ("", "| resource | level | of | freed by | times | horizon |", "|---|---|---|---|---|---|")
    for resource in EXHAUSTIBLES:
        yield _row(*_exhaustible(resource))
    yield from ("", "| threshold | value | because |", "|---|---|---|")
    for name, threshold in foresights().items():
        yield _threshold(name, threshold)


def _section(mechanism: Mechanism[Any]) -> Iterator[str]:
    yield from ("", f"### {mechanism.name}", "", mechanism.summary)
    if mechanism.prior.odds:
        yield from ("", f"Prior {mechanism.prior.odds:+g}: {mechanism.prior.because}")
    if mechanism.checks:
        yield from ("", "| check | says | supports | refutes | compares with | because |", "|---|---|---|---|---|---|")
        for check in mechanism.checks:
            yield _row(*_check(check))
    if thresholds := mechanism.thresholds:
        yield from ("", "| threshold | value | because |", "|---|---|---|")
        for name, threshold in thresholds:
            yield _threshold(name, threshold)


def _threshold(name: str, threshold: Threshold) -> str:
    return _row(f"`{name}`", f"{threshold:,.15g} {threshold.unit}", threshold.because)


def _exhaustible(resource: Exhaustible[Any]) -> Iterator[str]:
    table = kind_of(resource.level.__objclass__).table
    yield resource.name.replace("_", " ")
    yield f"`{table}.{resource.level.__name__}` ({'left' if resource.is_left else 'used'})"
    yield f"`{resource.whole.__name__}`"
    yield resource.freed_by
    yield f"{resource.foresight_times:g}"
    yield f"{resource.horizon_s:,.0f} s"


def _check(check: Check[Any]) -> Iterator[str]:
    yield f"`{check.id}`"
    yield _FIELD.sub(lambda field: f"*{field[1].replace('_', ' ')}*", check.says)
    yield f"{check.supports:g}"
    yield f"{check.refutes:g}"
    yield ", ".join(f"`{name}`" for name, _ in check.thresholds)
    yield check.because


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
