"""Rows as structs: every column as it is meant, and what other programs stored left as it is."""

from contextlib import closing

import apsw
import msgspec
import pytest

from kernelsight.events.declare import kind_of
from kernelsight.events.filesystem import Filesystem
from kernelsight.events.memory import Memory, PageFault
from kernelsight.events.udp_socket import UdpSocket
from kernelsight.query.filters import Filter
from kernelsight.query.rows import rows_of
from kernelsight.query.stored import cited_rows, row_id, stored_rows
from kernelsight.query.times import TimeRange
from kernelsight.stores.base import Batch, open_reader, open_writer

START, SECOND = 1_790_000_000 * 10**9, 10**9
WHEN = TimeRange(START, START + 100 * SECOND)
EVENTS = [
    PageFault(START + 2, pid=2, comm="b", address=-5),
    PageFault(START + 1, pid=1, comm="a", address=5),
    Filesystem(START, mount_point="/", read_only=False, avail_bytes=7),
    Filesystem(START, mount_point="/mnt", read_only=True, avail_bytes=None),
    *(Memory(START + i * SECOND, mem_free_kb=i) for i in range(100)),
]


@pytest.fixture
def path(tmp_path):
    batch = Batch()
    for event in EVENTS:
        batch.events.setdefault(type(event), []).append(msgspec.structs.astuple(event))
    with closing(open_writer(str(tmp_path / "k.db"))) as writer:
        writer.write(batch)
    return str(tmp_path / "k.db")


@pytest.fixture
def reader(path):
    with closing(open_reader(path)) as reader:
        yield reader


def test_a_row_is_an_event_of_its_kind_with_its_id(reader):
    first, second = stored_rows(reader, PageFault, WHEN)
    assert isinstance(first, PageFault)
    assert [row.timestamp - START for row in (first, second)] == [1, 2]
    assert [row.address for row in (first, second)] == [5, 2**64 - 5]
    assert {row_id(row) for row in (first, second)} == {row["id"] for row in rows_of(reader, kind_of(PageFault), WHEN)}
    assert [row.read_only for row in stored_rows(reader, Filesystem, WHEN)] == [False, True]


@pytest.mark.parametrize("kind", [PageFault, Filesystem, Memory], ids=lambda kind: kind.__name__)
def test_it_holds_what_the_same_row_holds_as_a_dict(reader, kind):
    rows = [{**msgspec.structs.asdict(row), "id": row_id(row)} for row in stored_rows(reader, kind, WHEN)]
    assert rows
    wanted = rows_of(reader, kind_of(kind), WHEN)
    assert rows == [{name: value for name, value in row.items() if name != "time"} for row in wanted]


def test_a_range_conditions_and_columns_are_heeded(reader):
    some = TimeRange(START + 10 * SECOND, START + 20 * SECOND)
    listed = [Filter(Memory.mem_free_kb, "=", [12, 13, 30])]
    rows = stored_rows(reader, Memory, some, where=listed, columns=[Memory.mem_free_kb])
    assert [row.mem_free_kb for row in rows] == [12, 13]
    assert [row.timestamp for row in stored_rows(reader, Memory, some, columns=[])] == [
        START + i * SECOND for i in range(10, 21)
    ]
    assert {row.mem_free_kb for row in stored_rows(reader, Memory, some, columns=[])} == {None}


def test_what_another_program_stored_is_handed_out_as_it_is(path):
    with closing(apsw.Connection(path)) as connection:
        connection.execute("UPDATE memory_metrics__1 SET mem_free_kb = 'much' WHERE mem_free_kb = 3")
    with closing(open_reader(path)) as reader:
        values = [row.mem_free_kb for row in stored_rows(reader, Memory, WHEN)]
    assert values[2:5] == [2, "much", 4]


def test_of_a_kind_that_an_old_store_lacks_there_are_none(path):
    with closing(apsw.Connection(path)) as connection:
        connection.execute("DROP VIEW udp_sockets; DELETE FROM segments WHERE table_name = 'udp_sockets'")
    with closing(open_reader(path)) as reader:
        assert not reader.holds("udp_sockets")
        assert stored_rows(reader, UdpSocket, WHEN) == []


def test_the_first_or_the_last_rows_by_a_column_are_handed_out_by_time(reader):
    values = sorted(row.mem_free_kb for row in stored_rows(reader, Memory, WHEN))
    most = stored_rows(reader, Memory, WHEN, order_by=Memory.mem_free_kb, descending=True, limit=2)
    least = stored_rows(reader, Memory, WHEN, order_by=Memory.mem_free_kb, limit=2)
    assert [row.mem_free_kb for row in most] == values[-2:]
    assert [row.mem_free_kb for row in least] == values[:2]
    assert [row.timestamp for row in most] == sorted(row.timestamp for row in most)


def test_a_row_is_found_again_by_its_id(reader):
    cited = stored_rows(reader, Memory, WHEN)[3:5]
    assert cited_rows(reader, Memory, WHEN, [row_id(row) for row in reversed(cited)]) == cited
    assert cited_rows(reader, Memory, WHEN, []) == []
