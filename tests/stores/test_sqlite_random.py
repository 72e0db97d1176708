"""Whatever is done to a store, in whatever order, it holds what a list of rows would hold."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import apsw
from contract import read
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from rows import SECOND, row, struct

from kernelsight.stores.base import Batch, open_reader
from kernelsight.stores.sqlite.writer import SqliteWriter

TABLE = "sched_events"
STRUCT = struct(TABLE)
NOW = time.time_ns()
STAMPS = st.one_of(
    st.integers(NOW - 200 * SECOND, NOW),
    st.integers(NOW - 5, NOW),
    st.sampled_from([NOW + 400 * 24 * 3600 * SECOND, 2**63 - 1, 10**18]),
)


class Store(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "telemetry.db"
        self.writer = SqliteWriter(self.path, segment_rows=5)
        self.reader = open_reader(str(self.path))
        self.other = apsw.Connection(str(self.path))
        self.rows = []
        self.number = 0

    def teardown(self):
        self.other.close()
        self.reader.close()
        self.writer.close()
        self.folder.cleanup()

    def new(self, stamps):
        made = []
        for stamp in stamps:
            self.number += 1
            made.append((stamp, self.number))
        self.rows += made
        return made

    @rule(stamps=st.lists(STAMPS, min_size=1, max_size=40), in_order=st.booleans())
    def write(self, stamps, in_order):
        made = self.new(sorted(stamps) if in_order else stamps)
        assert not self.writer.write(Batch({STRUCT: [row(TABLE, 1, timestamp=t, pid=n) for t, n in made]}))

    @rule(stamps=st.lists(STAMPS, min_size=1, max_size=4))
    def insert_by_another_client(self, stamps):
        self.other.executemany(f"INSERT INTO {TABLE} (timestamp, pid) VALUES (?, ?)", self.new(stamps))

    @rule(stamp=STAMPS)
    def delete_by_another_client(self, stamp):
        self.other.execute(f"DELETE FROM {TABLE} WHERE timestamp < ?", (stamp - 100 * SECOND,))
        self.rows = [line for line in self.rows if line[0] >= stamp - 100 * SECOND]

    @rule(stamp=STAMPS, share=st.integers(2, 5))
    def update_by_another_client(self, stamp, share):
        self.other.execute(f"UPDATE {TABLE} SET timestamp = ? WHERE pid % ? = 0", (stamp, share))
        self.rows = [(stamp if n % share == 0 else t, n) for t, n in self.rows]

    @rule()
    def maintain(self):
        self.writer.maintain(budget_s=5)
        assert not self.writer.unsealed()

    @rule(stamp=STAMPS)
    def retain(self, stamp):
        kept = [line for line in self.rows if line[0] >= stamp - 100 * SECOND]
        assert self.writer.retain(TABLE, stamp - 100 * SECOND) == len(self.rows) - len(kept)
        self.rows = kept

    @rule()
    def open_again(self):
        self.writer.close()
        self.writer = SqliteWriter(self.path, segment_rows=5)

    @rule(one=STAMPS, two=STAMPS)
    def range(self, one, two):
        start, end = sorted((one, two))
        found = [(line["timestamp"], line["pid"]) for line in read(self.reader, TABLE, start, end)]
        assert sorted(found) == sorted(line for line in self.rows if start <= line[0] <= end)

    @invariant()
    def holds_what_a_list_would_hold(self):
        found = self.reader.query(f"SELECT id, timestamp, pid FROM {TABLE}")
        assert sorted((line["timestamp"], line["pid"]) for line in found) == sorted(self.rows)
        assert len({line["id"] for line in found}) == len(found)
        assert self.reader.count(TABLE) == len(self.rows)
        stamps = [stamp for stamp, _ in self.rows]
        assert self.reader.bounds(TABLE) == ((min(stamps), max(stamps)) if stamps else None)


TestStore = Store.TestCase
TestStore.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
