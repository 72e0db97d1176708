"""Parts of the sentences that mechanisms say: what a culprit does, and what that is to its victims.

Each is a verb phrase whose subject is known from elsewhere, such as `uses 1.9 CPUs`. It is in the third person
singular, but of a culprit with fellows (:attr:`~kernelsight.diagnosis.mechanism.Explanation.fellows`).
"""

from __future__ import annotations

from kernelsight.quantities import number, quantity

_ROUNDING = 0.1
"""Seconds of a second that one thread alone may seem to wait too long: rows are stamped late."""


def of_every_second(waited_s: float, lasted_s: float) -> str:
    """How much of its time something takes: `400 ms of every second`.

    Args:
        waited_s: seconds that it took, of all threads together.
        lasted_s: seconds in which it did.
    """
    each_s = waited_s / lasted_s if lasted_s > 0 else 0.0
    together = " over all threads" if each_s > 1 + _ROUNDING else ""
    return f"{quantity(round(each_s, 3), 's')} of every second{together}"


def times(count: float) -> str:
    """How often: `once`, `twice`, `3 times`."""
    return {1: "once", 2: "twice"}.get(round(count), f"{number(round(count))} times")


def verb(singular: str, fellows: int) -> str:
    """A regular verb as its subject wants it: `uses` alone, `use` with fellows."""
    return singular.removesuffix("s") if fellows else singular
