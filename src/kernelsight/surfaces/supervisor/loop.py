"""The supervisor: one thread that starts the parts, listens to them, restarts them and ends them in order."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from kernelsight import service_manager
from kernelsight.surfaces.supervisor.part import Part, PartProcess, explain

_TICK_S = 0.25
_PIPE_BYTES = 1 << 20
"""Room for what is collected while a part that reads is started again."""
_OVERTIME_S = 10.0
"""A part that was told its duration ends by itself; this much later it is told to."""
_WRITER_PATIENCE_S = 10.0
_READER_PATIENCE_S = 60.0
_LAST_PATIENCE_S = 10.0


class View(Protocol):
    """Who is told what happens."""

    def say(self, part: str, text: str) -> None:
        """A part, or the supervisor itself (`start`), says something."""

    def tick(self) -> None:
        """Some time has passed; called several times a second."""


class _Nobody:
    """Stands in for a view that nobody can see any more."""

    def say(self, part: str, text: str) -> None:
        """Say nothing."""

    def tick(self) -> None:
        """Show nothing."""


class Supervisor:
    """Keeps parts running until it is told to stop."""

    def __init__(
        self,
        parts: Sequence[Part],
        view: View,
        stop: threading.Event,
        *,
        duration_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # Those that read come up first.
        self.parts = [PartProcess(part) for part in sorted(parts, key=lambda part: part.pipe != "reads")]
        self._view: View = view
        self._stop = stop
        self._clock = clock
        self._duration_s = duration_s
        self._ends_at: float | None = None
        self._selector = selectors.DefaultSelector()
        self._exit_code: int | None = None
        # Both ends stay open here: a part that dies takes nothing with it, the next one goes on reading.
        self._read_end, self._write_end = os.pipe()
        with contextlib.suppress(OSError):  # a user over their limit gets the usual 64 KiB
            fcntl.fcntl(self._write_end, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)

    def run(self) -> int:
        """Run until told to stop, the duration is over, or a part cannot run.

        Returns:
            0, or the exit status of the part that cannot run.
        """
        if self._duration_s is not None:
            self._ends_at = self._clock() + self._duration_s
        try:
            for process in self.parts:
                self._start(process)
            while self._exit_code is None and not self._stop.is_set():
                self._listen()
                for process in self.parts:
                    self._tend(process)
                service_manager.alive()
            service_manager.stopping()
            self._finish()
        finally:
            self._release()
        return self._exit_code or 0

    def _say(self, part: str, text: str) -> None:
        with self._watched():
            self._view.say(part, text)

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """When the terminal or the pipe that we speak to is gone, end as if told to, in order."""
        try:
            yield
        except OSError:
            self._view = _Nobody()
            self._stop.set()

    # --- while it runs -----------------------------------------------------------------------------

    def _start(self, process: PartProcess) -> None:
        pipe = process.part.pipe
        process.start(
            self._clock(),
            self._seconds_left(),
            self._read_end if pipe == "reads" else subprocess.DEVNULL,
            self._write_end if pipe == "writes" else subprocess.DEVNULL,
        )
        self._selector.register(process.stderr, selectors.EVENT_READ, process)

    def _seconds_left(self) -> float | None:
        return None if self._ends_at is None else max(self._ends_at - self._clock(), 0.0)

    def _listen(self) -> None:
        for key, _ in self._selector.select(_TICK_S):
            self._repeat(key.data)
        with self._watched():
            self._view.tick()

    def _repeat(self, process: PartProcess) -> bool:
        lines, more = process.take_lines()
        for line in lines:
            self._say(process.part.name, line)
        if not more:
            self._deafen(process)
        return more

    def _deafen(self, process: PartProcess) -> None:
        if self._hears(process):
            self._selector.unregister(process.stderr)

    def _hears(self, process: PartProcess) -> bool:
        return process.stderr >= 0 and process.stderr in self._selector.get_map()

    def _tend(self, process: PartProcess) -> None:
        now = self._clock()
        if process.again_at is not None and now >= process.again_at:
            self._start(process)
        elif (status := process.poll()) is not None:
            self._bury(process)
            self._decide(process, status, now)
        elif self._ends_at is not None and now >= self._ends_at + _OVERTIME_S:
            self._exit_code = 0

    def _bury(self, process: PartProcess) -> None:
        """Take the last words of a process that has ended."""
        while self._has_more_to_say(process) and self._repeat(process):
            pass
        self._deafen(process)
        if process.part.pipe == "writes" and process.poll() != 0:
            self._end_line()
        process.forget()

    def _has_more_to_say(self, process: PartProcess) -> bool:
        return self._hears(process) and bool(select.select([process.stderr], [], [], 0)[0])

    def _end_line(self) -> None:
        """What a part wrote last may be half a line: the next one's first must not be glued to it."""
        if select.select([], [self._write_end], [], 0)[1]:
            os.write(self._write_end, b"\n")

    def _decide(self, process: PartProcess, status: int, now: float) -> None:
        """What to do about a part that has ended by itself."""
        name = process.part.name
        if status == 0 and self._ends_at is not None and process.part.pipe == "writes":
            self._exit_code = 0  # its time was over
        elif status > 0 and process.part.essential and not process.came_up(now):
            self._say("start", f"{name} cannot run (exit status {status}); see above")
            self._exit_code = status
        else:
            wait_s = process.plan_restart(now)
            self._say("start", f"{name} {explain(status)}; starting it again in {wait_s:.0f} s")

    # --- the end -----------------------------------------------------------------------------------

    def _finish(self) -> None:
        """End what writes, then let what reads come to the end of the pipe, then end all others."""
        self._stop.clear()
        writers = [process for process in self.parts if process.part.pipe == "writes"]
        readers = [process for process in self.parts if process.part.pipe == "reads"]
        self._end(writers, _WRITER_PATIENCE_S, [signal.SIGTERM, signal.SIGKILL])
        if not self._exit_code:
            for process in readers:
                if not process.runs:  # it was waiting to be started again; somebody must empty the pipe
                    self._start(process)
        os.close(self._write_end)
        self._write_end = -1
        self._end(readers, _READER_PATIENCE_S, [None, signal.SIGTERM, signal.SIGKILL])
        self._end([p for p in self.parts if p.part.pipe is None], _WRITER_PATIENCE_S, [signal.SIGTERM, signal.SIGKILL])

    def _end(self, processes: Sequence[PartProcess], patience_s: float, steps: Sequence[signal.Signals | None]) -> None:
        """Wait for processes to end, taking the next step whenever patience (or the person's: Ctrl-C) runs out."""
        for step in steps:
            left = [process for process in processes if process.runs]
            for process in left:
                if step is signal.SIGKILL:
                    self._say("start", f"{process.part.name} does not end; killing it")
                if step is not None:
                    process.send(step)
            if self._wait_for(left, patience_s):
                return
            patience_s = _LAST_PATIENCE_S

    def _wait_for(self, processes: Sequence[PartProcess], patience_s: float) -> bool:
        """Whether all have ended before patience ran out."""
        deadline = self._clock() + patience_s
        while any(process.runs for process in processes):
            if self._clock() > deadline or self._stop.is_set():
                self._stop.clear()
                return False
            self._listen()
            for process in processes:
                if process.runs and process.poll() is not None:
                    self._bury(process)
        return True

    def _release(self) -> None:
        """Leave nothing behind, whatever went wrong."""
        for process in self.parts:
            process.send(signal.SIGKILL)
            if process.process:
                process.process.wait()
            self._deafen(process)
            process.forget()
        self._selector.close()
        for end in (self._read_end, self._write_end):
            if end >= 0:
                os.close(end)
