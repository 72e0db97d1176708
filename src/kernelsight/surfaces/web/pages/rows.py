"""Rows of a table as they are stored: what a claim cites."""

from collections.abc import Mapping
from typing import Any

import msgspec

from kernelsight.query.rows import rows_of, with_time
from kernelsight.query.source import kind_named
from kernelsight.query.stored import cited_rows
from kernelsight.surfaces.tables import cell
from kernelsight.surfaces.web.page import Page, Visit, page
from kernelsight.surfaces.web.table import Cell, Table, text

_MOST = 200


def _context(visit: Visit) -> Mapping[str, Any]:
    kind = kind_named(visit.parameters["table"])
    wanted = {int(part) for part in visit.parameters.get("ids", "").split(",") if part.isascii() and part.isdigit()}
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


page(Page("rows", "Rows", "/rows/{table}", "tables_only.html", context=_context, rank=-1))
