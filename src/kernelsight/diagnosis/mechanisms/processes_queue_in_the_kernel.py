"""Threads or processes of a program that queue for a lock of the kernel."""

from __future__ import annotations

from collections.abc import Iterable

from kernelsight.diagnosis.duration import LASTS
from kernelsight.diagnosis.faults.lock_contention import LOCK_CONTENTION
from kernelsight.diagnosis.lock_checks import ALIKE, FEW_GO_ON, HOLDER_WORKS, RELEASE_EACH_OTHER
from kernelsight.diagnosis.lock_queues import Queueing, queueing, use_meanwhile, who_waited
from kernelsight.diagnosis.mechanism import Explanation, Mechanism, path
from kernelsight.diagnosis.processes import named
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.window import Window


def measure(window: Window) -> Iterable[Queueing]:
    """Each stretch in which a thread always waited for a lock of the kernel that its program releases."""
    return queueing(window, in_kernel=True)


def explain(window: Window, suspect: Queueing) -> Explanation:
    """One system call goes on at a time, and the others wait for it."""
    culprit = named(window, suspect.culprit_pid)
    calls = sorted({edge.waits_in for edge in suspect.queue.handed_on if edge.waits_in})
    return Explanation(
        culprit=culprit,
        onset_ns=window.at(suspect.run.first),
        victims=tuple(named(window, pid) for pid in sorted(suspect.queue.pids)[:5]),
        does="makes calls that take turns at a lock of the kernel",
        detail=f"{suspect.waiting:.1f} tasks wait for it on average",
        harm="waits for that lock",
        suffering_s=suspect.waiting * suspect.run.seconds,
        path=path(*who_waited(window, suspect, culprit, "a lock of the kernel"), use_meanwhile(window, suspect)),
        refuted_by="it gets less done with fewer processes or threads",
        outlook="more processes, or more CPUs, make it no faster",
        actions=(
            LOOK.on(
                culprit,
                f"see which folder, file or memory the calls of {culprit.name} share ({', '.join(calls[:3])}), and "
                "divide it, or run fewer of it",
            ),
        ),
    )


MECHANISM = Mechanism[Queueing](
    fault=LOCK_CONTENTION,
    summary="System calls of one program need the same lock of the kernel, such as that of a folder, and wait for each "
    "other.",
    measure=measure,
    checks=(RELEASE_EACH_OTHER, ALIKE, HOLDER_WORKS, FEW_GO_ON, LASTS),
    explain=explain,
)
