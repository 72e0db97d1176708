"""What collectors said during a run, kept for replay: nothing in it names other people's processes."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import zstandard
from benchmarks.faultbench.scrubbing import scrubbed, with_children

from kernelsight.events.declare import Event
from kernelsight.events.memory import PageFaultStats
from kernelsight.events.scheduler import SchedProcess, Wait
from kernelsight.events.wire import decoder, encode_lines, kinds

CASES = Path(__file__).with_name("cases")
"""Where recordings are kept: NAME.ndjson.zst is what the collectors said, NAME.json what is true of it."""
_LINES = ".ndjson.zst"

_MOST_SHORT = 5
"""Processes a second that came and went within it, of which a recording keeps the rows: they are all alike."""
_OF_EVERY_PROCESS = (PageFaultStats, SchedProcess, Wait)
"""Kinds that have a row for each process that did anything within a second."""


def thinned(events: Iterable[Event], ours: dict[int, str]) -> list[Event]:
    """Events without those of most processes that lived within a second, where there are very many.

    Who had children stays, however short its life.
    """
    events = list(events)
    lived: dict[int, set[int]] = {}
    for event in events:
        if isinstance(event, _OF_EVERY_PROCESS):
            lived.setdefault(event.pid or 0, set()).add(event.timestamp)
    short: dict[int, list[int]] = {}
    for pid, seconds in lived.items():
        if len(seconds) == 1 and pid not in ours:
            short.setdefault(min(seconds), []).append(pid)
    left_out = {pid for pids in short.values() for pid in pids[_MOST_SHORT:]}
    return [event for event in events if not (isinstance(event, _OF_EVERY_PROCESS) and _is_of(event, left_out))]


def _is_of(event: Event, pids: set[int]) -> bool:
    if isinstance(event, SchedProcess) and event.forks:
        return False
    return getattr(event, "pid", None) in pids or getattr(event, "waker_pid", None) in pids


def cases(names: Collection[str] = ()) -> list[Path]:
    """The recordings of these names, or all of them."""
    return [path for path in sorted(CASES.glob(f"*{_LINES}")) if not names or name_of(path) in names]


def name_of(path: Path) -> str:
    """What a recording is called: the scenario's name."""
    return path.name.removesuffix(_LINES)


def about(path: Path) -> dict[str, Any]:
    """What is true of a recording: when the fault began and ended, which it was, and what was played."""
    told: dict[str, Any] = json.loads(path.with_name(f"{name_of(path)}.json").read_text())
    return told


def keep(
    folder: Path, truth_of: dict[str, Any], lines: bytes, ours: dict[int, str], names: frozenset[str] = frozenset()
) -> None:
    """Write a recording, and what is true of it.

    Args:
        folder: where to.
        truth_of: what is true of it.
        lines: what the collectors said.
        ours: pid to name of what the scenario started, and of ourselves.
        names: that the scenario gave to programs.
    """
    folder.mkdir(exist_ok=True)
    name = truth_of["scenario"]
    events = [*decoder().decode_lines(lines)]
    ours = with_children(events, ours)
    packed = zstandard.ZstdCompressor(level=19).compress(encode_lines(scrubbed(thinned(events, ours), ours, names)))
    (folder / f"{name}{_LINES}").write_bytes(packed)
    (folder / f"{name}.json").write_text(json.dumps(truth_of, indent=1) + "\n")


def read(path: Path, *, tracers: bool = True) -> bytes:
    """The lines of a recording; without those that only tracers can write, as an ordinary user would have them."""
    lines = zstandard.ZstdDecompressor().decompress(path.read_bytes(), max_output_size=1 << 30)
    if tracers:
        return lines
    traced = tuple(kind.struct for kind in kinds().values() if kind.source.startswith("eBPF"))
    return encode_lines(event for event in decoder().decode_lines(lines) if not isinstance(event, traced))
