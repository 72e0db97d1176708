"""Questions in SQL, read-only, limited in time and rows."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from kernelsight.errors import StoreError, UsageError
from kernelsight.quantities import number as number_text
from kernelsight.stores.base import Value
from kernelsight.surfaces.web.page import Page, Visit, page
from kernelsight.surfaces.web.table import Cell, Table, text
from kernelsight.time_limit import OverTimeError

MOST = 500
"""Rows that are shown."""
_LONGEST = 10_000
"""Characters of a statement."""
_EXAMPLES = (
    "SELECT comm, COUNT(*) AS calls, MAX(latency_ns) AS worst_ns FROM syscall_events GROUP BY comm ORDER BY calls DESC",
    "SELECT timestamp, mem_available_kb FROM memory_metrics ORDER BY timestamp DESC LIMIT 60",
    "SELECT rule, severity, COUNT(*) AS times FROM signals GROUP BY rule, severity ORDER BY times DESC",
)


def _context(visit: Visit) -> Mapping[str, Any]:
    statement = visit.parameters.get("q", "").strip().removesuffix(";")
    known = {"statement": statement, "examples": _EXAMPLES, "tables": [], "refused": ""}
    if not statement:
        return known
    try:
        return {**known, "tables": [_answer(visit, statement)]}
    except OverTimeError:
        raise
    except (StoreError, UsageError) as error:
        return {**known, "refused": str(error)}


def _answer(visit: Visit, statement: str) -> Table:
    if len(statement) > _LONGEST:
        raise UsageError(f"the statement has {len(statement):,} characters; {_LONGEST:,} are the most")
    with visit.desk.reader() as reader:
        heads, answer = reader.statement(statement)
        rows = list(islice(answer, MOST + 1))
    cells = [[_cell(value) for value in row] for row in rows[:MOST]]
    more = f"The first {MOST} rows." if len(rows) > MOST else f"{len(rows)} row{'' if len(rows) == 1 else 's'}."
    return Table("Result", more, heads, cells, "No rows.")


def _cell(value: Value) -> Cell:
    if isinstance(value, float):
        return Cell(number_text(value), is_number=True)
    return Cell(str(value), is_number=True) if isinstance(value, int) else text(value)


page(Page("sql", "SQL", "/sql", "sql.html", context=_context, rank=13))
