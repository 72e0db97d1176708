"""Incidents: what the agent found, and the diagnosis of any window."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from kernelsight.agent.commands import command
from kernelsight.diagnosis.model import Evidence
from kernelsight.diagnosis.page import context
from kernelsight.moments import to_second
from kernelsight.query.times import TimeRange, time_range
from kernelsight.surfaces.trace import events
from kernelsight.surfaces.web.endpoint import NotFoundError
from kernelsight.surfaces.web.endpoints.marks import findings
from kernelsight.surfaces.web.page import Page, Visit, page
from kernelsight.surfaces.web.proposals import actions_of
from kernelsight.surfaces.web.table import Table, text

_MOST_IDS = 200
"""Of rows in an address."""
_DIGITS = 19
"""Of a time in ns since the epoch, at most."""
_AFTER_NS = 3_600 * 10**9
"""So long after a window actions are shown that may be about it."""


def _list(visit: Visit) -> Mapping[str, Any]:
    with visit.desk.reader() as reader:
        found = findings(reader, visit.when)
    rows = [[text(to_second(mark.start_ns), mark.path), text(mark.text, mark.path)] for mark in reversed(found)]
    about = "Findings that the agent recorded, the newest first; any other window is diagnosed from its charts."
    trace = [
        [text(event["time"]), text(event["kind"]), text(event["what"]), text(event["state"]), text(event["proof"]),
         text(event["why"])]
        for event in reversed(events(visit.desk.db_path, visit.when.start_ns, visit.when.end_ns)[-100:])
    ]  # fmt: skip
    heads = ("When", "What", "Which", "State", "Proof", "Why")
    return {
        "tables": [
            Table("Findings", about, ("Since", "What"), rows),
            Table(
                "What the agent recorded", "Diagnoses, forecasts, actions and mutes, as they are proven.", heads, trace
            ),
        ],
        "actions": actions_of(visit),
    }


def _window(given: str) -> TimeRange:
    start, separator, end = given.partition("-")
    if not separator or not all(part.isascii() and part.isdigit() and len(part) <= _DIGITS for part in (start, end)):
        raise NotFoundError(f"{given!r} is no window; write its start and its end in ns since the epoch: START-END")
    return time_range(int(start), int(end))


def rows_path(evidence: Evidence) -> str:
    """Where the rows that a number comes from are shown."""
    ids = ",".join(map(str, evidence.row_ids[:_MOST_IDS]))
    when = urlencode({"since": evidence.start_ns, "until": evidence.end_ns, "ids": ids})
    return f"/rows/{evidence.table}?{when}"


def _incident(visit: Visit) -> Mapping[str, Any]:
    when = _window(visit.parameters["window"])
    diagnosis, drawn = visit.desk.diagnoses.of(when)
    about = TimeRange(when.start_ns, when.end_ns + _AFTER_NS)
    return {
        **context(diagnosis, drawn, command, rows_path),
        "when": when,
        "around": f"/?since={when.start_ns}&until={when.end_ns}",
        "actions": actions_of(visit, about),
    }


page(Page("incidents", "Incidents", "/incidents", "incidents.html", context=_list, rank=2))
page(Page("incident", "Incident", "/incident/{window}", "incident_page.html", context=_incident, rank=-1))
