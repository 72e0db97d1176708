"""Stop a process for a while; nothing of it is lost."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from kernelsight.agent.acting.action import action
from kernelsight.agent.acting.changes import Change, SendSignal
from kernelsight.agent.acting.subject import ProcessSubject, RefusedError
from kernelsight.collectors.base import Host

_STOPPED = frozenset("Tt")


@action("pause", targets=("process",))
def pause(host: Host, subject: ProcessSubject, asked: msgspec.Struct, limits: msgspec.Struct) -> Iterator[Change]:
    """Stop a process with SIGSTOP through a pidfd; undoing it lets it go on (SIGCONT)."""
    del host, asked, limits
    if subject.state in _STOPPED:
        raise RefusedError(f"{subject.name} is stopped already")
    yield SendSignal(pid=subject.pid, start_ticks=subject.start_ticks, signal="SIGSTOP", undone_by="SIGCONT")
