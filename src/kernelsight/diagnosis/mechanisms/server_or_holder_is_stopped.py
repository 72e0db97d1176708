"""Processes that somebody has stopped, though others wait for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kernelsight.diagnosis.faults.stopped_process import STOPPED_PROCESS
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.model import Entity, Proposal
from kernelsight.diagnosis.remedies import CONTINUE, LOOK
from kernelsight.diagnosis.stopped import Cause, Stopped, stopped
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.unanswered import waits_for_answer
from kernelsight.diagnosis.window import Window
from kernelsight.events.lock import FileLockWait
from kernelsight.events.pending_wait import PendingWait
from kernelsight.events.process import Process, SocketOwner
from kernelsight.events.scheduler import Wait
from kernelsight.events.service import ServiceEdge
from kernelsight.events.tcp import TcpListener

LASTS_S = Threshold(
    3, "s", because="judged: a debugger that looks at something and goes on, or a checkpoint, is done in less"
)


def measure(window: Window) -> Iterable[Stopped]:
    """Each process that is stopped at the end of the window."""
    return stopped(window)


def explain(window: Window, suspect: Stopped) -> Explanation:
    """Who waits for it waits until somebody lets it go on."""
    process = suspect.process
    how, remedy = _HOW[suspect.cause], _remedy(process, suspect.cause)
    answered = [row for edge in suspect.cut_off for row in edge.rows]
    return Explanation(
        culprit=process,
        onset_ns=suspect.rows[0].timestamp,
        victims=tuple(suspect.victims[:5]),
        does=f"is stopped by {how}",
        harm="waits for it",
        suffering_s=suspect.stopped_s * len(suspect.victims),
        path=path(
            *(waits_for_answer(window, wait) for wait in (*suspect.behind[:2], *suspect.asked[:2])),
            claim(
                f"{process.name} ended waits of {len(suspect.cut_off)} others before, and none since",
                window.evidence(answered, Wait.count, "sum"),
            ),
            claim(
                suspect.waited_for,
                window.evidence(suspect.locks, FileLockWait.inode, "count"),
                window.evidence(suspect.queued, TcpListener.accept_queue, "last"),
                window.evidence(suspect.unread, SocketOwner.receive_queue_bytes, "last"),
                window.evidence(suspect.called, ServiceEdge.oldest_unanswered_ms, "max"),
                window.evidence([row for wait in suspect.asked for row in wait.rows], PendingWait.waited_ms, "max"),
            )
            if suspect.waited_for
            else None,
            claim(
                f"{process.name} ({process.id}) was stopped by {how} and has not gone on for {suspect.stopped_s:.0f} s",
                window.evidence(suspect.rows, Process.threads, "last"),
            ),
        ),
        refuted_by=f"they wait as long after {process.name} has gone on",
        outlook=f"they wait until somebody lets {process.name} go on",
        actions=(remedy,),
    )


def _remedy(process: Entity, cause: Cause) -> Proposal:
    if cause == "signal":
        return CONTINUE.on(process, f"let {process.name} go on (kill -CONT {process.id}), if nobody needs it stopped")
    if cause == "debugger":
        return LOOK.on(process, f"see which debugger has {process.name}: TracerPid in /proc/{process.id}/status")
    return LOOK.on(
        process,
        f"see which group in /proc/{process.id}/cgroup, or above it, is frozen, and thaw that: write 0 to its "
        "cgroup.freeze, or THAWED to its freezer.state",
    )


_HOW: Mapping[Cause, str] = {
    "signal": "a signal", "debugger": "a debugger", "freezer": "the freezer of its control group",
}  # fmt: skip

MECHANISM = Mechanism[Stopped](
    fault=STOPPED_PROCESS,
    summary="Somebody has stopped a process (SIGSTOP, SIGTSTP, a debugger, a frozen control group), and its clients, "
    "or those who want what it has locked, wait for it.",
    measure=measure,
    checks=(
        Check(
            id="others_wait",
            says="others wait for it: requests that it does not answer, connections, or a file that it has locked",
            holds=lambda suspect: bool(suspect.waited_for),
            supports=5.0,
            refutes=6.0,
            because="a process that is stopped does nothing until it is let go on (signal(7)), so who waits for it "
            "waits for that. Jobs that are stopped in a shell, downloads and programs in a debugger have nobody that "
            "waits",
        ),
        Check(
            id="stays_stopped",
            says="it has been stopped for some seconds and has not run meanwhile",
            holds=lambda suspect: suspect.stopped_s >= LASTS_S and not suspect.has_run,
            supports=0.0,
            refutes=8.0,
            because="judged: strace(1) and debuggers stop a process again and again for moments, in which it is "
            "likely to be seen; it then runs from one look to the next",
        ),
        Check(
            id="answered_before",
            says="processes that it woke again and again have not been woken by it since",
            holds=lambda suspect: bool(suspect.cut_off),
            supports=1.0,
            refutes=0.0,
            because="judged: these are its clients. Those of other machines are not seen, nor those of a process that "
            "was stopped before anybody looked",
        ),
    ),
    explain=explain,
)
