"""A program that fails soon after its start, and that its parent starts again each time."""

from __future__ import annotations

from collections.abc import Iterable

from kernelsight.diagnosis.duration import GOES_ON_S
from kernelsight.diagnosis.faults.crash_loop import CRASH_LOOP
from kernelsight.diagnosis.forking import FORKS_PER_S
from kernelsight.diagnosis.identity import process_entity
from kernelsight.diagnosis.kernel_log import said
from kernelsight.diagnosis.mechanism import Check, Explanation, Mechanism, claim, path
from kernelsight.diagnosis.model import Entity
from kernelsight.diagnosis.phrases import times
from kernelsight.diagnosis.remedies import LOOK
from kernelsight.diagnosis.restarts import RAN_LONG_S, Restarts, restarts
from kernelsight.diagnosis.threshold import Threshold
from kernelsight.diagnosis.window import Window
from kernelsight.events.packet_drop import PacketDrop
from kernelsight.events.process_exit import ProcessExit
from kernelsight.events.syscalls import SyscallError

FAILED_SHARE = Threshold(
    0.8, "share of the ends", because="judged: a program that mostly ends well does what it is started for"
)
SOON_S = Threshold(
    15.0,
    "s",
    because="judged: most services that cannot run know it when they have read their configuration, opened their files "
    "and taken their port; some wait ten seconds for a server first",
)
ONE_AT_A_TIME = Threshold(
    1.3, "processes", because="judged: what runs beside others of its kind is a pool of workers, and no single service"
)
OTHERS_SHARE = Threshold(
    1.0,
    "children of other names per end",
    because="judged: a script that starts a service has a command or two beside it; one that does a job has many",
)
ALIKE_SHARE = Threshold(
    0.8,
    "share of the failures",
    because="judged: what does not find its port or its file fails alike each time",
)
SOON_AGAIN_S = Threshold(
    45.0, "s", because="judged: jobs that a timer starts come once a minute or less often; restarts come sooner"
)
JOB_S = Threshold(
    8.0,
    "s",
    because="judged: restarts mostly follow within 5 s (RestartSec=), jobs of timers every ten seconds at most",
)
PAUSES = Threshold(
    3.0, "times the mean distance of two ends", because="judged: pauses between restarts grow; beyond that, it is over"
)


def measure(window: Window) -> Iterable[Restarts]:
    """Programs that failed three times or more under one parent."""
    return restarts(window)


def _goes_on(suspect: Restarts) -> bool:
    between_s = suspect.seconds / max(suspect.ends - 1, 1)
    is_over = suspect.duration.over_for_s > max(GOES_ON_S, PAUSES * between_s)
    has_given_up = suspect.is_supervised and not suspect.came_up
    return not is_over or has_given_up


def _is_service(suspect: Restarts) -> bool:
    return suspect.is_supervised or suspect.shows_defect or suspect.was_up or bool(suspect.errors)


def explain(window: Window, suspect: Restarts) -> Explanation:
    """The program is to be mended; its parent only does what it was told."""
    culprit = Entity("program", suspect.comm, suspect.comm)
    parent = process_entity(suspect.parent_pid, suspect.parent_comm)
    calls = ", ".join(sorted({f"{row.syscall_name} with {row.error}" for row in suspect.errors}))
    return Explanation(
        culprit=culprit,
        onset_ns=suspect.rows[0].timestamp,
        victims=(),
        does=f"fails again and again, and {parent.name} ({parent.id}) starts it again",
        detail=f"it ended {times(suspect.ends)} in {suspect.seconds:.0f} s, mostly by {suspect.how}",
        harm="",
        suffering_s=0.0,
        path=path(
            claim(
                f"{suspect.comm} ended {suspect.ends} times in {suspect.seconds:.0f} s, {suspect.failed} times with "
                f"a failure, "
                f"mostly by {suspect.how}",
                window.evidence(suspect.failures, ProcessExit.failed, "sum"),
                window.evidence(suspect.rows, ProcessExit.count, "sum"),
            ),
            claim(
                f"each lived for {suspect.life_s:.1f} s on average, and {parent.name} ({parent.id}) started the next "
                f"one",
                window.evidence(suspect.rows, ProcessExit.lifetime_ms, "sum"),
            ),
            *said(window, suspect.segfaults),
            claim(f"calls of it failed: {calls}", window.evidence(suspect.errors, SyscallError.count, "sum")),
            claim(
                f"meanwhile, {suspect.refused_packets} packets came for ports on which nobody listens",
                window.evidence(suspect.refused, PacketDrop.count, "sum"),
            ),
        ),
        refuted_by=f"{suspect.comm} is meant to end so, as a test does that {parent.name} repeats until it succeeds",
        outlook=f"{suspect.comm} does not do its work until somebody mends why it fails",
        actions=(
            LOOK.on(
                culprit,
                f"read what {suspect.comm} says before it ends (journalctl, its log); {parent.name} ({parent.id}) "
                f"starts it",
            ),
        ),
    )


