"""One recorded case: what the collectors said, what is true of it, and the moments at which it is asked about."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec
from benchmarks.faultbench import recording
from benchmarks.faultbench.scenario import scenarios
from benchmarks.faultbench.truth import Truth

from kernelsight.events.declare import Event
from kernelsight.events.wire import decoder

NS_PER_S = 1_000_000_000
OTHER = "other"


@dataclass(frozen=True)
class Case:
    """A run that was recorded."""

    path: Path

    @property
    def name(self) -> str:
        """What it is called: the scenario's name."""
        return recording.name_of(self.path)

    @cached_property
    def truth(self) -> Truth:
        """What was wrong."""
        return msgspec.convert(self._about["truth"], Truth)

    @property
    def onset_ns(self) -> int:
        """When the fault began."""
        return int(self._about["onset_ns"])

    @property
    def offset_ns(self) -> int:
        """When it ended, or, of a machine with which nothing is wrong, when the recording did."""
        return int(self._about["offset_ns"])

    @property
    def before_ns(self) -> int:
        """A second before the onset: nothing may be found in what was said until then."""
        return self.onset_ns - NS_PER_S

    @property
    def end_ns(self) -> int:
        """A second before the end: the fault has to be found in what was said until then."""
        return self.offset_ns - NS_PER_S

    @property
    def group(self) -> str:
        """The subject of its scenario, such as `memory`; `other` where no scenario has its name."""
        scenario = scenarios().get(self.name)
        return scenario.play.__module__.rpartition(".")[2] if scenario else OTHER

    @property
    def tags(self) -> frozenset[str]:
        """Whether there is a loud program that does no harm, and whether there are two faults at once."""
        scenario = scenarios().get(self.name)
        return scenario.tags if scenario else frozenset()

    def lines(self) -> bytes:
        """What the collectors said, a JSON object a line."""
        return recording.read(self.path)

    def events(self) -> list[Event]:
        """The same, decoded."""
        return decoder().decode_lines(self.lines())

    @cached_property
    def _about(self) -> dict[str, object]:
        return recording.about(self.path)


def recorded(names: Collection[str] = ()) -> list[Case]:
    """The cases of these names, or all of them, by name."""
    return [Case(path) for path in recording.cases(names)]


def tables_of(events: list[Event]) -> Iterator[tuple[type[Event], list[Event]]]:
    """Events by their kind, in their order."""
    by_kind: dict[type[Event], list[Event]] = {}
    for event in events:
        by_kind.setdefault(type(event), []).append(event)
    yield from by_kind.items()
