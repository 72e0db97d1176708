"""What every declaration must be, and the names that the documented schema promises."""

from __future__ import annotations

from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelsight.events import declare
from kernelsight.events.declare import Counter, Event, Gauge, Int, Label, event
from kernelsight.events.unsigned import unwrap_u64, wrap_u64
from kernelsight.events.wire import decoder, encode_lines, kinds, tables
from kernelsight.registry import Registry

KINDS = sorted(kinds().values(), key=lambda kind: kind.name)
STAMP = 1_790_000_000_000_000_000

DOCUMENTED = {
    "syscall_events": "timestamp pid tid cpu uid syscall_nr syscall_name latency_ns ret_value is_error arg0 comm",
    "page_fault_events": "timestamp pid tid cpu address latency_ns fault_type access_type user_mode comm",
    "io_latency_stats": "timestamp read_count read_bytes read_p50_us read_p95_us read_p99_us read_max_us"
    " write_count write_bytes write_p50_us write_p95_us write_p99_us write_max_us",
    "sched_events": "timestamp pid tid cpu latency_ns prev_state next_pid comm",
    "memory_metrics": "timestamp mem_total_kb mem_free_kb mem_available_kb swap_total_kb swap_free_kb",
    "load_metrics": "timestamp load_1min load_5min load_15min running_processes total_processes",
    "block_stats": "timestamp device_name read_ios read_sectors write_ios write_sectors in_flight io_ticks",
    "network_interface_stats": "timestamp interface_name rx_bytes rx_packets rx_errors rx_drops tx_bytes tx_drops",
    "tcp_stats": "timestamp established syn_sent syn_recv fin_wait1 time_wait close close_wait last_ack listen closing",
    "tcp_retransmit_stats": "timestamp retrans_segs",
}


@pytest.mark.parametrize("table", DOCUMENTED)
def test_documented_tables_have_the_documented_columns(table):
    assert set(DOCUMENTED[table].split()) <= set(tables()[table].column_names)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_kind_is_sound(kind):
    assert kind.column_names[0] == "timestamp", "the stamp is the first column of every row"
    assert kind.meaning
    assert kind.source
    assert all(column.unit or not isinstance(column.semantics, Counter) for column in kind.columns), "of what?"
    measured = [column for column in kind.columns if not isinstance(column.semantics, Label)]
    assert all(column.type in {"INTEGER", "REAL"} for column in measured)
    assert len({name for column in kind.columns for name in column.aliases} & set(kind.column_names)) == 0


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_an_event_goes_over_the_wire_unchanged(kind):
    sample = {"INTEGER": 3, "REAL": 2.5, "TEXT": 'a "b"\n\u2028', "BOOLEAN": True}
    values = {
        column.name: column.choices[0] if column.choices else sample[column.type]
        for column in kind.columns
        if column.name != "timestamp"
    }
    sent = kind.struct(STAMP, **values)
    line = encode_lines([sent])
    assert line.count(b"\n") == 1
    assert decoder().decode_lines(line) == [sent]
    assert msgspec.json.decode(line)["type"] == kind.name


@pytest.mark.parametrize("line", [b'{"type":"load","timestamp":5}', b'{"type":"load","timestamp":1e300}', b"{}"])
def test_a_stamp_that_is_no_time_is_not_ours(line):
    with pytest.raises(msgspec.ValidationError):
        decoder().decode_lines(line)


@given(st.integers(-(2**63), 2**64 - 1))
def test_unsigned_values_keep_their_bits(value):
    assert wrap_u64(value) % 2**64 == value % 2**64
    assert -(2**63) <= wrap_u64(value) < 2**63
    assert unwrap_u64(wrap_u64(value)) == value % 2**64


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1])
def test_what_does_not_fit_64_bits_is_refused(value):
    with pytest.raises(ValueError, match="64 bits"):
        wrap_u64(value)


@pytest.fixture
def unregistered(monkeypatch):
    """Declarations made in a test are forgotten after it."""
    kinds = Registry("kind", "kernelsight.events")
    for name, kind in declare.KINDS.declared.items():
        kinds.add(name, kind)
    monkeypatch.setattr(declare, "KINDS", kinds)


@pytest.mark.usefixtures("unregistered")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"table": "load_metrics"}, "declared twice"),
        ({"table": "t", "entity": ("device",)}, "no column 'device'"),
        ({"table": "t", "indexes": (("size", "nothing"),)}, "no column 'nothing'"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(options, said):
    with pytest.raises(TypeError, match=said):

        @event(source="here", **options)
        class Wrong(Event, tag="wrong"):
            """Something."""

            size: Annotated[Int | None, Gauge("B")] = None


@pytest.mark.usefixtures("unregistered")
def test_a_column_says_what_it_is():
    with pytest.raises(TypeError, match="must be one of Counter, Gauge, Delta, Label"):

        @event(table="t", source="here")
        class Vague(Event, tag="vague"):
            """Something."""

            size: Int | None = None
