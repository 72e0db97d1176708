"""A database of the layout before twins and limits comes up to date when it is opened, whatever happens meanwhile.

``tests/fixtures/stores/layout_5.db.gz`` was written by the version with that layout: 250 rows of two kinds each, in
segments of 100.
"""

from __future__ import annotations

import gzip
import random
import sys
from contextlib import closing
from pathlib import Path

import apsw
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fragile import Fragile, Plan
from scene import Running, in_a_fork

from kernelsight.stores.base import open_reader, store
from kernelsight.stores.limits import EVERY
from kernelsight.stores.sqlite.migrations import MIGRATIONS
from kernelsight.stores.sqlite.twins.work import make_twins
from kernelsight.stores.sqlite.writer import SqliteWriter

BEFORE = Path(__file__).parents[1] / "fixtures" / "stores" / "layout_5.db.gz"
TABLES = ("syscall_events", "memory_metrics")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "k.db"
    path.write_bytes(gzip.decompress(BEFORE.read_bytes()))
    path.chmod(0o600)
    return path


def rows(path: Path) -> dict[str, list[tuple]]:
    with closing(apsw.Connection(str(path))) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {
            table: connection.execute(f"SELECT id, timestamp FROM {table} ORDER BY id").fetchall() for table in TABLES
        }


def version(path: Path) -> int:
    with closing(apsw.Connection(str(path))) as connection:
        [(number,)] = connection.execute("SELECT max(version) FROM schema_version").fetchall()
    return int(str(number))


def test_everything_is_there_and_new_limits_are_told(path):
    before = rows(path)
    assert {table: len(found) for table, found in before.items()} == dict.fromkeys(TABLES, 250)
    assert version(path) == 5
    with closing(SqliteWriter(path, segment_rows=100)) as writer:
        writer.set_limits({(EVERY, "keep"): None})
        assert "were kept for good so far" in writer.notices()[0]
        assert writer.accounts()["syscall"].stored == 250
        while writer.unsealed():
            writer.maintain(budget_s=5)
        assert make_twins(path).twins == 4
    assert version(path) == len(MIGRATIONS)
    assert rows(path) == before
    with closing(open_reader(str(path))) as reader:
        assert reader.count("syscall_events") == 250
        assert reader.query("SELECT * FROM retention") == [{"table_name": "memory_metrics", "keep_ns": 10**18}]
    assert not store(str(path)).retained({}).returns_space
    list(store(str(path)).apply_limits({}))
    assert rows(path) == before


@pytest.mark.parametrize("fault", ["kill", "power_loss", "full"])
def test_whatever_happens_meanwhile_it_is_the_one_or_the_other_and_whole(path, fault):
    before = in_a_fork_rows(path)
    original = path.read_bytes()
    chance = random.Random(5)
    for _ in range(6):
        for entry in path.parent.iterdir():
            entry.unlink()
        path.write_bytes(original)
        path.chmod(0o600)
        plan = Plan(fault, chance.randrange(1, 120), chance.randrange(2**32), times=10_000)
        harmed = Running("open", path, 0, lambda plan=plan: Fragile(plan))
        harmed.join(statuses={0, 1, -9})
        assert in_a_fork_rows(path) == before
        assert Running("open", path).join() == 0
        assert in_a_fork_rows(path) == before


def in_a_fork_rows(path: Path) -> int:
    """A number that differs when any of the rows does; this process must not have the file open when it forks."""
    return in_a_fork(lambda: hash(tuple((table, tuple(found)) for table, found in rows(path).items())) >> 1)
