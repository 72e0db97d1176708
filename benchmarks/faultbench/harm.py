"""What a fault does to the programs that do not cause it, as they measure it themselves.

A Python program of a scenario calls ``measured(began)`` when it has got an answer, a lock, a row or whatever it asked
for; ``began`` is ``time.monotonic()`` of before. Once a second it writes how many it got and how long they took. Where
it gets nothing any more it writes nothing, and that counts as none.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

NS_PER_S = 1_000_000_000
_LONGEST_BEFORE_S = 10
"""What comes before the onset is measured over so many seconds at most, the last ones."""

PRELUDE = """
import time as _time
_took, _second = [], int(_time.time())
def measured(began):
    global _second
    _took.append(_time.monotonic() - began)
    now = int(_time.time())
    if now != _second:
        _took.sort()
        try:
            with open({file!r}, "a") as out:
                out.write(f"{{_second}} {{len(_took)}} {{_took[len(_took) // 2]:.6f}} {{_took[-1]:.6f}}\\n")
        except OSError:
            pass
        _took.clear()
        _second = now
"""
"""The function, for a program that is given as text."""


class Second(NamedTuple):
    """What a program got in one second."""

    at_s: int
    count: int
    median_s: float
    longest_s: float


@dataclass(frozen=True, slots=True)
class Harm:
    """What one program got before the onset and during the fault."""

    name: str
    """What the program is called."""
    before_per_s: float
    """Answers a second before the onset."""
    during_per_s: float
    before_ms: float
    """Median time to an answer: the median of those of the seconds."""
    during_ms: float | None
    """None: it got no answer any more."""
    longest_ms: float | None
    """The longest time to an answer during the fault, of those that came."""


def parse(text: str) -> list[Second]:
    """What a program wrote; a line that was cut is left out."""
    seconds = []
    for words in map(str.split, text.splitlines()):
        try:
            at_s, count, median_s, longest_s = words
            seconds.append(Second(int(at_s), int(count), float(median_s), float(longest_s)))
        except ValueError:
            continue
    return seconds


def harm(name: str, seconds: Sequence[Second], onset_ns: int, offset_ns: int) -> Harm | None:
    """What became of a program; None where it did not get anything before the onset that could get less.

    The seconds of the onset and of the end, which are half of each, are left out.
    """
    onset_s, offset_s = onset_ns // NS_PER_S, offset_ns // NS_PER_S
    before = _between(seconds, onset_s - _LONGEST_BEFORE_S, onset_s)
    during = _between(seconds, onset_s + 1, offset_s)
    if not before or offset_s <= onset_s + 1:
        return None
    first_s = min(second.at_s for second in before)
    return Harm(
        name,
        before_per_s=round(sum(second.count for second in before) / (onset_s - first_s), 1),
        during_per_s=round(sum(second.count for second in during) / (offset_s - onset_s - 1), 1),
        before_ms=_ms(statistics.median(second.median_s for second in before)),
        during_ms=_ms(statistics.median(second.median_s for second in during)) if during else None,
        longest_ms=_ms(max(second.longest_s for second in during)) if during else None,
    )


def harms(folder: Path, onset_ns: int, offset_ns: int, *, but: Iterable[str] = ()) -> Iterator[Harm]:
    """What became of each program that wrote to a folder, but of some.

    Args:
        folder: it has a file for each program, of its name.
        onset_ns: when the fault began.
        offset_ns: when it ended.
        but: names of programs that cause it.
    """
    left_out = set(but)
    for file in sorted(folder.iterdir()):
        measured = harm(file.name, parse(file.read_text()), onset_ns, offset_ns)
        if measured is not None and file.name not in left_out:
            yield measured


def _between(seconds: Sequence[Second], first_s: int, end_s: int) -> list[Second]:
    return [second for second in seconds if first_s <= second.at_s < end_s]


def _ms(seconds: float) -> float:
    return round(1e3 * seconds, 3)
