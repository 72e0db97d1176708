"""An array of events, however it is spread over lines, is its events."""

import json
from collections import Counter
from pathlib import Path

import pytest
from stored import ingest
from test_decode import FOREIGN, LOAD, outcome

CASES = Path(__file__).parents[1] / "fixtures" / "cases"
OBJECTS = [json.loads(LOAD), json.loads(FOREIGN), {"ts": 1795000000, "load1": 0.5, "x": {"y": [1, {"z": 2}]}}]
ONE_A_LINE = list(map(json.dumps, OBJECTS))


@pytest.mark.parametrize(("name", "count"), [("json_array_on_one_line", 2), ("json_array_one_object_a_line", 3)])
def test_each_element_of_a_case_is_a_row(name, count):
    result = ingest(CASES.joinpath(f"{name}.json").read_bytes())
    assert not result.rejected
    assert sorted(dict(columns)["pid"] for _, columns in result.rows) == [101, 102, 103][:count]
    assert result.total == {"lines": count, "stored": count, "rejected": 0, "dropped": 0, "in_memory": 0}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(OBJECTS),
        json.dumps(OBJECTS, indent=2),
        json.dumps(OBJECTS, indent="\t"),
        "[\n" + ",\n".join(ONE_A_LINE) + "\n]\n",
        "[" + ",\n".join(ONE_A_LINE) + "]",
        "[ " + "\n, ".join(ONE_A_LINE) + "\n]",
        '[{\n"ts":1795000000,"load1":1\n}, {\n"ts":1795000000,"load1":2}, {"ts":1795000000,"load1":3}]',
        json.dumps({"metrics": OBJECTS}),
        "\r\n".join(["[", ",\r\n".join(ONE_A_LINE), "]", ""]),
        "".join(f"\x1e{line}\n" for line in ONE_A_LINE),
        "".join(f"\x1e{json.dumps(line, indent=1)}\n" for line in OBJECTS),
    ],
)
def test_an_array_in_every_layout(text):
    rows, refused, accounts = outcome([text.encode()])
    assert (rows.total(), refused) == (3, [])
    lines = text.count("\n") + (not text.endswith("\n"))
    assert lines == accounts.total().lines + accounts.blank + accounts.joined - accounts.shared


@pytest.mark.parametrize(
    ("text", "stored", "refused"),
    [
        ("[1,2]", 0, ["not an object"]),
        ("[]", 0, ["not an object"]),
        ("[[" + ONE_A_LINE[0] + "]]", 0, ["not an object"]),
        ("[" + ONE_A_LINE[0] + ",5]", 1, ["not an object"]),
        ("[" + ONE_A_LINE[0] + ",nonsense]", 1, ["not JSON"]),
        ('[\n{"ts":1,\n' + ONE_A_LINE[1] + ",\nnonsense\n" + ONE_A_LINE[0], 2, ["not JSON", "not JSON"]),
        ("[\n]\n]", 0, ["not JSON"]),
        ("[\n" + ONE_A_LINE[0] + "\n]\n,", 1, ["not JSON"]),
    ],
)
def test_what_is_wrong_in_an_array_costs_nothing_else(text, stored, refused):
    rows, refusals, accounts = outcome([text.encode()])
    assert rows.total() == stored
    assert Counter(reason.split(":")[0] for _, reason, _, _ in refusals) == Counter(refused)
    lines = text.count("\n") + 1
    assert lines == accounts.total().lines + accounts.blank + accounts.joined - accounts.shared
