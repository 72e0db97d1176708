"""Lines of collectors that are not ours, in their own words."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelsight.events import wire
from kernelsight.events.declare import kind_of
from kernelsight.ingest.foreign import UnusableLineError, translate
from kernelsight.ingest.times import Clocks

NOW = 1_795_000_000_123_456_789
UPTIME = 3 * 86_400 * 10**9
CLOCKS = Clocks(now=NOW, boot=UPTIME, monotonic=UPTIME)


def read(line: dict) -> tuple[str, dict]:
    """Kind and columns that are not NULL, by way of JSON as a line would come."""
    event = translate(json.loads(json.dumps(line)), CLOCKS).event
    columns = {name: value for name, value in msgspec.structs.asdict(event).items() if value is not None}
    assert columns.pop("timestamp") > 10**18
    return kind_of(type(event)).name, columns


def refusal(line: object) -> UnusableLineError:
    with pytest.raises(UnusableLineError) as caught:
        translate(line, CLOCKS)
    return caught.value


def test_meminfo_nested_under_data():
    line = {"timestamp": NOW, "type": "meminfo", "data": {"mem_total_kb": 16, "mem_free_kb": 0, "dirty_kb": 3}}
    assert read(line) == ("memory", {"mem_total_kb": 16, "mem_free_kb": 0, "dirty_kb": 3})


def test_blockstats_with_the_device_beside_data():
    data = {"read_ios": 1, "read_ticks_ms": 2, "write_ticks_ms": 0, "io_ticks_ms": 3, "time_in_queue_ms": 4}
    kind, columns = read({"timestamp": NOW, "type": "blockstats", "device": "sda", "data": data})
    assert kind == "block"
    assert columns == {
        "device_name": "sda",
        "read_ios": 1,
        "read_ticks": 2,
        "write_ticks": 0,
        "io_ticks": 3,
        "time_in_queue": 4,
    }


def test_net_interface_with_the_interface_beside_data():
    line = {"timestamp": NOW, "type": "net_interface", "interface": "eth0", "data": {"rx_bytes": 1, "tx_drops": 0}}
    assert read(line) == ("network", {"interface_name": "eth0", "rx_bytes": 1, "tx_drops": 0})


def test_the_name_of_a_device_or_interface_may_be_called_that():
    assert read({"timestamp": NOW, "type": "net_interface", "name": "eth0", "stats": {"rx_bytes": 1}}) == (
        "network",
        {"interface_name": "eth0", "rx_bytes": 1},
    )
    assert read({"timestamp": NOW, "type": "blockstats", "name": "sda", "data": {"read_ios": 1}}) == (
        "block",
        {"device_name": "sda", "read_ios": 1},
    )


@pytest.mark.parametrize(
    ("name", "value", "column", "stored"),
    [
        ("read_p50_ns", 1500, "read_p50_us", 1.5),
        ("read_p50_ms", 1.5, "read_p50_us", 1500.0),
        ("write_p99_s", 0.25, "write_p99_us", 250_000.0),
    ],
)
def test_a_name_may_end_in_another_unit_of_time(name, value, column, stored):
    assert read({"timestamp": NOW, "type": "io", name: value}) == ("io_latency", {column: stored})
    way, _, rest = name.partition("_")
    assert read({"timestamp": NOW, way: {rest: value}}) == ("io_latency", {column: stored})


def test_seconds_of_a_slow_call():
    assert read({"timestamp": NOW, "syscall": 1, "latency_s": 0.0155})[1]["latency_ns"] == 15_500_000


@pytest.mark.parametrize(
    ("word", "data", "kind"),
    [
        ("loadavg", {"load_1min": 0.5, "running_processes": 2}, "load"),
        ("tcp_stats", {"established": 1, "time_wait": 0}, "tcp"),
        ("tcp_retransmits", {"retrans_segs": 7}, "tcp_retransmit"),
    ],
)
def test_other_nested_samples(word, data, kind):
    assert read({"timestamp": NOW, "type": word, "data": data}) == (kind, data)


PAGE_FAULT = {
    "timestamp": UPTIME - 1_000,
    "time_str": "12:34:56",
    "pid": 10,
    "tid": 11,
    "comm": "worker",
    "address": "0xffff888000001000",
    "latency_ns": 1_499,
    "latency_us": 1.5,
    "cpu": 0,
    "is_major": True,
    "is_write": False,
    "is_kernel": False,
    "is_instruction": False,
    "type": "pagefault",
}


def test_page_fault_of_a_tracer_that_counts_from_boot():
    translated = translate(PAGE_FAULT, CLOCKS)
    assert translated.event.timestamp == NOW - 1_000
    assert not translated.ignored
    kind, columns = read(PAGE_FAULT)
    assert kind == "page_fault"
    assert columns == {
        "pid": 10,
        "tid": 11,
        "cpu": 0,
        "address": 0xFFFF888000001000 - 2**64,
        "latency_ns": 1_499,
        "fault_type": "major",
        "access_type": "read",
        "user_mode": True,
        "comm": "worker",
    }


@pytest.mark.parametrize(
    ("flags", "columns"),
    [
        ({"is_major": 0}, {"fault_type": "minor"}),
        ({"is_write": 1, "is_instruction": 0}, {"access_type": "write"}),
        ({"is_write": False, "is_instruction": True}, {"access_type": "exec"}),
        ({"is_instruction": False}, {}),
        ({"is_kernel": True}, {"user_mode": False}),
        ({"fault_type": "MAJOR", "is_major": False}, {"fault_type": "major"}),
    ],
)
def test_yes_and_no_become_the_words_of_the_columns(flags, columns):
    kind, read_columns = read({"timestamp": NOW, "type": "pagefault", "latency_ns": 5, **flags})
    assert (kind, read_columns) == ("page_fault", {"latency_ns": 5, **columns})


def test_two_kinds_share_a_word_and_the_fields_decide():
    sums = {
        "pid": 5,
        "comm": "x",
        "context_switches": 3,
        "voluntary_switches": 1,
        "involuntary_switches": 2,
        "wakeups": 0,
        "cpu_time_ms": 1.2,
        "avg_timeslice_us": 7.0,
    }
    assert read({"time_bucket": NOW // 10**9, "type": "sched", **sums}) == ("sched_process", sums)
    wait = {"pid": 5, "tid": 5, "cpu": 0, "latency_ns": 9, "prev_state": 0, "next_pid": 5}
    assert read({"timestamp_ms": NOW // 10**6, "type": "sched", **wait}) == ("sched", wait)
    assert read({"ts": NOW, "type": "sched", "pid": 5, "wakeups": 0})[0] == "sched_process"
    assert read({"ts": NOW, "type": "sched", "pid": 5, "latency_us": 2})[0] == "sched"


def test_io_percentiles_flat_and_nested():
    flat = {"read_count": 0, "read_p50_us": 2.5, "write_max_us": 9.0}
    line = {"timestamp": NOW, "time_str": "x", "interval_seconds": 1, "type": "io", **flat}
    assert read(line) == ("io_latency", flat)
    nested = {"timestamp": NOW, "read": {"count": 0, "p50_us": 2.5}, "write": {"max_us": 9.0}}
    assert read(nested) == ("io_latency", flat)


def test_a_syscall_without_type():
    line = {
        "timestamp": UPTIME - 5,
        "pid": 1,
        "tid": 2,
        "cpu": 0,
        "uid": 0,
        "syscall": 1,
        "syscall_name": "write",
        "latency_ms": 15.5,
        "ret_value": -1,
        "is_error": False,
        "arg0": 2**64 - 1,
        "comm": "x",
    }
    kind, columns = read(line)
    assert kind == "syscall"
    assert columns == {
        "pid": 1,
        "tid": 2,
        "cpu": 0,
        "uid": 0,
        "syscall_nr": 1,
        "syscall_name": "write",
        "latency_ns": 15_500_000,
        "ret_value": -1,
        "is_error": False,
        "arg0": -1,
        "comm": "x",
    }


def test_partial_events_are_identified_by_what_they_have():
    assert read({"timestamp": NOW, "syscall": 1, "latency_ms": 15.5}) == (
        "syscall",
        {"syscall_nr": 1, "latency_ns": 15_500_000},
    )
    assert read({"timestamp": NOW, "read_count": 100, "read_p50_us": 1.5}) == (
        "io_latency",
        {"read_count": 100, "read_p50_us": 1.5},
    )
    assert read({"timestamp": NOW, "syscall": "read", "latency_us": "3"})[1] == {
        "syscall_name": "read",
        "latency_ns": 3_000,
    }


def test_event_type_is_another_word_for_type():
    assert read({"timestamp": NOW, "event_type": "Load-Average", "load1": 1}) == ("load", {"load_1min": 1.0})


def test_a_word_that_the_fields_contradict_is_wrong():
    assert read({"timestamp": NOW, "type": "memory", "syscall": 1, "latency_ms": 1})[0] == "syscall"
    assert read({"timestamp": NOW, "type": "never heard of", "mem_total_kb": 0})[0] == "memory"


def test_nanoseconds_win_over_coarser_units():
    line = {"timestamp": NOW, "syscall": 1, "latency_ms": 1, "latency_us": 2, "latency_ns": 3}
    assert read(line)[1]["latency_ns"] == 3
    del line["latency_ns"]
    assert read(line)[1]["latency_ns"] == 2_000


@pytest.mark.parametrize(
    ("line", "kind", "reason"),
    [
        ([1], "unknown", "not an object"),
        ({"timestamp": NOW}, "unknown", "unknown kind"),
        ({"timestamp": NOW, "type": "toaster", "crumbs": 3}, "unknown", "unknown kind"),
        ({"timestamp": NOW, "type": "memory"}, "unknown", "unknown kind"),
        ({"timestamp": NOW, "type": "block", "device": "sda", "reads_completed": 7}, "block", "only labels"),
        ({"timestamp": NOW, "type": "net", "interface": "eth0", "receive": {"bytes": 7}}, "network", "only labels"),
        (
            {"timestamp": NOW, "type": "connect", "saddr": "a", "daddr": "b", "sport": 1, "dport": 2},
            "unknown",
            "unknown",
        ),
        ({"timestamp": NOW, "read_p50_us": 1, "load_1min": 1}, "unknown", "ambiguous kind"),
        ({"load_1min": 1}, "load", "no timestamp"),
        ({"timestamp": "soon", "load_1min": 1}, "load", "timestamp is not a time"),
        ({"timestamp": NOW, "load_1min": "high"}, "load", "wrong value: load_1min"),
        ({"timestamp": NOW, "mem_total_kb": 1.5}, "memory", "wrong value: mem_total_kb"),
        ({"timestamp": NOW, "mem_total_kb": True}, "memory", "wrong value: mem_total_kb"),
        ({"timestamp": NOW, "mem_total_kb": 2**63}, "memory", "wrong value: mem_total_kb"),
        ({"timestamp": NOW, "mem_total_kb": 1e18}, "memory", "wrong value: mem_total_kb"),
        ({"timestamp": NOW, "mem_total_kb": [1]}, "memory", "wrong value: mem_total_kb"),
        ({"timestamp": NOW, "type": "block", "device": 7, "read_ios": 1}, "block", "wrong value: device_name"),
        ({"timestamp": NOW, "type": "pagefault", "fault_type": "huge"}, "page_fault", "wrong value: fault_type"),
        ({"timestamp": NOW, "type": "syscall", "latency_ms": 1e300}, "syscall", "wrong value: latency_ns"),
        ({"timestamp": NOW, "syscall_name": "x" * 70_000, "latency_ns": 1}, "syscall", "wrong value: syscall_name"),
        ({"timestamp": NOW, "device": "sda", "data": {"device": "sdb", "read_ios": 1}}, "unknown", "contradictory"),
        ({"timestamp": NOW, "data": {"data": {"data": {"data": {"data": {"load_1min": 1}}}}}}, "unknown", "nested"),
    ],
)
def test_what_cannot_be_told_is_refused_and_never_guessed(line, kind, reason):
    error = refusal(line)
    assert error.kind == kind
    assert reason in str(error)


def test_unknown_fields_are_ignored_and_counted():
    assert translate({"timestamp": NOW, "load_1min": 1, "weather": "fine", "host": {"name": "x"}}, CLOCKS).ignored == 2


def test_null_is_missing_and_zero_is_not():
    assert read({"timestamp": NOW, "load_1min": 0, "load_5min": None}) == ("load", {"load_1min": 0.0})


def test_text_is_stored_as_it_is():
    comm = "x'); DROP TABLE syscall_events; --\n\"\t\0\u202e"
    assert read({"timestamp": NOW, "syscall": 0, "latency_ns": 0, "comm": comm})[1]["comm"] == comm


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
known_names = st.sampled_from(
    sorted({c.name for kind in wire.kinds().values() for c in kind.columns} | {"type", "data"})
)
known_words = st.sampled_from(sorted({word for k in wire.kinds().values() for word in (k.name, *k.foreign)}))


@given(st.dictionaries(known_names | st.text(max_size=8), json_values | known_words, max_size=8), st.booleans())
def test_any_object_is_translated_or_refused_and_every_value_is_one_of_its_own(line, stamped):
    if stamped:
        line["timestamp"] = NOW
    try:
        event = translate(line, CLOCKS).event
    except UnusableLineError:
        return
    assert event == wire.decoder().decode(wire.encode_lines([event]))


@given(st.sampled_from(sorted(wire.kinds())), st.data())
def test_our_own_fields_with_a_stamp_in_seconds_land_in_our_own_kind(name, data):
    kind = wire.kinds()[name]
    example = {"INTEGER": 1, "REAL": 0.5, "TEXT": "x", "BOOLEAN": False}
    every = {c.name: (c.choices[0] if c.choices else example[c.type]) for c in kind.columns[1:]}
    kept = data.draw(st.sets(st.sampled_from(sorted(every)), min_size=1))
    fields = {column: value for column, value in every.items() if column in kept}
    assert read({"type": name, "timestamp": NOW // 10**9, **fields}) == (name, fields)


@pytest.mark.parametrize(
    ("fields", "column"),
    [
        ({"type": "block", "device_name": "vda", "in_flight": 2**32 - 1, "read_ios": 5}, "in_flight"),
        ({"type": "block", "device_name": "vda", "in_flight": 2**31, "read_ios": 5}, "in_flight"),
        (
            {"type": "cgroup", "cgroup": "/a", "memory_current_bytes": 2**64 - 4096, "cpu_usage_us": 5},
            "memory_current_bytes",
        ),
        ({"type": "cgroup", "cgroup": "/a", "cpu_usage_us": 2**64 - 1, "memory_current_bytes": 5}, "cpu_usage_us"),
        ({"type": "udp_socket", "address": "::", "port": 5, "drops": -1, "receive_queue_bytes": 0}, "drops"),
        ({"type": "meminfo", "MemTotal": 5, "MemFree": "18446744073709551612"}, "mem_free_kb"),
    ],
)
def test_what_fell_below_zero_is_null_and_the_rest_of_its_line_is_kept(fields, column):
    found = translate({"timestamp": NOW, **fields}, CLOCKS)
    assert getattr(found.event, column) is None
    assert found.below_zero == 1
    assert 5 in [getattr(found.event, name) for name in found.kind.column_names]


def test_a_count_of_32_bits_may_be_in_the_upper_half_of_them():
    found = translate({"timestamp": NOW, "type": "block", "device": "vda", "io_ticks": 2**32 - 2}, CLOCKS)
    assert found.event.io_ticks == 2**32 - 2
    assert found.below_zero == 0
