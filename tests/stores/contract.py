"""What every store must do; a backend's test module derives from the class and says where its store is."""

from __future__ import annotations

from threading import Thread

import pytest
from rows import BASE, SECOND, as_dict, row, rows, struct

from kernelsight.errors import StoreBusyError, StoreError
from kernelsight.events.collector import CollectorReport
from kernelsight.events.wire import encode_lines, kinds, tables
from kernelsight.stores.base import (
    Account,
    Batch,
    Book,
    Reader,
    Refusal,
    Rejected,
    Store,
    Writer,
    open_reader,
    open_writer,
    store,
)

SYSCALLS = "syscall_events"
BOOKS = "lines, stored, rejected, dropped, in_memory"


def read(reader: Reader, table: str, start: int | None = None, end: int | None = None, columns=None) -> list[dict]:
    """The rows of a relation, ordered by time and id."""
    relation, params = reader.relation(table, start, end, columns)
    return reader.query(f"SELECT * FROM {relation} AS r", params)


def without_id(found: list[dict]) -> list[dict]:
    return [{name: value for name, value in line.items() if name != "id"} for line in found]


class StoreContract:
    """Derive, and give the fixture ``url``: where a store can be made that does not exist yet."""

    @pytest.fixture
    def url(self) -> str:
        raise NotImplementedError

    @pytest.fixture
    def writer(self, url: str):
        writer = open_writer(url)
        yield writer
        writer.close()

    @pytest.fixture
    def reader(self, url: str, writer: Writer):
        reader = open_reader(url)
        yield reader
        reader.close()

    def test_it_says_where_it_is_and_what_it_takes_before_it_is_made(self, url: str):
        made = store(url)
        assert isinstance(made, Store)
        assert not made.exists()
        assert not made.size_bytes()
        assert made.identity == store(url).identity
        open_writer(url).close()
        assert made.exists()
        assert made.size_bytes() is None or made.size_bytes() > 0

    def test_what_is_left_in_its_inbox_waits_for_the_writer(self, url: str):
        inbox = store(url).inbox
        if inbox is None:
            pytest.skip("several may write to it, so nothing has to wait")
        open_writer(url).close()
        left = inbox.leave([CollectorReport(BASE, name="one")])
        assert store(url).inbox.waiting() == [left]
        assert inbox.read(left, 1 << 20) == encode_lines([CollectorReport(BASE, name="one")])
        inbox.remove(left)
        assert inbox.waiting() == []

    def test_one_at_a_time_is_alone(self, url: str):
        open_writer(url).close()
        order = []

        def second():
            with store(url).alone():
                order.append("second")

        with store(url).alone():
            thread = Thread(target=second)
            thread.start()
            thread.join(0.1)
            order.append("first")
        thread.join(20)
        assert order == ["first", "second"]

    def test_both_ends_keep_the_contract(self, writer: Writer, reader: Reader):
        assert isinstance(writer, Writer)
        assert isinstance(reader, Reader)

    @pytest.mark.parametrize("table", sorted(tables()))
    def test_every_kind_is_stored_as_it_was_given(self, writer: Writer, reader: Reader, table: str):
        given = rows(table, 3)
        given.append((BASE + 10 * SECOND, *[None] * (len(given[0]) - 1)))
        assert not writer.write(Batch({struct(table): given}))
        found = read(reader, table)
        assert list(found[0])[:2] == ["id", "timestamp"]
        assert without_id(found) == [as_dict(table, line) for line in given]

    def test_rows_come_as_tuples_and_as_what_a_function_makes_of_them(self, writer: Writer, reader: Reader):
        writer.write(Batch({struct(SYSCALLS): rows(SYSCALLS, 700)}))
        relation, params = reader.relation(SYSCALLS, columns=["pid", "timestamp"])
        sql = f"SELECT pid, timestamp FROM {relation} AS r ORDER BY timestamp"
        found = list(reader.tuples(sql, params))
        assert [at for _, at in found] == [BASE + n * SECOND for n in range(700)]
        assert reader.objects(lambda pid, at: (pid, at), sql, params) == found

    def test_a_batch_of_many_kinds_is_one(self, writer: Writer, reader: Reader):
        writer.write(Batch({kind.struct: rows(kind.table, 20) for kind in kinds().values()}))
        assert {table: reader.count(table) for table in tables()} == dict.fromkeys(tables(), 20)

    def test_what_is_written_is_seen_by_a_reader_opened_before(self, writer: Writer, reader: Reader):
        for start in (0, 5):
            writer.write(Batch({struct(SYSCALLS): rows(SYSCALLS, 5, start)}))
            assert reader.count(SYSCALLS) == start + 5

    def test_a_range_of_time_has_both_its_ends(self, writer: Writer, reader: Reader):
        writer.write(Batch({struct(SYSCALLS): rows(SYSCALLS, 100)}))
        found = read(reader, SYSCALLS, BASE + 10 * SECOND, BASE + 20 * SECOND)
        assert [line["timestamp"] for line in found] == [BASE + n * SECOND for n in range(10, 21)]
        assert len(read(reader, SYSCALLS, BASE + 98 * SECOND)) == 2
        assert len(read(reader, SYSCALLS, None, BASE)) == 1
        assert read(reader, SYSCALLS, BASE + 200 * SECOND) == []

    def test_the_whole_of_time_is_a_range(self, writer: Writer, reader: Reader):
        writer.write(Batch({struct(SYSCALLS): [*rows(SYSCALLS, 3), row(SYSCALLS, 1)]}))
        assert len(read(reader, SYSCALLS, -(2**63), 2**63 - 1)) == 4

    def test_rows_out_of_order_are_found_by_time(self, writer: Writer, reader: Reader):
        later = [row(SYSCALLS, n) for n in (50, 10, 40, 40, 20, 7000, 30)]
        for line in later:
            writer.write(Batch({struct(SYSCALLS): [line]}))
        found = read(reader, SYSCALLS, BASE + 20 * SECOND, BASE + 40 * SECOND)
        assert sorted(line["timestamp"] for line in found) == [BASE + n * SECOND for n in (20, 30, 40, 40)]

    def test_ids_are_unique(self, writer: Writer, reader: Reader):
        same = [row(SYSCALLS, n, timestamp=BASE) for n in range(50)]
        for _ in range(3):
            writer.write(Batch({struct(SYSCALLS): same}))
        assert len({line["id"] for line in read(reader, SYSCALLS)}) == 150

    def test_a_relation_has_the_columns_asked_for(self, writer: Writer, reader: Reader):
        writer.write(Batch({struct(SYSCALLS): rows(SYSCALLS, 1)}))
        assert list(read(reader, SYSCALLS, columns=["comm", "timestamp"])[0]) == ["comm", "timestamp"]
        with pytest.raises(StoreError, match="no column 'nonsense'"):
            reader.relation(SYSCALLS, columns=["nonsense"])

    def test_bounds_and_count(self, writer: Writer, reader: Reader):
        assert reader.bounds(SYSCALLS) is None
        assert reader.count(SYSCALLS) == 0
        writer.write(Batch({struct(SYSCALLS): rows(SYSCALLS, 10, 5)}))
        writer.write(Batch({struct(SYSCALLS): rows(SYSCALLS, 2)}))
        assert reader.bounds(SYSCALLS) == (BASE, BASE + 14 * SECOND)
        assert reader.count(SYSCALLS) == 12

    def test_an_unknown_table_is_refused_by_name(self, writer: Writer, reader: Reader):
        for ask in (reader.count, reader.bounds, reader.relation):
            with pytest.raises(StoreError, match="nonsense"):
                ask("nonsense")

    def test_a_row_that_cannot_be_stored_is_refused_alone(self, writer: Writer, reader: Reader):
        good = rows(SYSCALLS, 40)
        bad = [row(SYSCALLS, 3, pid=2**70), row(SYSCALLS, 4, comm="\ud800"), (None, *good[0][1:]), good[0][:-1]]
        batch = Batch(
            {struct(SYSCALLS): [*good[:20], *bad, *good[20:]], struct("memory_metrics"): rows("memory_metrics", 2)},
            accounts={"syscall": Account(lines=44, stored=44), "memory": Account(lines=2, stored=2)},
        )
        refused = writer.write(batch)
        assert [line.row for line in refused] == bad
        assert all(line.struct is struct(SYSCALLS) for line in refused)
        for line, blamed in zip(refused, ("pid", "comm", "timestamp", ""), strict=True):
            assert line.reason.startswith(blamed)
            assert line.reason
        assert without_id(read(reader, SYSCALLS)) == [as_dict(SYSCALLS, line) for line in good]
        assert reader.count("memory_metrics") == 2
        books = reader.query(f"SELECT {BOOKS} FROM collectors WHERE kind = 'syscall'")
        assert books == [{"lines": 44, "stored": 40, "rejected": 4, "dropped": 0, "in_memory": 0}]
        assert reader.query("SELECT kind, count(*) AS n FROM rejected_events GROUP BY kind") == [
            {"kind": "syscall", "n": 4}
        ]

    def test_books_and_reasons_are_told_by_kind(self, writer: Writer, reader: Reader):
        refused = [Rejected(BASE + n, "memory", reason, b"x", 1) for n, reason in enumerate(("no JSON", "odd", "odd"))]
        accounts = {"memory": Account(lines=7, stored=3, rejected=3, dropped=1), "cpu": Account()}
        writer.write(Batch({struct("memory_metrics"): rows("memory_metrics", 3)}, refused, accounts))
        assert reader.books() == [Book("memory", lines=7, stored=3, rejected=3, dropped=1, in_memory=0, lost=0)]
        assert reader.refusals(10) == [Refusal("memory", "odd", 2, BASE + 2), Refusal("memory", "no JSON", 1, BASE)]
        assert reader.refusals(1) == [Refusal("memory", "odd", 2, BASE + 2)]

    def test_rejected_lines_are_kept_as_they_came(self, writer: Writer, reader: Reader):
        raws = [b'{"type":"x"', b"\xff\xfe", b"nul\0inside", "é'; --".encode()]
        writer.write(Batch(rejected=[Rejected(BASE, "unknown", "no JSON", raw, len(raw)) for raw in raws]))
        found = reader.query("SELECT timestamp, kind, reason, raw, size FROM rejected_events ORDER BY id")
        kept = [raw.encode() if isinstance(raw := line["raw"], str) else raw for line in found]
        assert kept == raws
        assert [line["size"] for line in found] == [len(raw) for raw in raws]
        assert reader.count("rejected_events") == 4

    def test_a_reason_may_quote_text_that_has_no_encoding(self, writer: Writer, reader: Reader):
        writer.write(Batch(rejected=[Rejected(BASE, "no \udcff kind", "comm is '\ud800'", b"x", 1)]))
        assert reader.query("SELECT kind, reason FROM rejected_events") == [
            {"kind": r"no \udcff kind", "reason": r"comm is '\ud800'"}
        ]

    def test_books_add_up_over_runs(self, url: str):
        for run in (1, 2):
            writer = open_writer(url)
            for stored in (10, 30):
                stamps = {"first_timestamp": BASE * run // run, "last_timestamp": BASE + run}
                writer.write(Batch(accounts={"load": Account(stored + 3, stored, 1, 2, 0, **stamps)}))
            writer.close()
        reader = open_reader(url)
        [books] = reader.query(f"SELECT {BOOKS}, first_timestamp, last_timestamp FROM collectors WHERE kind = 'load'")
        reader.close()
        assert tuple(books.values()) == (66, 60, 2, 4, 0, BASE, BASE + 2)

    def test_lines_in_memory_at_a_crash_are_booked_as_dropped(self, url: str):
        writer = open_writer(url)
        writer.write(Batch(accounts={"load": Account(lines=10, stored=7, in_memory=3)}))
        writer.close()
        open_writer(url).close()
        reader = open_reader(url)
        [books] = reader.query(f"SELECT {BOOKS} FROM collectors WHERE kind = 'load'")
        reader.close()
        assert tuple(books.values()) == (10, 7, 0, 3, 0)

    def test_noted_losses_are_booked_once_and_only_if_nothing_was_committed_since(self, url: str):
        def books() -> tuple:
            open_writer(url).close()
            reader = open_reader(url)
            found = reader.query(f"SELECT kind, {BOOKS} FROM collectors WHERE lines > 0 ORDER BY kind")
            reader.close()
            return [tuple(account.values()) for account in found]

        writer = open_writer(url)
        writer.write(Batch(accounts={"load": Account(lines=10, stored=10)}))
        lost = {"load": Account(16, 10, 1, 2, in_memory=3), "cpu": Account(4, 0, 0, 4), "memory": Account()}
        writer.note_losses(lost)
        writer.close()
        for _ in range(2):
            assert books() == [("cpu", 4, 0, 0, 4, 0), ("load", 16, 10, 1, 5, 0)]
        writer = open_writer(url)
        writer.note_losses({"load": Account(lines=5, in_memory=5)})
        writer.write(Batch(accounts={"load": Account(lines=5, stored=5)}))
        writer.close()
        assert books() == [("cpu", 4, 0, 0, 4, 0), ("load", 21, 15, 1, 5, 0)]

    def test_collectors_say_how_they_fare(self, writer: Writer, reader: Reader):
        def report(number: int, **values: object) -> tuple:
            empty = dict.fromkeys(column.name for column in tables()["collector_reports"].columns)
            return tuple((empty | {"timestamp": BASE + number, "name": "memory", "source": "procfs"} | values).values())

        for number, lost in enumerate((0, 5, 9, 2)):  # the last one: it was restarted
            line = report(number, status="running", lost=lost)
            writer.write(Batch({CollectorReport: [line]}))
        writer.write(Batch({CollectorReport: [report(9, status="failed", reason="gone", lost=2)]}))
        [found] = reader.query("SELECT name, source, status, reason, lost FROM collectors WHERE kind = 'memory'")
        assert found == {"name": "memory", "source": "procfs", "status": "failed", "reason": "gone", "lost": 11}

    def test_a_second_writer_is_refused(self, url: str, writer: Writer):
        with pytest.raises(StoreBusyError):
            open_writer(url)
        writer.close()
        open_writer(url).close()

    def test_upkeep_changes_nothing_that_is_read(self, writer: Writer, reader: Reader):
        writer.write(Batch({struct(SYSCALLS): rows(SYSCALLS, 100)}))
        before = read(reader, SYSCALLS), reader.bounds(SYSCALLS), reader.count(SYSCALLS)
        writer.maintain(budget_s=5)
        assert (read(reader, SYSCALLS), reader.bounds(SYSCALLS), reader.count(SYSCALLS)) == before

    def test_of_a_store_that_is_whole_a_repair_loses_nothing(self, url: str):
        writer = open_writer(url)
        writer.write(Batch({struct(SYSCALLS): rows(SYSCALLS, 9)}))
        writer.close()
        assert all(repaired.is_complete for repaired in store(url).repair())
        reader = open_reader(url)
        assert reader.count(SYSCALLS) == 9
        reader.close()

    def test_what_does_not_exist_cannot_be_repaired(self, url: str):
        with pytest.raises(StoreError):
            list(store(url).repair())
        assert not store(url).exists()

    def test_closing_twice_does_nothing(self, url: str):
        writer = open_writer(url)
        reader = open_reader(url)
        for end in (reader, writer):
            end.close()
            end.close()

    def test_a_reader_cannot_write(self, writer: Writer, reader: Reader):
        with pytest.raises(StoreError):
            reader.query("DELETE FROM rejected_events")

    def test_wrong_sql_is_said_to_be_wrong(self, reader: Reader):
        with pytest.raises(StoreError):
            reader.query("SELECT nonsense FROM syscall_events")

    def test_a_store_that_does_not_exist_is_not_made_by_reading(self, url: str):
        with pytest.raises(StoreError):
            open_reader(url)
