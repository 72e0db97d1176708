"""One part of the system: what it is, and its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from kernelsight import service_manager

_FIRST_BACKOFF_S = 1.0
_LONGEST_BACKOFF_S = 30.0
_SETTLED_S = 60.0
"""A part that ran for this long was well: its next failure is a first one."""
_CAME_UP_S = 15.0
"""A part that fails sooner, the very first time, cannot run as it was asked to; trying again won't help."""
_LONGEST_LINE = 65_536


@dataclass(frozen=True, slots=True)
class Part:
    """A command of ours that is a part of the running system."""

    name: str
    arguments: Callable[[float | None], list[str]]
    """Its command line after ``kernelsight``, given the seconds that are left (None: no end)."""
    pipe: Literal["writes", "reads"] | None = None
    """Its end of the pipe of events, if it has one."""
    essential: bool = True
    """Where it cannot run, nothing does; what only looks at the store is tried again."""


class PartProcess:
    """The process of a part, started again when it dies, later and later while it keeps dying."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.restarts = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.again_at: float | None = None
        self._started_at = 0.0
        self._backoff_s = _FIRST_BACKOFF_S
        self._unfinished = b""

    @property
    def runs(self) -> bool:
        """Whether there is a process that has not ended, as far as we have looked."""
        return self.process is not None

    @property
    def stderr(self) -> int:
        """What it says; -1 without a process."""
        return self.process.stderr.fileno() if self.process and self.process.stderr else -1

    def start(self, now: float, seconds_left: float | None, stdin: int, stdout: int) -> None:
        """Start the process, in a process group of its own: Ctrl-C is for the supervisor, which ends parts in order."""
        # What reads comes to the end of the pipe when its writers have ended, and by then has read their last words.
        on_death = None if self.part.pipe == "reads" else signal.SIGTERM
        self.process = subprocess.Popen(
            child(self.part.arguments(seconds_left), on_death=on_death),
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            process_group=0,
            env=service_manager.not_for_children(dict(os.environ)),
        )
        self.again_at = None
        self._started_at = now

    def poll(self) -> int | None:
        """The exit status when the process has ended (negative: the signal that ended it), else None."""
        return self.process.poll() if self.process else None

    def forget(self) -> None:
        """Forget a process that has ended."""
        if self.process and self.process.stderr:
            self.process.stderr.close()
        self.process = None

    def came_up(self, now: float) -> bool:
        """Whether it ever ran properly: longer than a start that fails."""
        return self.restarts > 0 or now - self._started_at > _CAME_UP_S

    def plan_restart(self, now: float) -> float:
        """Set when to start it again; returns the seconds until then."""
        if now - self._started_at > _SETTLED_S:
            self._backoff_s = _FIRST_BACKOFF_S
        wait_s = self._backoff_s
        self._backoff_s = min(2 * wait_s, _LONGEST_BACKOFF_S)
        self.restarts += 1
        self.again_at = now + wait_s
        return wait_s

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all of its process group."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, number)

    def take_lines(self) -> tuple[list[str], bool]:
        """What it has said on stderr, as whole lines, and whether it may say more."""
        data = os.read(self.stderr, _LONGEST_LINE) if self.stderr >= 0 else b""
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        if self._unfinished and (not data or len(self._unfinished) > _LONGEST_LINE):
            lines.append(self._unfinished)
            self._unfinished = b""
        return [line.decode(errors="replace") for line in lines], bool(data)


def child(arguments: Sequence[str], *, on_death: signal.Signals | None) -> list[str]:
    """The command line of a command of ours that is tied to this process (see the module `child`).

    Args:
        arguments: the command, after ``kernelsight``.
        on_death: the signal that it gets when this process dies.
    """
    return [sys.executable, "-m", f"{__package__}.child", str(os.getpid()), str(int(on_death or 0)), *arguments]


def explain(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"ended with exit status {status}"
    return f"was ended by {signal.Signals(-status).name}" if -status in set(signal.Signals) else f"ended ({status})"
