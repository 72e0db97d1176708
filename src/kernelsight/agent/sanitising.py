"""What telemetry says, made into data for a model: bounded, escaped, and with nothing that loses digits on the way.

Names of processes, paths and interfaces are chosen by whoever runs them. They reach a model only as values within
the result of a tool, with everything that is not printable escaped, and never as text of ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from kernelsight.moments import format_utc
from kernelsight.printable import printable

MOST_TEXT = 300
"""Characters of one value. Names of threads and interfaces have 15 bytes; what is longer is a path or a list."""
MOST_RESULT = 16_000
"""Characters of one result, about 5,000 tokens: a dozen results leave room in the budget of one question."""
_EXACT = 2**53
"""Numbers in calls and results travel as doubles (google.protobuf.Struct); greater integers would lose digits."""

Data = dict[str, Any]


def moment(timestamp_ns: int) -> str:
    """A time as tools show and take it: UTC, and said to be."""
    return format_utc(timestamp_ns)


def as_data(value: Any) -> Any:
    """A value of a result: text escaped and cut, integers that do not fit a double as text."""
    if isinstance(value, (str, bytes)):
        return _text(value if isinstance(value, str) else value.decode("utf-8", "backslashreplace"))
    if value is None or isinstance(value, (bool, int, float)):
        return _number(value)
    if isinstance(value, Mapping):
        return {_text(str(key)): as_data(item) for key, item in value.items()}
    return [as_data(item) for item in value]


def row_as_data(row: Mapping[str, Any]) -> Data:
    """A row of a table as data: its moment as text, without its number and what is NULL."""
    known = {name: value for name, value in row.items() if value is not None and name not in {"id", "time"}}
    when = known.pop("timestamp", None)
    return as_data(known if when is None else {"time": moment(int(when)), **known})  # type: ignore[no-any-return]


def bounded(result: Data) -> Data:
    """A result that is not too long: its longest list halved until it fits, and how much was left out said."""
    result = as_data(result)
    whole = {name: len(value) for name, value in result.items() if isinstance(value, list)}
    while len(msgspec.json.encode(result)) > MOST_RESULT:
        lists: dict[str, Sequence[Any]] = {name: value for name, value in result.items() if isinstance(value, list)}
        longest = max(lists, key=lambda name: len(msgspec.json.encode(lists[name])), default=None)
        if longest is None or not lists[longest]:
            return {"error": f"the result has more than {MOST_RESULT} characters; ask for less"}
        result[longest] = lists[longest][: len(lists[longest]) // 2]
        result["left_out"] = {name: count - len(result[name]) for name, count in whole.items()}
    return result


def _number(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else str(value)
    return value if value is None or abs(value) <= _EXACT else str(value)


def _text(text: str) -> str:
    shown = printable(text[: MOST_TEXT + 1])
    return shown if len(shown) <= MOST_TEXT else f"{shown[:MOST_TEXT]}…"
