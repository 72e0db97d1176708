"""The trace of the agent: what it found, foresaw and did, as rows and as lines for a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Any

import msgspec

from kernelsight.agent.acting import changes as change
from kernelsight.agent.acting.audit import Ledger, by_action
from kernelsight.agent.acting.proof import Judge
from kernelsight.agent.commands import command
from kernelsight.agent.forecast import told as forecast_told
from kernelsight.diagnosis.model import Bounds, Diagnosis, Finding
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
    ledger = Ledger(db_path)
    judge = Judge(ledger)
    recorded = judge.completed(ledger.told(when.start_ns), ledger.remembered(when.start_ns))
    steps = [step for step in recorded if step.timestamp <= when.end_ns]
    events_found = [*_actions(steps, judge), *_diagnoses(db_path, when.start_ns, when.end_ns)]
    events_found.sort(key=itemgetter("timestamp"))
    return events_found


def _actions(steps: Iterable[ActionStep], judge: Judge) -> Iterator[Line]:
    for action_id, its in by_action(steps).items():
        first, last = its[0], its[-1]
        verdicts = [step.verdict for step in its if step.verdict]
        state = f"{last.stage} ({verdicts[0]})" if verdicts else last.stage
        what = f"{_known(first.action)} of {_who(first)}"
        marks = dict.fromkeys(mark for step in its if (mark := judge.mark(step)))
        row = _row(first.timestamp, action_id, "action", what, state, last.reason)
        yield {**row, "proof": "; ".join(marks) or None}


def _diagnoses(db_path: str, start_ns: int, end_ns: int) -> Iterator[Line]:
    for row in _rows(db_path, "diagnoses", start_ns, end_ns):
        if not row["fault"]:
            what = "healthy" if row["healthy"] else "not known"
            yield _row(row["timestamp"], row["diagnosis_id"], "diagnosis", what, _muted(row), row["unknown"])
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


def _muted(row: Mapping[str, Any]) -> str | None:
    return f"but for what is muted: {row['muted']}" if row["muted"] else None


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
        "proof": None,
        "why": why,
    }


def lines(db_path: str, name: str) -> Iterator[str]:
    """Everything that is recorded under one name; nothing where there is no such name."""
    ledger = Ledger(db_path)
    judge = Judge(ledger)
    recorded = judge.completed(ledger.told(0, action_id=name), ledger.decided.steps_of(name))
    yield from _steps(recorded, judge)
    where = {"diagnosis_id": name}
    rows_found = _rows(db_path, "diagnoses", 0, "now", where)
    if rows_found:
        findings = [msgspec.json.decode(row["finding"], type=Finding) for row in rows_found if row["finding"]]
        window = Bounds(rows_found[0]["start_ns"], rows_found[0]["timestamp"])
        unknown = (rows_found[0]["unknown"],) if rows_found[0]["unknown"] else ()
        healthy = None if rows_found[0]["healthy"] is None else bool(rows_found[0]["healthy"])
        diagnosis = Diagnosis(window, healthy, tuple(findings), unknown=unknown)
        for line in report(diagnosis, command=command):
            yield line.text
        if but := _muted(rows_found[0]):
            yield but.capitalize()
    for row in _rows(db_path, "forecasts", 0, "now", where):
        yield _foreseen(row)
    for action_id, its in by_action(ledger.told(0, **where)).items():
        yield f"action {action_id}:"
        for step in _steps(its, judge):
            yield f"  {step}"


def _steps(steps: Iterable[ActionStep], judge: Judge) -> Iterator[str]:
    """The steps of an action, a line each, and once what is written where."""
    shown = False
    for step in steps:
        line = f"{format_time(step.timestamp)}  {step.stage}"
        if step.stage in {"proposed", "refused"}:
            line += f": {step.action} of {step.target_kind} {_who(step)}, asked by {step.asked_by}"
        if step.verdict:
            line += f", {step.verdict}"
        if mark := judge.mark(step):
            line = f"{line} [{mark}]"
        yield f"{line}: {step.reason}" if step.reason else line
        if step.symptom and step.before is not None:
            yield f"    {step.symptom}: {number(step.before)} before, {quantity(step.after)} after"
        if step.changes and not shown:
            shown = True
            yield from (f"    {text}" for text in _changes(step.changes))


def _changes(text: str) -> list[str]:
    """What is written where; plain SQL may have put anything there."""
    try:
        return [written.text for written in change.decode(text)]
    except (msgspec.MsgspecError, ValueError):
        return ["what was written where cannot be read"]


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
