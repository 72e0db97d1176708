"""Ask a process to end."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from kernelsight.agent.acting.action import action
from kernelsight.agent.acting.changes import Change, SendSignal
from kernelsight.agent.acting.subject import ProcessSubject
from kernelsight.collectors.base import Host


@action("terminate", targets=("process",))
def terminate(host: Host, subject: ProcessSubject, asked: msgspec.Struct, limits: msgspec.Struct) -> Iterator[Change]:
    """Send SIGTERM to a process through a pidfd; it cannot be undone, and nothing stronger is ever sent."""
    del host, asked, limits
    yield SendSignal(pid=subject.pid, start_ticks=subject.start_ticks, signal="SIGTERM")
