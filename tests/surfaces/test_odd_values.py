"""Whatever values plain SQL has put into the tables, every command answers, or fails in a line that says why."""

from __future__ import annotations

import itertools
import random
import sqlite3
import time
from contextlib import closing

import pytest
from click.testing import CliRunner
from processes import kernelsight

from kernelsight.events.wire import kinds
from kernelsight.stores.sqlite import initialise
from kernelsight.surfaces.cli.main import main

SECOND = 10**9
ODD = {
    "INTEGER": [None, 0, -1, 1, 2**31, 2**32 - 1, 2**63 - 1, -(2**63)],
    "BOOLEAN": [None, 0, 1, 2, -(2**63)],
    "REAL": [None, 0.0, -1.0, 1e308, -1e308, 5e-324],
    "TEXT": [None, "", "a" * 5000, "x\x1b]0;y\x07\u202e\n", "None", "0", "{}", '{"a":', "[]", "\ud7ff"],
}
COMMANDS = [
    "status",
    "status --json",
    "diagnose --since 5m",
    "diagnose --since 5m --json",
    "signals --since 10m",
    "signals --since 10m --json",
    "reclassify --since 10m",
    "anomalies list --since 1h",
    "anomalies detect --since 1h",
    "ask why is it slow",
    "ask is any disk full",
    "agent --once",
    "agent history",
    "query around 1m",
    "query compare 10m 5m 5m now",
    "query top process utime_ms --by comm",
    "query series memory mem_available_kb",
    "query aggregate syscall latency_ns --by comm",
    "query percentiles syscall latency_ns",
    "query correlate syscall.latency_ns memory.mem_available_kb",
]


@pytest.fixture(scope="module", params=[1, 2])
def database(request, tmp_path_factory):
    """Two minutes of rows of every kind, each value drawn from the odd ones or from usual ones."""
    path = tmp_path_factory.mktemp("odd") / "k.db"
    initialise(str(path))
    chance, now = random.Random(request.param), time.time_ns()
    far = [-(2**63), 0, 1, now - 400 * 86400 * SECOND, now + 400 * 86400 * SECOND, 2**63 - 1]
    with closing(sqlite3.connect(path)) as connection:
        for kind in kinds().values():
            names = kind.column_names
            moments = [*(now - age * SECOND for age in range(120, 0, -2)), *(far if request.param == 2 else [])]
            rows = []
            for stamp, entity in itertools.product(moments, range(2)):
                rows.append([stamp, *(value(chance, column, entity) for column in kind.columns[1:])])
            marks = ", ".join("?" * len(names))
            connection.executemany(f"INSERT INTO {kind.table} ({', '.join(names)}) VALUES ({marks})", rows)
        connection.commit()
    return path


def value(chance, column, entity):
    if chance.random() < 0.7:
        usual = {"INTEGER": entity + 1, "BOOLEAN": 1, "REAL": 0.5, "TEXT": f"name{entity}"}[column.type]
        return column.choices[0] if column.choices else usual
    return chance.choice([None, *column.choices] if column.choices else ODD[column.type])


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_answers(database, command):
    """As a process of its own: some give up for good what this process may do."""
    words = command.split()
    if words[0] == "agent":
        words.insert(1, f"--db-path={database}")
    else:
        words.append(f"--db-path={database}")
    done = kernelsight(*words)
    assert "Traceback" not in done.stderr
    assert done.returncode in {0, 1, 2, 3}


@pytest.mark.parametrize("kind", kinds())
def test_rows_and_summaries_of_every_table(database, kind):
    numeric = [c.name for c in kinds()[kind].columns if c.type in {"INTEGER", "REAL"} and c.name != "timestamp"]
    for command in (["range", kind], *(["top", kind, metric] for metric in numeric[:3])):
        done = CliRunner().invoke(main, ["query", *command, "--since", "0", "--db-path", str(database)])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code in {0, 2}
