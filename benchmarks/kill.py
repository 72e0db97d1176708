#!/usr/bin/env python3
"""Kill the daemon in the middle of a load, again and again; prints one JSON object.

    python benchmarks/kill.py [--kills 50] [--seconds 3600] [--lines 2000000] [--reuse 5] [--longest-s 4] [--seed 1]

Each kill is a SIGKILL up to ``--longest-s`` after the first commit of a load of the input of `ingest.py`.
After it the database must
pass ``PRAGMA integrity_check``, hold every batch that was reported committed, and account for its rows;
the next load goes on in the same file, which is made anew after ``--reuse`` kills. The last load ends.
After ``--seconds`` no further kill begins. Ends with status 0 when no row that was reported stored is missing.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ingest import KINDS, write_input
from kernelsight.events.declare import kind_of

STORED = re.compile(rb"; (\d+) stored\n")
KEEP_ALL = ["--keep-sql", "forever", "--keep", "forever", "--keep-rollups", "forever", "--max-disk", "none"]
COMMAND = [str(Path(sys.executable).with_name("kernelsight")), "ingest", "--verbose", *KEEP_ALL, "--db-path"]


def load(source: Path, database: Path, kill_after_s: float | None) -> int:
    """Load the input, to the end or until killed; rows that were reported stored by then."""
    log = database.with_suffix(".log")
    with source.open("rb") as stdin, log.open("wb") as stderr:
        process = subprocess.Popen([*COMMAND, str(database)], stdin=stdin, stderr=stderr)
        if kill_after_s is None:
            assert process.wait() == 0
        else:
            while process.poll() is None and not STORED.search(log.read_bytes()):
                time.sleep(0.01)
            time.sleep(kill_after_s)
            assert process.poll() is None, "the load had ended: more --lines are needed"
            process.kill()
            process.wait()
    reported = STORED.findall(log.read_bytes())
    return int(reported[-1]) if reported else 0


def check(database: Path) -> int:
    """Rows of a sound database whose books agree with its rows."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = 0
        for kind in map(kind_of, KINDS):
            (there,) = connection.execute(f"SELECT count(*) FROM {kind.table}").fetchone()
            booked = connection.execute("SELECT stored FROM collectors WHERE kind = ?", (kind.name,)).fetchone()
            assert there == (booked[0] if booked else 0), kind.name
            rows += there
    connection.close()
    return rows


def clear(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir():  # of columnar twins
            shutil.rmtree(entry)
        else:
            entry.unlink()


def measure(options: argparse.Namespace, folder: Path) -> dict[str, object]:
    chance = random.Random(options.seed)
    source, scratch = folder / "input.ndjson", folder / "scratch"
    scratch.mkdir()
    write_input(source, options.lines, options.seed)
    database = scratch / "killed.db"
    before, sound, missing, beyond, rows_at_kill = 0, 0, 0, [], []
    for kill in range(options.kills):
        if sound and time.monotonic() >= options.end:
            break
        if kill % options.reuse == 0:
            clear(scratch)
            before = 0
        reported = load(source, database, chance.uniform(0.0, options.longest_s))
        rows = check(database) if database.exists() else 0
        sound += 1
        missing += max(0, before + reported - rows)
        beyond.append(rows - before - reported)
        rows_at_kill.append(rows - before)
        before = rows
    load(source, database, None)
    assert check(database) == before + options.lines
    return {
        "kills_asked_for": options.kills,
        "kills": sound,
        "reported_rows_missing": missing,
        "rows_at_kill_median": statistics.median(rows_at_kill),
        "rows_at_kill_max": max(rows_at_kill),
        "rows_stored_but_not_yet_reported_max": max(beyond),
        "resumed_to_rows": before + options.lines,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--lines", type=int, default=2_000_000)
    parser.add_argument("--reuse", type=int, default=5)
    parser.add_argument("--longest-s", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.end = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(options, Path(folder))
    print(json.dumps(figures, indent=2))
    if figures["reported_rows_missing"]:
        sys.exit("rows that were reported stored are missing")


if __name__ == "__main__":
    main()
