"""A process that does hardly anything but start others, which end as soon as they have begun."""

from __future__ import annotations

from collections.abc import Iterable

from kernelsight.diagnosis.duration import LASTS
from kernelsight.diagnosis.faults.fork_storm import FORK_STORM
from kernelsight.diagnosis.forking import (
    COSTLY,
    FORKS_PER_S,
    NO_OTHER_PROGRAMS,
    NOT_ASKED,
    OFTEN,
    REFUSED,
    Forking,
    explain,
    forking,
)
from kernelsight.diagnosis.mechanism import Check, Mechanism
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Window

HARDLY_LIVES_MS = Threshold(20.0, "ms", because="judged: a child that lives no longer does nothing but start and end")
SHORT_LIFE_MS = Threshold(100.0, "ms", because="judged: a child that lives longer has a job")
ENDED_SHARE = Threshold(
    0.5, "share of the children", because="judged: where fewer end than this, most of them are still at work"
)


def measure(window: Window) -> Iterable[Forking]:
    """The programs and stretches in which one process starts most of very many others."""
    return (suspect for suspect in window.once(forking) if not suspect.each_other)


MECHANISM = Mechanism[Forking](
    fault=FORK_STORM,
    summary="One process starts others all the time, and they end as soon as they have begun.",
    measure=measure,
    checks=(
        OFTEN,
        Check(
            id="one_parent",
            says="one process starts them, or they start each other",
            holds=lambda suspect: suspect.most_per_s >= FORKS_PER_S,
            supports=0.0,
            refutes=7.0,
            because="judged: many processes of one program that each start a few are many users of a shell, and no "
            "storm; one parent by itself says nothing for a storm",
        ),
        LASTS,
        COSTLY,
        Check(
            id="end_as_fast",
            says="they end as fast as they come",
            holds=lambda suspect: suspect.exits >= ENDED_SHARE * suspect.forks,
            supports=0.5,
            refutes=2.0,
            because="judged: children that stay are a pool or a crowd (`runqueue_contention`, `task_limit`)",
        ),
        Check(
            id="short_lives",
            says="they live for {life_ms:.0f} ms, no time for a job",
            holds=lambda suspect: suspect.life_ms <= SHORT_LIFE_MS,
            supports=0.5,
            refutes=4.0,
            because="judged: who lives longer works, and then the work is what the CPUs are used for",
        ),
        Check(
            id="hardly_live",
            says="they hardly live",
            holds=lambda suspect: suspect.life_ms <= HARDLY_LIVES_MS,
            supports=1.0,
            refutes=1.5,
            because="judged: on a busy machine a start takes longer, so that it refutes little",
        ),
        NO_OTHER_PROGRAMS,
        NOT_ASKED,
        REFUSED,
    ),
    explain=explain,
)
