"""Whole streams, good and bad, into the real store; the expectations are made without the code under test."""

import json
import time
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stored import Result, ingest, row

NOW = 1_795_000_000_123_456_789
LOAD = b'{"type":"load","timestamp":%d,"load_1min":0.5}' % NOW
LOAD_ROW = row("load_metrics", timestamp=NOW, load_1min=0.5)


def balanced(result: Result) -> bool:
    accounts = [*result.books.values(), result.total]
    return all(a["lines"] == a["stored"] + a["rejected"] + a["dropped"] + a["in_memory"] for a in accounts)


def assert_kept(result: Result, stored: Counter, refused: int) -> None:
    assert result.code == 0
    assert balanced(result)
    assert result.rows == stored
    assert result.total["stored"] == stored.total()
    assert result.total["rejected"] == refused
    assert result.total["in_memory"] == result.total["dropped"] == 0


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (b"hello", "not JSON"),
        (b"[1,2]", "not an object"),
        (b"3", "not an object"),
        (LOAD[:20], "not JSON"),
        (LOAD[:-1] + b",", "not JSON"),
        (LOAD + b"}", "not JSON"),
        (LOAD + b" trailing", "not JSON"),
        (LOAD.replace(b"0.5", b"NaN"), "not JSON"),
        (LOAD.replace(b"0.5", b"-Infinity"), "not JSON"),
        (LOAD.replace(b"0.5", b"1e999"), "number out of range"),
        (LOAD.replace(b"0.5", b'"\xff\xfe"'), "not UTF-8"),
        (LOAD.replace(b"0.5", b"\x00"), "not JSON"),
        (b"\x00" * 50, "not JSON"),
        (LOAD.replace(b"load_1min", b"last_pid").replace(b"0.5", b"9223372036854775808"), "wrong value"),
        (LOAD.replace(b"load_1min", b"last_pid").replace(b"0.5", b"9" * 5000), "number out of range"),
        (LOAD.replace(b"0.5", b"true"), "wrong value"),
        (LOAD.replace(b"0.5", b'{"a":1}'), "unknown kind"),
        (b'{"type":"syscall","timestamp":%d,"latency_ns":1,"comm":"\\ud800"}' % NOW, "not JSON"),
        (b'{"type":"syscall","timestamp":%d,"latency_ns":1,"comm":"\\udc00 x"}' % NOW, "not JSON"),
        (b'{"type":"toaster","timestamp":%d,"crumbs":1}' % NOW, "unknown kind"),
        (b'{"type":"load","load_1min":1}', "no timestamp"),
        (b"[" * 1_000_000, "nested too deeply"),
        (b'{"a":' * 150_000 + b"1" + b"}" * 150_000, "nested too deeply"),
    ],
)
def test_a_bad_line_is_refused_with_its_reason_and_costs_nothing_else(damage, reason):
    result = ingest(LOAD + b"\n" + damage + b"\n" + LOAD + b"\n")
    assert_kept(result, Counter({LOAD_ROW: 2}), refused=1)
    [(_, why, raw, size)] = result.rejected
    assert why.startswith(reason)
    assert size == len(damage)
    assert (raw.encode() if isinstance(raw, str) else raw) == damage[:1024]
    assert reason in result.log


@pytest.mark.parametrize(
    "stream",
    [
        LOAD,
        LOAD + b"\r\n",
        b"\xef\xbb\xbf" + LOAD + b"\n",
        b"\n \n\r\n" + LOAD + b"\n\n",
        LOAD.replace(b",", b",\n  "),
        LOAD.replace(b",", b",\r\n\r\n\t") + b"\r\n",
        b"{\n" + LOAD[1:-1].replace(b",", b",\n") + b"\n}\n",
        LOAD.replace(b'"type":"load",', b'"type":"loadavg", "extra": {"\\u007b": ["}"]},'),
        b'{"type":"loadavg",\n"timestamp":%d,\n"data":{\n"load_1min":0.5\n}\n}\n' % NOW,
        LOAD.replace(b"0.5", b"7,").replace(b",}", b',"load_1min":0.5}'),
    ],
    ids=[
        "no newline",
        "CRLF",
        "BOM",
        "blank",
        "spread",
        "spread CRLF",
        "pretty",
        "brackets",
        "foreign",
        "duplicate key",
    ],
)
def test_one_event_however_it_is_laid_out(stream):
    assert_kept(ingest(stream), Counter({LOAD_ROW: 1}), refused=0)


@pytest.mark.parametrize(
    "damage", [b'{"type":"load",', b'{"type":"load",\n"timestamp":1', b'{"a":[', b"{\nlost\n", b'{"a":1,\n"b'], ids=repr
)
def test_a_damaged_beginning_of_a_spread_object_costs_no_object_after_it(damage):
    spread = LOAD.replace(b",", b",\n")
    assert_kept(ingest(damage + b"\n" + LOAD + b"\n" + spread), Counter({LOAD_ROW: 2}), refused=1)
    assert_kept(ingest(damage + b"\n" + spread), Counter({LOAD_ROW: 1}), refused=1)
    assert_kept(ingest(LOAD + b"\n" + damage), Counter({LOAD_ROW: 1}), refused=1)


def test_an_object_that_never_ends_is_given_up_at_a_bound():
    result = ingest(b'{"a":1,\n' + b'"b":2,\n' * 10_000 + LOAD + b"\n")
    assert balanced(result)
    assert result.rows == Counter({LOAD_ROW: 1})


def test_objects_that_share_a_line_are_told_apart():
    foreign = LOAD.replace(b'"type":"load",', b"")
    result = ingest(LOAD + LOAD + b" " + LOAD + b"\n" + foreign + LOAD + b'{"x":1}\n' + LOAD + b'{"a')
    assert_kept(result, Counter({LOAD_ROW: 6}), refused=2)