MECHANISM = Mechanism[Restarts](
    fault=CRASH_LOOP,
    summary="A program fails soon after its start, and its supervisor, its container's runtime or a script starts it "
    "again each time.",
    measure=measure,
    checks=(
        Check(
            id="fails",
            says="{failed} of {ends} ends were failures",
            holds=lambda suspect: suspect.failed_share >= FAILED_SHARE,
            supports=1.5,
            refutes=4.0,
            because="a status but 0 means failure (exit(3)), and so does a signal, but for those by which others end "
            "it (SIGHUP, SIGINT, SIGTERM and SIGPIPE are clean ends: systemd.service(5)). A program that does its work "
            "and ends well is run again by intention",
        ),
        Check(
            id="fails_alike",
            says="it fails in the same way each time, mostly by {how}",
            holds=lambda suspect: suspect.alike_share >= ALIKE_SHARE,
            supports=0.5,
            refutes=6.0,
            because="judged: a test suite runs one program again and again, too, and has it fail in many ways",
        ),
        Check(
            id="ends_soon",
            says="it ends soon after its start",
            holds=lambda suspect: suspect.life_s <= SOON_S,
            supports=0.5,
            refutes=1.5,
            because="judged: what fails at its start fails soon; a program that fails at times of its own is not stuck",
        ),
        Check(
            id="one_at_a_time",
            says="there is one of it at a time",
            holds=lambda suspect: None if suspect.is_supervised else suspect.at_once <= ONE_AT_A_TIME,
            supports=0.5,
            refutes=6.0,
            because="judged: jobs that run side by side, such as those of make(1) and xargs(1), are started once each. "
            "A supervisor may have several services of one name",
        ),
        Check(
            id="is_service",
            says="it is something that should stay",
            holds=_is_service,
            supports=2.5,
            refutes=4.0,
            because="judged: a supervisor starts it, it listens or had run for long, clients find nobody who listens, "
            "it ends by a signal of its own defect, cannot be executed, or is refused what it needs. Without any of "
            "these it may be a question that a script asks until the answer is yes",
        ),
        Check(
            id="nobody_types_it",
            says="nobody starts it by hand, or it had done its work before",
            holds=lambda suspect: not suspect.typed or suspect.serves or suspect.ran_long_s >= RAN_LONG_S,
            supports=0.0,
            refutes=7.0,
            because="judged: a shell that waits for input between two starts is somebody who tries a program again",
        ),
        Check(
            id="is_no_job",
            says="it is started again at once, or it had done its work before",
            holds=lambda suspect: (
                suspect.was_up or suspect.pause_s < JOB_S
                if suspect.is_supervised and not suspect.is_contained
                else None
            ),
            supports=0.0,
            refutes=4.0,
            because="judged: a supervisor also starts jobs at times (systemd.timer(5)). Where nobody misses the "
            "program, nothing but the pause tells a job that fails from a service that fails",
        ),
        Check(
            id="new_container",
            says="its container is a new one each time",
            holds=lambda suspect: None if suspect.in_living_container is None else not suspect.in_living_container,
            supports=0.0,
            refutes=6.0,
            because="a container that is started again has a new control group; what its runtime starts in one that "
            "lives on (exec) is a health check or a person's command",
        ),
        Check(
            id="started_again_soon",
            says="the next one is started soon after the end of the last one",
            holds=lambda suspect: None if suspect.is_contained else suspect.pause_s <= SOON_AGAIN_S,
            supports=0.0,
            refutes=4.0,
            because="judged: what comes once a minute is a job of cron(8) or of a timer. Of containers that fail again "
            "and again, the pauses grow to minutes",
        ),
        Check(
            id="goes_on",
            says="it goes on, or its supervisor has given up",
            holds=_goes_on,
            supports=0.5,
            refutes=6.0,
            because="judged: a service that stays up at last has recovered; supervisors give up after some tries "
            "(StartLimitBurst= of systemd), and then it is down",
        ),
        Check(
            id="only_child",
            says="its parent starts little else",
            holds=lambda suspect: True if suspect.is_supervised else suspect.others <= OTHERS_SHARE * suspect.ends,
            supports=0.0,
            refutes=6.0,
            because="judged: a script or a build with many commands is at work, and some may fail as it expects",
        ),
        Check(
            id="no_storm",
            says="it is not started so often that starting it is the fault",
            holds=lambda suspect: suspect.per_s < FORKS_PER_S,
            supports=0.0,
            refutes=4.0,
            because="judged: supervisors wait between two starts (RestartSec= of systemd: 0.1 s); beyond that it is "
            "told as `fork_storm`, or is the work of a script",
        ),
    ),
    explain=explain,
)
