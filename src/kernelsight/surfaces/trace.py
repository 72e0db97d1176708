"""The trace of the agent: what it found, foresaw and did, as rows and as lines for a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Any

import msgspec

from kernelsight.agent.acting import changes as change
from kernelsight.agent.acting.audit import Ledger, by_action
from kernelsight.agent.commands import command
from kernelsight.agent.forecast import told as forecast_told
from kernelsight.diagnosis.model import Diagnosis, Finding, Window
from kernelsight.diagnosis.report import report
from kernelsight.errors import StoreError
from kernelsight.events.action import ActionStep, Forecast
from kernelsight.moments import format_time
from kernelsight.quantities import number, quantity
from kernelsight.query.rows import event_of, rows
from kernelsight.query.times import Time, time_range

Line = dict[str, object]


def events(db_path: str, since: Time, until: Time = "now") -> list[Line]:
    """All that the agent recorded in a range, by time: one row a finding, a forecast, an action.

    Raises:
        UsageError: a time cannot be read.
    """
    when = time_range(since, until)
    steps = [step for step in Ledger(db_path).told(when.start_ns) if step.timestamp <= when.end_ns]
    found = [*_actions(steps), *_diagnoses(db_path, when.start_ns, when.end_ns)]
    found.sort(key=itemgetter("timestamp"))
    return found


def _actions(steps: Iterable[ActionStep]) -> Iterator[Line]:
    for action_id, its in by_action(steps).items():
        first, last = its[0], its[-1]
        verdicts = [step.verdict for step in its if step.verdict]
        state = f"{last.stage} ({verdicts[0]})" if verdicts else last.stage
        yield _row(first.timestamp, action_id, "action", f"{_known(first.action)} of {_who(first)}", state, last.reason)


def _diagnoses(db_path: str, start_ns: int, end_ns: int) -> Iterator[Line]:
    for row in _rows(db_path, "diagnoses", start_ns, end_ns):
        if not row["fault"]:
            what = "healthy" if row["healthy"] else "not known"
            yield _row(row["timestamp"], row["diagnosis_id"], "diagnosis", what, None, row["unknown"])
            continue
        what = f"{row['fault']} by {_known(row['culprit_name'])} ({_known(row['culprit'])})"
        sure = None if row["confidence"] is None else f"{row['confidence']:.0%} sure"
        yield _row(row["timestamp"], row["diagnosis_id"], "diagnosis", what, sure, row["outlook"])
    for row in _rows(db_path, "mutes", start_ns, end_ns):
        what = f"{_known(row['fault'])}" + (f" by {row['culprit']}" if row["culprit"] else "")
        state = f"{_known(row['stage'])} by {_known(row['muted_by'])}"
        yield _row(row["timestamp"], row["mute_id"], "mute", what, state, row["reason"])
    for row in _rows(db_path, "forecasts", start_ns, end_ns):
        what = f"{_known(row['resource'])}" + (f" of {row['owner']}" if row["owner"] else "")
        yield _row(row["timestamp"], row["diagnosis_id"], "forecast", what, None, _foreseen(row))


def _row(  # noqa: PLR0913, PLR0917 - one argument a column
    timestamp: int, name: str, kind: str, what: str, state: str | None, why: str | None
) -> Line:
    return {
        "timestamp": timestamp,
        "time": format_time(timestamp),
        "id": name,
        "kind": kind,
        "what": what,
        "state": state,
        "why": why,
    }


def lines(db_path: str, name: str) -> Iterator[str]:
    """Everything that is recorded under one name; nothing where there is no such name."""
    yield from _steps(Ledger(db_path).told(0, action_id=name))
    where = {"diagnosis_id": name}
    found = _rows(db_path, "diagnoses", 0, "now", where)
    if found:
        findings = [msgspec.json.decode(row["finding"], type=Finding) for row in found if row["finding"]]
        window = Window(found[0]["start_ns"], found[0]["timestamp"])
        unknown = (found[0]["unknown"],) if found[0]["unknown"] else ()
        healthy = None if found[0]["healthy"] is None else bool(found[0]["healthy"])
        diagnosis = Diagnosis(window, healthy, tuple(findings), unknown=unknown)
        for line in report(diagnosis, command=command):
            yield line.text
    for row in _rows(db_path, "forecasts", 0, "now", where):
        yield _foreseen(row)
    for action_id, its in by_action(Ledger(db_path).told(0, **where)).items():
        yield f"action {action_id}:"
        for step in _steps(its):
            yield f"  {step}"


def _steps(steps: Iterable[ActionStep]) -> Iterator[str]:
    """The steps of an action, a line each, and once what is written where."""
    shown = False
    for step in steps:
        line = f"{format_time(step.timestamp)}  {step.stage}"
        if step.stage in {"proposed", "refused"}:
            line += f": {step.action} of {step.target_kind} {_who(step)}, asked by {step.asked_by}"
        if step.verdict:
            line += f", {step.verdict}"
        yield f"{line}: {step.reason}" if step.reason else line
        if step.symptom and step.before is not None:
            yield f"    {step.symptom}: {number(step.before)} before, {quantity(step.after)} after"
        if step.changes and not shown:
            shown = True
            for one in change.decode(step.changes):
                yield f"    {one.text}"


def _who(step: ActionStep) -> str:
    target = _known(step.target)
    return target if step.target_name in {None, target} else f"{step.target_name} ({target})"


def _known(value: object) -> str:
    """A value in a sentence; plain SQL may have left any of them out."""
    return "?" if value is None else str(value)


def _foreseen(row: Mapping[str, Any]) -> str:
    return forecast_told(event_of(Forecast, row))


def _rows(
    db_path: str, table: str, start: Time, end: Time, where: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    try:
        return rows(db_path, table, start, end, where=where or ())
    except StoreError:  # nothing was ever stored
        return []
