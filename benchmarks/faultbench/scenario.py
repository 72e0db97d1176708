"""What a scenario is: a program that makes a fault, or a busy machine with which nothing is wrong.

::

    @scenario("hog_beside_a_server", needs=("gcc",))
    def hog_beside_a_server(stage: Stage) -> Iterator[Truth]:
        '''A few hogs take the CPUs from a server that needs little.'''
        stage.start(...)                # what is there before: victims, other load
        yield Truth()                   # everything is ready; a quiet stretch follows
        hog = stage.start(...)          # the fault
        yield Truth("cpu_saturation", culprits=(hog.culprit,))

The bench notes when the second ``yield`` is reached (the onset), lets the fault last, and closes the
stage, which ends and removes everything. A control yields ``Truth()`` the second time too. Where a
scenario has several faults at once, it yields ``Truth`` with others in ``also``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.faultbench.stage import Stage
from benchmarks.faultbench.truth import Truth

from kernelsight.registry import Registry

Play = Callable[[Stage], Iterator[Truth]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A registered scenario."""

    name: str
    play: Play
    needs: tuple[str, ...]
    """Commands without which it cannot be played."""
    lasts_s: float
    tags: frozenset[str] = field(default_factory=frozenset)
    """`control`, `red_herring`, `two_at_once`."""


_SCENARIOS: Registry[str, Scenario] = Registry("scenario", "benchmarks.faultbench.scenarios")


def scenario(
    name: str, *, needs: Sequence[str] = (), lasts_s: float = 16, tags: Sequence[str] = ()
) -> Callable[[Play], Play]:
    """Register a scenario; it lasts at most 25 s."""

    def declare(play: Play) -> Play:
        _SCENARIOS.add(name, Scenario(name, play, tuple(needs), min(lasts_s, 25), frozenset(tags)))
        return play

    return declare


def scenarios() -> Mapping[str, Scenario]:
    """All scenarios by name. A new module is found by itself."""
    return _SCENARIOS.all()