def test_text_of_a_process_is_stored_as_it_is_whatever_it_says():
    comms = ['"', "x'); DROP TABLE syscall_events; --", "a\nb\r", "\0nul\0", "\u2028\ud83d\ude00", "%s{}\\", ""]
    comms = [comm.encode("utf-16", "surrogatepass").decode("utf-16") for comm in comms]
    lines = [json.dumps({"type": "syscall", "timestamp": NOW, "latency_ns": 1, "comm": comm}) for comm in comms]
    result = ingest("\n".join(lines).encode())
    assert_kept(result, Counter(row("syscall_events", timestamp=NOW, latency_ns=1, comm=c) for c in comms), refused=0)


def test_a_flood_of_bad_lines_is_counted_and_only_a_part_kept_and_told():
    result = ingest(b"x\n" * 300_000 + LOAD)
    assert_kept(result, Counter({LOAD_ROW: 1}), refused=300_000)
    assert 0 < len(result.rejected) <= 10_000
    assert len(result.log) < 10_000


# --- any stream, made of pieces whose fate is known -------------------------------------------------


@dataclass(frozen=True)
class Piece:
    """Some lines, and what must become of them."""

    text: bytes
    stored: Counter = field(default_factory=Counter)
    refused: int = 0


int64 = st.integers(-(2**63), 2**63 - 1)
reals = st.floats(allow_nan=False, allow_infinity=False)
# A lone surrogate has no UTF-8; JSON text cannot hold it.
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@st.composite
def own_syscall(draw) -> Piece:
    columns = {"timestamp": draw(st.integers(10**18, 2**63 - 1)), "latency_ns": draw(int64), "comm": draw(text)}
    columns |= draw(st.fixed_dictionaries({}, optional={"pid": int64, "is_error": st.booleans(), "ret_value": int64}))
    line = json.dumps({"type": "syscall", **columns}, ensure_ascii=draw(st.booleans()))
    return Piece(line.encode(), Counter([row("syscall_events", **columns)]))


@st.composite
def own_load_spread(draw) -> Piece:
    columns = {"timestamp": draw(st.integers(10**18, 2**63 - 1)), "load_1min": draw(reals)}
    line = json.dumps({"type": "load", **columns}, indent=draw(st.sampled_from([0, 1, 4])))
    return Piece(line.encode(), Counter([row("load_metrics", **columns)]))


@st.composite
def foreign_fault(draw) -> Piece:
    seconds, address = int(time.time()) - draw(st.integers(0, 20)), draw(st.integers(0, 2**64 - 1))
    micros, major = draw(st.integers(0, 2**31)), draw(st.booleans())
    line = {"ts": seconds, "addr": hex(address), "latency_us": micros, "is_major": major, "weather": draw(text)}
    stored = row(
        "page_fault_events",
        timestamp=seconds * 10**9,
        address=address - 2**64 if address >= 2**63 else address,
        latency_ns=micros * 1000,
        fault_type="major" if major else "minor",
    )
    return Piece(json.dumps(line).encode(), Counter([stored]))


@st.composite
def nested_block(draw) -> Piece:
    stamp, ios, device = draw(st.integers(10**18, 2**63 - 1)), draw(int64), draw(text)
    line = {"timestamp": stamp, "type": "blockstats", "device": device, "data": {"read_ios": ios, "io_ticks_ms": 0}}
    known = {"read_ios": ios} if ios >= 0 else {}  # a counter below zero is no count: it is stored as NULL
    stored = row("block_stats", timestamp=stamp, device_name=device, io_ticks=0, **known)
    return Piece(json.dumps(line).encode(), Counter([stored]))


def is_json(line: bytes) -> bool:
    try:
        json.loads(line.decode())
    except (ValueError, RecursionError):
        return False
    return True


FEW = settings.default.max_examples // 3
"""Each example is a store of its own."""

# Without brackets a line neither begins an object or an array nor shares its line with one.
garbage = st.binary(min_size=1, max_size=60).map(lambda data: data.translate(None, b"\n{[]"))
refused = garbage.filter(lambda line: line.removeprefix(b"\xef\xbb\xbf").strip(b" \t\r")).map(
    lambda line: Piece(line, refused=1)
)
blank = st.sampled_from([b"", b" ", b"\t", b"\r"]).map(Piece)
pieces = st.one_of(own_syscall(), own_load_spread(), foreign_fault(), nested_block(), refused, blank)


@settings(max_examples=FEW)
@given(st.lists(pieces, max_size=30), st.sampled_from([b"\n", b"\r\n"]), st.booleans(), st.integers(1, 200))
def test_any_mixture_is_stored_and_refused_exactly(stream, newline, ends, batch_size):
    from kernelsight.ingest.daemon import Settings

    data = newline.join(piece.text for piece in stream) + (newline if ends else b"")
    result = ingest(data, Settings(batch_size=batch_size))
    expected = sum((piece.stored for piece in stream), Counter())
    assert_kept(result, expected, sum(piece.refused for piece in stream))


@settings(max_examples=FEW)
@given(
    st.lists(st.binary(max_size=80) | st.sampled_from([LOAD, LOAD[:30], b"{", b"}", b"\n", b'"', b"[{"]), max_size=40)
)
def test_arbitrary_bytes_never_stop_it_and_nothing_is_stored_that_was_not_written(parts):
    data = b"".join(parts)
    result = ingest(data)
    assert result.code == 0
    assert balanced(result)
    assert result.total["stored"] == result.rows.total()
    # Every row must be an event that stands in the bytes, white space between its fields aside.
    assert set(result.rows) <= {LOAD_ROW}
    assert result.rows[LOAD_ROW] <= b"".join(data.split()).count(LOAD)
