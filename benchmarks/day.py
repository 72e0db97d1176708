#!/usr/bin/env python3
"""What a day of an idle machine takes on disk: prints one JSON object.

    python benchmarks/day.py [--record SECONDS | --lines FILE] [--hours 24] [--idle] [--seed N] [--path FOLDER]

The lines are recorded on this machine with all collectors, or taken from a file that ``kernelsight collect`` has
written. They are stored again and again, one after the other, until so many hours are full: counters go on from where
they were, and every value that moves gets fresh noise, so that no compression finds the same values twice. With
``--idle``, rows of processes that did not live for all of the recording, or that used more than ``--busiest`` of a
CPU, are left out: what else runs on the machine is not part of an idle one.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pyarrow.parquet as pq

from kernelsight.events.declare import Counter, Delta, Event, Gauge, Kind, kind_of
from kernelsight.events.scheduler import SchedProcess
from kernelsight.events.wire import decoder, tables
from kernelsight.stores.base import Account, Batch, Row, open_writer, store
from kernelsight.stores.sqlite.ddl import quote
from kernelsight.stores.sqlite.twins.folder import folder_of
from kernelsight.stores.sqlite.twins.work import make_twins

_BATCH = 10_000
_SECOND = 10**9
_MOVES = (Gauge, Delta)
_SAMPLE = 20_000
"""Rows of a table of which the values are measured, for what each column takes."""


def record(seconds: float, path: Path) -> None:
    """Collect for so long, into a file."""
    program = Path(sys.executable).with_name("kernelsight")
    with path.open("wb") as lines:
        subprocess.run([program, "collect", "--duration", str(seconds)], stdout=lines, check=True)


def events_of(path: Path) -> list[Event]:
    """The events of a recording, oldest first."""
    with path.open("rb") as lines:
        events = [decoder().decode(line) for line in lines if line.endswith(b"\n")]
    return sorted(events, key=lambda event: event.timestamp)


def idle(events: list[Event], busiest: float) -> list[Event]:
    """Without what busy and short-lived processes did."""
    first, last = events[0].timestamp, events[-1].timestamp
    seen: dict[int, list[int]] = defaultdict(list)
    cpu_ms: dict[int, float] = defaultdict(float)
    for event in events:
        pid = getattr(event, "pid", None)
        if pid is not None:
            seen[pid].append(event.timestamp)
        if isinstance(event, SchedProcess):
            cpu_ms[event.pid or 0] += event.cpu_time_ms or 0
    margin = (last - first) // 10
    stays = {pid for pid, stamps in seen.items() if stamps[0] < first + margin and stamps[-1] > last - margin}
    calm = {pid for pid in stays if cpu_ms[pid] / 1e3 <= busiest * (last - first) / _SECOND}
    return [event for event in events if (pid := getattr(event, "pid", None)) is None or pid in calm]


class Series:
    """One recording that goes on for ever, with fresh noise each time."""

    def __init__(self, events: list[Event], chance: random.Random) -> None:
        self._chance = chance
        self._span = events[-1].timestamp - events[0].timestamp + _SECOND
        self._rows: list[tuple[Kind, tuple[Any, ...], Row]] = []
        self._last: dict[tuple[str, tuple[Any, ...]], Row] = {}
        self._totals: dict[tuple[str, tuple[Any, ...]], list[int]] = {}
        self._columns = {kind.name: [column.semantics for column in kind.columns] for kind in tables().values()}
        for event in events:
            kind = kind_of(type(event))
            entity = tuple(getattr(event, name) for name in kind.entity)
            self._rows.append((kind, entity, msgspec.structs.astuple(event)))

    def round(self, number: int) -> Iterator[tuple[Kind, Row]]:
        """The recording once more, for the round of this number."""
        shift = number * self._span
        before: dict[tuple[str, tuple[Any, ...]], Row] = {}
        for kind, entity, row in self._rows:
            key = (kind.name, entity)
            yield kind, self._varied(kind, key, row, before.get(key), shift)
            before[key] = row

    def _varied(self, kind: Kind, key: tuple[str, tuple[Any, ...]], row: Row, before: Row | None, shift: int) -> Row:
        values: list[Any] = list(row)
        chance = self._chance
        values[0] = row[0] + shift if kind.interval_s else row[0] + shift + chance.randrange(_SECOND // 1000)  # type: ignore[operator]
        totals = self._totals.setdefault(key, [0] * len(values))
        for place, semantics in enumerate(self._columns[kind.name]):
            value = row[place]
            if not place or not isinstance(value, (int, float)) or isinstance(value, bool):
                continue
            last = before[place] if before is not None else None
            moved = value - last if isinstance(last, (int, float)) else 0
            if isinstance(semantics, Counter):
                grown = max(0, moved)
                totals[place] += round(grown * chance.uniform(0.8, 1.2)) if grown else 0
                values[place] = int(value - moved) if last is None else self._base(key, place, value) + totals[place]
            elif isinstance(semantics, _MOVES) and (moved or before is None):
                noisy = value + abs(moved) * chance.uniform(-0.2, 0.2)
                values[place] = _as_exact(noisy, value)
        return tuple(values)

    def _base(self, key: tuple[str, tuple[Any, ...]], place: int, value: float) -> int:
        """What a counter began with in the recording."""
        first = self._last.setdefault(key, ())
        if place >= len(first):
            first = (*first, *([None] * (place + 1 - len(first))))
        if first[place] is None:
            first = (*first[:place], value, *first[place + 1 :])
        self._last[key] = first
        return int(first[place])  # type: ignore[arg-type]


def _as_exact(noisy: float, value: float) -> float:
    """A value with as many decimals as the one that it varies."""
    if isinstance(value, int):
        return max(0, round(noisy)) if value >= 0 else round(noisy)
    return round(noisy, len(repr(value).partition(".")[2]))


def fill(path: Path, events: list[Event], hours: float, seed: int) -> dict[str, float]:
    """Store a recording again and again, until so many hours are full."""
    series = Series(events, random.Random(seed))
    span_s = (events[-1].timestamp - events[0].timestamp) / _SECOND + 1
    shift = time.time_ns() - int(hours * 3600 * _SECOND) - events[0].timestamp
    accounts: dict[str, Account] = defaultdict(Account)
    begun, rows = time.process_time(), 0
    with closing(open_writer(str(path))) as writer:
        for number in range(max(1, round(hours * 3600 / span_s))):
            for batch in _batches(series.round(number), shift):
                for struct, group in batch.items():
                    account = accounts[kind_of(struct).name]
                    account.lines += len(group)
                    account.stored += len(group)
                    rows += len(group)
                writer.write(Batch(batch, [], dict(accounts)))
                writer.maintain(budget_s=0.5)
    with closing(apsw.Connection(str(path))) as connection:  # the end of the day: what is open is a day old
        connection.execute("UPDATE segments SET opened_ns = 1").fetchall()
    with closing(open_writer(str(path))) as writer:
        for _ in range(200):
            writer.maintain(budget_s=60)
    make_twins(path)
    return {"rows": rows, "cpu_s": time.process_time() - begun}


def _batches(rows: Iterable[tuple[Kind, Row]], shift: int) -> Iterator[dict[type[Event], list[Row]]]:
    batch: dict[type[Event], list[Row]] = defaultdict(list)
    waiting = 0
    for kind, row in rows:
        batch[kind.struct].append((row[0] + shift, *row[1:]))  # type: ignore[operator]
        waiting += 1
        if waiting == _BATCH:
            yield batch
            batch, waiting = defaultdict(list), 0
    if waiting:
        yield batch


def sizes(path: Path) -> dict[str, Any]:
    """Bytes by table, of rows, indexes and rollups."""
    by_table: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    with closing(connection):
        owners = {
            str(name): (str(table), str(kind))
            for name, table, kind in connection.execute("SELECT name, tbl_name, type FROM sqlite_master")
        }
        for name, size in connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name"):
            owner, kind = owners.get(str(name), (str(name), "table"))
            public, part = _part(owner, kind)
            by_table[public][part] += int(str(size))
        for table, rows in connection.execute("SELECT table_name, sum(rows) FROM segments GROUP BY table_name"):
            by_table[str(table)]["count"] = int(str(rows or 0))
        columns: dict[str, dict[str, Any]] = {
            table: _columns(connection, table) for table in [*by_table] if table in tables()
        }
    for table, found in _twins(path).items():
        by_table[table]["twins"] = sum(found.values())
        columns[table] = {
            name: {"sqlite": columns[table].get(name, 0.0), "twins": round(size / max(1, by_table[table]["count"]), 2)}
            for name, size in sorted(found.items(), key=lambda item: -item[1])
        }
    return {
        table: {**parts, "columns": columns.get(table, {})}
        for table, parts in sorted(by_table.items(), key=lambda item: -sum(item[1].values()))
        if parts.get("count") or table not in tables()
    }


def _twins(path: Path) -> dict[str, dict[str, int]]:
    """Bytes of each column in the twins, by table."""
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for file in folder_of(path).glob("*/*.parquet"):
        metadata = pq.read_metadata(file)
        for group in range(metadata.num_row_groups):
            for number in range(metadata.num_columns):
                chunk = metadata.row_group(group).column(number)
                found[file.parent.name][chunk.path_in_schema] += chunk.total_compressed_size
        found[file.parent.name]["(footer)"] += metadata.serialized_size
    return found


def _part(owner: str, kind: str) -> tuple[str, str]:
    """The public table of a part of the file, and what it is of it."""
    for suffix in ("_1m", "_1h"):
        if owner.endswith(suffix) and owner.removesuffix(suffix) in tables():
            return owner.removesuffix(suffix), f"rollups{suffix}"
    table = owner.rpartition("__")[0]
    if table in tables():
        return table, "indexes" if kind == "index" else "rows"
    return owner, "rows"


def _columns(connection: apsw.Connection, table: str) -> dict[str, float]:
    """Mean bytes of each column's value in a row of SQLite, its type included."""
    names = ["id", *tables()[table].column_names]
    cells = ", ".join(_cell(name) for name in names)
    source = f"(SELECT * FROM {quote(table)} LIMIT {_SAMPLE})"
    row = connection.execute(f"SELECT {cells} FROM {source}").fetchall()[0]
    sized = {name: round(float(str(value or 0)), 2) for name, value in zip(names, row, strict=True)}
    return dict(sorted(sized.items(), key=lambda item: -item[1]))


