"""What a database keeps in each tier, and what would go now."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import apsw

from kernelsight.events.declare import Kind
from kernelsight.events.wire import tables
from kernelsight.stores.limits import EVERY, Kept, Leaving, Limit, Limits, Retained
from kernelsight.stores.sqlite import segments as segment_books
from kernelsight.stores.sqlite.connect import PAGE_BYTES, connect_reader, translated
from kernelsight.stores.sqlite.holdings import Columns, holdings, load_columns
from kernelsight.stores.sqlite.leaving import Held, Usage, choose
from kernelsight.stores.sqlite.limits import load
from kernelsight.stores.sqlite.migrations import MIGRATIONS, require_ours
from kernelsight.stores.sqlite.rollups import rollups_in
from kernelsight.stores.sqlite.segments import Segment
from kernelsight.stores.sqlite.space import bytes_by_table, free_pages, pages, returns_space
from kernelsight.trusted_paths import as_user, reader_of


def retained(path: Path, changes: Mapping[Limit, int | None]) -> Retained:
    """Read the books and the sizes of all pages: seconds for gigabytes.

    Args:
        path: the database.
        changes: limits that are tried.

    Raises:
        StoreError: it does not exist or cannot be read.
    """
    with closing(connect_reader(path)) as connection, as_user(*reader_of(path)), translated(path):
        require_ours(connection, path, MIGRATIONS)
        return _retained(connection, path, changes)


def _retained(connection: apsw.Connection, path: Path, changes: Mapping[Limit, int | None]) -> Retained:
    kinds = tables()
    limits = Limits({**load(connection).values, **changes})
    segments = {
        table: [segment for segment in found if segment.damage is None]
        for table, found in segment_books.load(connection).items()
        if table in kinds
    }
    sizes = bytes_by_table(connection)
    columns = load_columns(connection)
    held = holdings(segments, columns, kinds, sizes)
    rollups = _rollup_bytes(connection, sizes, kinds)
    free = free_pages(connection) * PAGE_BYTES
    log = path.with_name(f"{path.name}-wal")
    log_bytes = log.stat().st_size if log.exists() else 0
    used = pages(connection) * PAGE_BYTES - free
    usage = Usage(used - sum(rollups.values()), columns.bytes, sum(rollups.values()))
    leaving = _leaving(held, kinds, limits, usage)
    return Retained(
        limits=limits,
        kept=[
            _kept(table, segments[table], columns, sizes, rollups.get(table, 0)) for table in kinds if table in segments
        ],
        leaving=leaving,
        bytes=usage.total + free + log_bytes,
        free_bytes=free,
        returns_space=returns_space(connection),
    )


def _rollup_bytes(
    connection: apsw.Connection, sizes: Mapping[str, int], kinds: Mapping[str, Kind]
) -> Mapping[str, int]:
    found: dict[str, int] = defaultdict(int)
    for name in rollups_in(connection, kinds):
        found[name.rpartition("_")[0]] += sizes.get(name, 0)
    return found


def _kept(
    table: str,
    segments: Sequence[Segment],
    columns: Columns,
    sizes: Mapping[str, int],
    rollup_bytes: int,
) -> Kept:
    """What is kept of one table; a twin whose segment is not among these is all that is kept of its rows."""
    twins = [twin for twin in columns.twins.values() if twin.table_name == table]
    firsts = [s.first_timestamp for s in segments if s.first_timestamp is not None and s.rows]
    lasts = [s.last_timestamp for s in segments if s.last_timestamp is not None and s.rows]
    numbers = {segment.number for segment in segments}
    firsts += [twin.first_timestamp for twin in twins]
    lasts += [twin.last_timestamp for twin in twins]
    return Kept(
        table=table,
        rows=sum(segment.rows for segment in segments),
        bytes=sum(sizes.get(segment.name, 0) for segment in segments),
        archived_rows=sum(twin.rows for twin in twins if twin.number not in numbers),
        column_bytes=sum(columns.bytes_of(twin) for twin in twins),
        rollup_bytes=rollup_bytes,
        first_ns=min(firsts, default=None),
        last_ns=max(lasts, default=None),
    )


def _leaving(held: Sequence[Held], kinds: Mapping[str, Kind], limits: Limits, usage: Usage) -> list[Leaving]:
    """All that goes one after the other, summed up by table, tier and limit."""
    now_ns = time.time_ns()
    left = {(item.table, item.number): item for item in held}
    sums: dict[tuple[str, str, str], Leaving] = {}
    while (choice := choose([*left.values()], kinds, limits, usage, now_ns)) is not None:
        item = choice.held
        if item is None:
            if usage.rollups < PAGE_BYTES:
                break
            part = usage.rollups // 10
            usage = replace(usage, rollups=usage.rollups - part)
            before = sums.get((EVERY, "rollups", choice.because)) or Leaving(EVERY, "rollups", 0, 0, choice.because)
            sums[EVERY, "rollups", choice.because] = replace(before, bytes=before.bytes + part)
            continue
        rows, columns = _bytes(item, choice.what)
        usage = replace(usage, rows=usage.rows - rows, columns=usage.columns - columns)
        key = (item.table, choice.what, choice.because)
        before = sums.get(key) or Leaving(item.table, choice.what, 0, 0, choice.because)
        sums[key] = replace(before, rows=before.rows + item.rows, bytes=before.bytes + rows + columns)
        if choice.what == "rows" and item.has_columns:
            left[item.table, item.number] = replace(item, has_rows=False)
        else:
            del left[item.table, item.number]
    return list(sums.values())


def _bytes(item: Held, what: str) -> tuple[int, int]:
    """Of the rows and of the columns that go."""
    return (item.row_bytes if "rows" in what else 0), (item.column_bytes if "columns" in what else 0)
