"""How a stream is cut into reads makes no difference, and every line of it is counted."""

from collections import Counter
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernelsight.events.cgroup import Cgroup
from kernelsight.events.clock import ClockStep
from kernelsight.events.collector import CollectorReport
from kernelsight.events.scheduler import Load
from kernelsight.events.wire import encode_lines
from kernelsight.ingest.accounts import Accounts
from kernelsight.ingest.decode import Decoded, LineDecoder
from kernelsight.ingest.lines import LONGEST_LINE, Cutter
from kernelsight.ingest.times import Clocks

NOW = 1_795_000_000_123_456_789
LOAD = b'{"type":"load","timestamp":%d,"load_1min":0.5}' % NOW
FOREIGN = b'{"ts":%d,"load1":0.25}' % (NOW // 10**9)


def outcome(reads: list[bytes]) -> tuple[Counter, list[tuple[str, str, bytes, int]], Accounts]:
    accounts = Accounts()
    decoder = LineDecoder(accounts)
    decoded: list[Decoded] = [decoder.feed(data) for data in reads] + [decoder.finish()]
    assert decoder.waiting_lines == 0
    assert not decoder.inside_line
    rows = Counter(row for part in decoded for rows in part.events.values() for row in rows)
    refused = [(r.kind, r.reason, r.raw, r.size) for part in decoded for r in part.rejected]
    assert sum(part.count for part in decoded) == rows.total() + len(refused) == accounts.total().lines
    return rows, refused, accounts


pieces = st.sampled_from(
    [
        LOAD,
        FOREIGN,
        LOAD.replace(b",", b",\n"),
        LOAD[:25],
        FOREIGN + LOAD,
        b"x",
        b"{",
        b"}",
        b'"',
        b"",
        b" ",
        b"\r",
        b"\n",
    ]
) | st.binary(max_size=12)
streams = st.lists(st.tuples(pieces, st.sampled_from([b"\n", b"\n", b"\r\n", b""])), max_size=40).map(
    lambda parts: b"".join(text + newline for text, newline in parts)
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(streams, st.lists(st.integers(0, 2000), max_size=12))
def test_reads_of_any_size_give_the_same(data, cuts):
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    reads = [data[start:end] for start, end in pairwise(places)]
    rows, refused, accounts = outcome([data])
    rows_cut, refused_cut, accounts_cut = outcome(reads)
    assert (rows_cut, refused_cut, accounts_cut.total()) == (rows, refused, accounts.total())


@given(streams)
def test_the_accounts_add_up_to_the_lines_of_the_input(data):
    _, _, accounts = outcome([data])
    lines = data.count(b"\n") + (not data.endswith(b"\n") and bool(data))
    assert lines == accounts.total().lines + accounts.blank + accounts.joined - accounts.shared
    assert accounts.bytes_read == len(data)


def test_a_line_beyond_the_bound_is_read_past_and_refused_with_its_beginning_and_size():
    start, size = b'{"type":"load","x":"', 5 * LONGEST_LINE
    reads = [start, *[b"a" * 65_536] * (size // 65_536), b'"}\n' + LOAD + b"\n"]
    rows, refused, _ = outcome(reads)
    assert rows.total() == 1
    [(kind, reason, raw, told)] = refused
    assert (kind, reason.split(":")[0]) == ("unknown", "line too long")
    assert raw.startswith(start)
    assert len(raw) == 1024
    assert told == len(start) + size + len(b'"}')


def test_a_line_beyond_the_bound_is_not_kept_in_memory():
    cutter = Cutter()
    for _ in range(100):
        assert cutter.feed(b"a" * 1_000_000) == b""
    assert cutter.waiting == 100_000_000
    assert len(cutter._tail) <= LONGEST_LINE


def test_our_own_lines_of_a_clock_that_was_never_set_are_stored_exactly():
    """From a machine without a battery: as they are, and not as somebody else's words."""
    now = Clocks(now=100 * 10**9, boot=101 * 10**9, monotonic=101 * 10**9)
    written = [
        Load(99 * 10**9, load_1min=0.5, last_pid=7),
        ClockStep(99 * 10**9 + 1, step_ns=-5, suspended_ns=0, before_ns=4, monotonic_ns=3),
        CollectorReport(99 * 10**9 + 2, name="load", status="running", events=3),
        Cgroup(946_684_800 * 10**9 + 1, cgroup="/a", cpu_usage_us=2**40, memory_current_bytes=0),
    ]
    accounts = Accounts()
    decoded = LineDecoder(accounts, lambda: now).feed(encode_lines(written))
    assert [type(event)(*row) for event in written for row in decoded.events[type(event)]] == written
    assert accounts.total().rejected == accounts.arrivals == 0