def _cell(name: str) -> str:
    column = quote(name)
    limits = ((128, 2), (32_768, 3), (8_388_608, 4), (2**31, 5), (2**47, 7))
    cases = " ".join(f"WHEN {column} < {limit} AND {column} >= -{limit} THEN {size}" for limit, size in limits)
    return (
        f"avg(CASE WHEN {column} IS NULL OR {column} IN (0, 1) THEN 1"
        f" WHEN typeof({column}) = 'text' THEN 1 + length(CAST({column} AS BLOB))"
        f" WHEN typeof({column}) = 'real' THEN 9 {cases} ELSE 9 END)"
    )


def summary(path: Path, events: list[Event], filled: dict[str, float], hours: float) -> dict[str, Any]:
    """What a day takes."""
    by_table = sizes(path)
    of_day = 24 / hours / 1e6
    totals = {
        part: round(sum(sized.get(part, 0) for sized in by_table.values()) * of_day, 1)
        for part in ("rows", "indexes", "twins", "rollups_1m", "rollups_1h")
    }
    size = store(str(path)).size_bytes() or 0
    return {
        "hours": hours,
        "recorded_s": round((events[-1].timestamp - events[0].timestamp) / _SECOND),
        "rows_per_s": round(filled["rows"] / hours / 3600, 1),
        "cpu_us_per_row": round(1e6 * filled["cpu_s"] / filled["rows"], 1),
        "bytes_per_row": {
            "sqlite": round(size / filled["rows"], 1),
            "twins": round(totals["twins"] / of_day / filled["rows"], 1),
        },
        "mb_a_day": totals,
        "tables": by_table,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--lines", type=Path, help="a recording instead")
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--idle", action="store_true")
    parser.add_argument("--busiest", type=float, default=0.02, metavar="CPUS")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--path", type=Path, help="folder for the database (default: a temporary one)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.path) as folder:
        lines = options.lines or Path(folder, "recording.ndjson")
        if not options.lines:
            record(options.record, lines)
        events = events_of(lines)
        if options.idle:
            events = idle(events, options.busiest)
        path = Path(folder, "day.db")
        filled = fill(path, events, options.hours, options.seed)
        result = summary(path, events, filled, options.hours)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
