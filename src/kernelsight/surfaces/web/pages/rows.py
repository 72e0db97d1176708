"""Rows of a table as they are stored: what a claim cites."""

from collections.abc import Mapping
from typing import Any

import msgspec

from kernelsight.errors import UsageError
from kernelsight.events.declare import INT64_MAX
from kernelsight.printable import printable
from kernelsight.query.rows import rows_of, with_time
from kernelsight.query.source import kind_named
from kernelsight.query.stored import cited_rows
from kernelsight.surfaces.tables import cell
from kernelsight.surfaces.web.page import Page, Visit, page
from kernelsight.surfaces.web.table import Cell, Table, text

_MOST = 200
_LONGEST_ID = 19
"""Digits."""


def _context(visit: Visit) -> Mapping[str, Any]:
    kind = kind_named(visit.parameters["table"])
    wanted = {_row_id(part) for part in visit.parameters.get("ids", "").split(",") if part}
    with visit.desk.reader() as reader:
        if wanted:
            found = [
                with_time(msgspec.structs.asdict(row))
                for row in cited_rows(reader, kind.struct, visit.when, sorted(wanted)[:_MOST])
            ]
        else:
            found = rows_of(reader, kind, visit.when, limit=_MOST)
    shown = [name for name in kind.column_names if any(row[name] is not None for row in found)]
    units = {column.name: column.unit for column in kind.columns}
    rows = [
        [
            text(row["time"]),
            *(
                Cell(cell(row[name], units[name]), is_number=True)
                if isinstance(row[name], (int, float))
                else text(row[name])
                for name in shown[1:]
            ),
        ]
        for row in found
    ]
    heads = ["time", *(f"{name} ({units[name]})" if units[name] else name for name in shown[1:])]
    title = f"{kind.table}: the rows that are cited" if wanted else kind.table
    return {"tables": [Table(title, f"As they are stored; at most {_MOST}.", heads, rows)]}


def _row_id(given: str) -> int:
    if given.isascii() and given.isdigit() and len(given) <= _LONGEST_ID and int(given) <= INT64_MAX:
        return int(given)
    raise UsageError(f"{printable(given[:_LONGEST_ID])!r} is no id of a row; give numbers with commas between them")


page(Page("rows", "Rows", "/rows/{table}", "tables_only.html", context=_context, rank=-1))
