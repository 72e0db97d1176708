"""What every store's deriver must do; `test_sqlite_contract.py` and its like run it for their store."""

from __future__ import annotations

import msgspec
import pytest

from kernelsight.errors import StoreError
from kernelsight.events.scheduler import Load
from kernelsight.events.signal import Signal
from kernelsight.stores.base import Batch, Replacement, open_deriver, open_reader, open_writer

START = 1_790_000_000_000_000_000
KEYS = ("timestamp", "rule", "entity")


def signal(second, rule="r", entity=None, count=1):
    return msgspec.structs.astuple(Signal(START + second * 10**9, rule=rule, entity=entity, count=count))


def ranged(first, last, *rows, keys=()):
    return Replacement(Signal, rows, START + first * 10**9, START + last * 10**9, keys)


class DeriverContract:
    """Subclasses give `url`, a fixture with the URL of a store that has been made."""

    @pytest.fixture
    def deriver(self, url):
        found = open_deriver(url)
        yield found
        found.close()

    def rows(self, url):
        reader = open_reader(url)
        try:
            found = reader.query("SELECT timestamp, rule, entity, count FROM signals ORDER BY timestamp, rule, entity")
            assert reader.count("signals") == len(found)
            return [((row["timestamp"] - START) // 10**9, row["rule"], row["entity"], row["count"]) for row in found]
        finally:
            reader.close()

    def test_a_range_is_replaced_and_nothing_beside_it(self, url, deriver):
        assert deriver.replace("n", None, "1", [ranged(0, 99, *(signal(s) for s in (1, 5, 9)))])
        assert deriver.replace("n", "1", "2", [ranged(4, 6, signal(6))])
        assert [row[0] for row in self.rows(url)] == [1, 6, 9]

    def test_with_keys_only_rows_that_are_alike_in_them_are_replaced(self, url, deriver):
        old = [signal(1, "a", "x"), signal(1, "a", None), signal(1, "b", "x"), signal(2, "a", "x")]
        assert deriver.replace("n", None, "1", [ranged(0, 99, *old)])
        assert deriver.replace(
            "n", "1", "2", [ranged(0, 99, signal(1, "a", None, 7), signal(3, "a", "x", 8), keys=KEYS)]
        )
        assert sorted(self.rows(url), key=str) == sorted(
            [(1, "a", None, 7), (1, "a", "x", 1), (1, "b", "x", 1), (2, "a", "x", 1), (3, "a", "x", 8)], key=str
        )

    def test_who_does_not_know_what_was_stored_last_changes_nothing(self, url, deriver):
        assert deriver.replace("n", None, "1", [ranged(0, 99, signal(1))])
        assert not deriver.replace("n", None, "2", [ranged(0, 99, signal(2))])
        assert not deriver.replace("n", "0", "2", [ranged(0, 99)])
        assert deriver.progress("n") == "1"
        assert [row[0] for row in self.rows(url)] == [1]
        assert deriver.progress("other") is None

    def test_a_row_that_cannot_be_stored_leaves_all_as_it_was(self, url, deriver):
        assert deriver.replace("n", None, "1", [ranged(0, 99, signal(1))])
        bad = (None, *signal(2)[1:])
        with pytest.raises(StoreError):
            deriver.replace("n", "1", "2", [ranged(0, 99, signal(3), bad)])
        assert deriver.progress("n") == "1"
        assert [row[0] for row in self.rows(url)] == [1]

    def test_it_stands_beside_a_writer_and_neither_loses_a_row(self, url, deriver):
        writer = open_writer(url)
        text = None
        for second in range(20):
            load = Load(START + second * 10**9, load_1min=1.0)
            assert not writer.write(Batch(events={Load: [msgspec.structs.astuple(load)]}))
            own = [signal(second)]
            assert not writer.write(Batch(events={Signal: [signal(second, "printed")]}))
            assert deriver.replace("n", text, str(second), [ranged(second, second, *own, keys=KEYS)])
            text = str(second)
        writer.maintain(budget_s=1.0)
        writer.close()
        assert len(self.rows(url)) == 40
        reader = open_reader(url)
        assert reader.count("load_metrics") == 20
        reader.close()

    def test_a_store_that_does_not_exist_is_not_made(self, url):
        with pytest.raises(StoreError):
            open_deriver(url + "-nowhere")
