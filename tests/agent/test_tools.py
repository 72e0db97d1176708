"""Tools: their descriptions, what they find, and numbers that can be cited."""

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scenes import SECOND, START, stored, used
from server import check_schema
from story import WINDOW

from kernelsight.agent.claims import Answer
from kernelsight.agent.evidence import Citations, proof, shown_by
from kernelsight.agent.schema import schema_of
from kernelsight.agent.tool import Desk, call, tools
from kernelsight.diagnosis.check import wrong_with
from kernelsight.diagnosis.measure import measured
from kernelsight.errors import UsageError
from kernelsight.events.block import Block
from kernelsight.query.source import opened
from kernelsight.query.stored import stored_rows, with_id
from kernelsight.query.times import TimeRange


@pytest.mark.parametrize("name", tools())
def test_a_tool_says_what_it_does_and_what_it_takes(name):
    one = tools()[name]
    assert one.description
    check_schema(one.schema)
    assert one.schema["additionalProperties"] is False
    for argument in one.schema["properties"].values():
        assert argument["description"]


def test_the_answer_has_a_schema_that_a_model_understands():
    schema = schema_of(Answer)
    check_schema(schema)
    finding = schema["properties"]["findings"]["items"]["properties"]
    assert "cpu_saturation" in finding["fault"]["enum"]
    assert finding["culprit"]["properties"]["kind"]["enum"]


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("tables", {}, lambda found: [one["table"] for one in found["tables"]] == ["cpu_stats", "sched_process_stats"]),
        ("columns", {"table": "block"}, lambda found: "512 B sectors" in str(found)),
        ("rows", {"table": "sched_process", "where": ["comm=web"], "limit": 3}, lambda found: len(found["rows"]) == 3),
        ("top", {"table": "sched_process", "metric": "cpu_time_ms", "by": ["comm"]},
         lambda found: [(one["comm"], one["value"]) for one in found["top"]] == [("crunch", 54000), ("web", 3000)]),
        ("series", {"table": "sched_process", "metric": "cpu_time_ms", "where": ["pid=70"], "points": 4},
         lambda found: found["series"][0]["points"][0] == ["2026-09-21T14:13:20.000000007Z", 900]),
        ("aggregate", {"table": "sched_process", "metric": "cpu_time_ms", "interval": "10s", "functions": ["sum"]},
         lambda found: [one["sum"] for one in found["intervals"]] == [19000, 19000, 19000]),
        ("correlate", {"a": "sched_process.cpu_time_ms", "b": "sched_process.runqueue_ms"},
         lambda found: found["groups"][0]["pairs"] == 90),
        ("signals", {}, lambda found: found["signals"][0]["rule"]),
        ("anomalies", {}, lambda found: found["incidents"] == []),
        ("diagnose", {}, lambda found: found["findings"][0]["path"][0]["evidence"][0]["ref"] == "e1"),
        ("prove", {"table": "sched_process", "metric": "cpu_time_ms", "how": "max", "where": ["pid=12"]},
         lambda found: (found["ref"], found["value"], found["rows"]) == ("e1", 100, 1)),
        ("around", {"time": "2026-09-21 14:13:30Z"},
         lambda found: found["tables"][0]["table"] == "sched_process_stats"),
        ("doctor", {}, lambda found: found["machine"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_a_tool_finds(path, name, arguments, expected):
    found = call(Desk(path, WINDOW), name, arguments)
    assert expected(found), found


def test_what_changed_is_found_between_two_times(path):
    desk = Desk(path, TimeRange(START, START + 9 * SECOND))
    before = {"before_since": "2026-09-21 14:12:00Z", "before_until": "2026-09-21 14:13:00Z"}
    assert call(desk, "compare", before)["changed"][0]["metric"] == "cpu_time_ms"


@pytest.mark.parametrize("how", ["sum", "increase", "mean", "max", "min", "last", "slope", "count"])
def test_a_number_cites_no_more_rows_than_show_it(tmp_path, how):
    values = [5, 9, 14, 2, 7, 30, 30, 1, 4]
    events = [Block(START + second * SECOND, device_name="vda", io_ticks=value) for second, value in enumerate(values)]
    path = stored(tmp_path / "db", events)
    evidence = proof(path, "block", "io_ticks", how, WINDOW, ["device_name=vda"])
    with opened(path) as reader:
        assert evidence.value == measured(how, Block.io_ticks, stored_rows(reader, Block, WINDOW))
    with opened(path) as reader:
        assert wrong_with(reader, evidence) == ""
    if how in {"max", "min", "last"}:
        assert len(evidence.row_ids) == 1


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=50))
def test_an_increase_is_the_same_without_the_rows_between_resets(values):
    from kernelsight.agent.evidence import _thinned

    row = with_id(Block)
    rows = [row(i * SECOND, device_name="vda", io_ticks=value, id=i) for i, value in enumerate(values)]
    kept = _thinned(rows, Block.io_ticks, "increase")
    assert len(kept) <= len(rows)
    assert shown_by(kept, Block.io_ticks, "increase").value == shown_by(rows, Block.io_ticks, "increase").value


