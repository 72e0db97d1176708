"""Ask a process to end."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from kernelsight.agent.acting.action import Nothing, action
from kernelsight.agent.acting.changes import Change, SendSignal
from kernelsight.agent.acting.subject import ProcessSubject
from kernelsight.collectors.base import Host
from kernelsight.diagnosis.model import Finding, Proposal

_ENDS = frozenset({"restart", "terminate", "stop", "kill"})
"""What findings call it: whoever supervises the process starts it again."""


def answer(finding: Finding, proposal: Proposal) -> Nothing | None:
    """A finding proposes that the process ends, or is started again."""
    del finding
    return Nothing() if proposal.action in _ENDS and proposal.target.kind == "process" else None


@action("terminate", targets=("process",), answers=answer)
def terminate(host: Host, subject: ProcessSubject, asked: msgspec.Struct, limits: msgspec.Struct) -> Iterator[Change]:
    """Send SIGTERM to a process through a pidfd; it cannot be undone, and nothing stronger is ever sent."""
    del host, asked, limits
    yield SendSignal(pid=subject.pid, start_ticks=subject.start_ticks, signal="SIGTERM")
