"""What a hypothesis is: the test of a class of faults whose mechanisms are not yet declared one by one.

See :mod:`kernelsight.diagnosis.mechanism`, which it gives way to.

One module per family in :mod:`kernelsight.diagnosis.hypotheses`, found by itself::

    @hypothesis("lock_contention")
    def contended_locks(scene: Scene) -> Iterable[Candidate]:
        ...

A hypothesis yields one candidate for each culprit that it can be about. It does not decide: what
speaks for and against it is written down as checks, and :mod:`kernelsight.diagnosis.ranking` weighs
all candidates on the same window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from kernelsight.diagnosis.candidate import Candidate
from kernelsight.diagnosis.model import Fault
from kernelsight.diagnosis.scene import Scene
from kernelsight.registry import Registry

Test = Callable[[Scene], Iterable[Candidate]]
_HYPOTHESES: Registry[Fault, Test] = Registry("hypothesis", "kernelsight.diagnosis.hypotheses")


def hypothesis(fault: Fault) -> Callable[[Test], Test]:
    """Register the test of a fault class."""

    def declare(test: Test) -> Test:
        _HYPOTHESES.add(fault, test)
        return test

    return declare


def hypotheses() -> Mapping[Fault, Test]:
    """All tests by their fault class. A new module is found by itself."""
    return _HYPOTHESES.all()