def test_what_a_level_grew_by_is_no_question(tmp_path):
    path = stored(tmp_path / "db", [Block(START, device_name="vda", in_flight=3)])
    with pytest.raises(UsageError, match="in_flight is no counter"):
        proof(path, "block", "in_flight", "increase", WINDOW)


def test_what_a_counter_grew_by_is_asked_of_one_series(tmp_path):
    events = [Block(START + second * SECOND, device_name=name, io_ticks=second) for second in range(3) for name in "ab"]
    path = stored(tmp_path / "db", events)
    with pytest.raises(UsageError, match="pick one by device_name"):
        proof(path, "block", "io_ticks", "increase", WINDOW)
    assert proof(path, "block", "io_ticks", "increase", WINDOW, {"device_name": "a"}).value == 2


def test_more_rows_than_can_be_cited_are_refused(tmp_path):
    events = [event for pid in range(100) for event in used(pid, "many", 1, 1)]
    path = stored(tmp_path / "db", events)
    with pytest.raises(UsageError, match="narrow the time"):
        proof(path, "sched_process", "cpu_time_ms", "sum", WINDOW)
    assert proof(path, "sched_process", "cpu_time_ms", "sum", WINDOW, {"pid": 5}).value == 30


@pytest.mark.parametrize("name", ["", "e", "e0", "e2", "e-1", "1", "E1", "e1 ", "e٣", "e" + "9" * 5000])
def test_only_what_was_handed_out_can_be_cited(name):
    ledger = Citations()
    evidence = shown_by([with_id(Block)(1, in_flight=1, id=1)], Block.in_flight, "last")
    assert ledger.enter(evidence) == "e1"
    assert ledger.enter(evidence) == "e1"
    assert ledger.find("e1") == evidence
    assert ledger.find(name) is None


WORDS = st.sampled_from(
    ["sched_process", "cpu_time_ms", "comm", "pid", "timestamp", "id", "now", "1s", "0s", "-1", "9" * 5000, "1e999",
     "comm=web", "pid>=0x10", "comm like %", "2026-09-21 14:13:20Z", "2026-13-01 00:00Z", "p99", "p1000", "sum", ""]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


PROPERTIES = {name: sorted(one.schema["properties"]) for name, one in tools().items() if name != "doctor"}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # how long it takes is the machine's business
@given(st.data())
def test_whatever_a_model_asks_for_it_is_told_or_refused(path, data):
    name = data.draw(st.sampled_from(sorted(PROPERTIES)))
    arguments = {argument: data.draw(VALUES | WORDS) for argument in PROPERTIES[name]}
    kept = data.draw(st.sets(st.sampled_from(sorted(arguments)))) if arguments else set()
    with contextlib.suppress(UsageError):
        found = call(Desk(path, WINDOW), name, {argument: arguments[argument] for argument in kept})
        assert isinstance(found, dict)
