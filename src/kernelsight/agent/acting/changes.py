"""The writes that actions consist of: each says exactly what goes where, what was there before, and can put it back.

They are plain records, so that the audit holds them whole and a later process can undo what an earlier one did.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from kernelsight.agent.acting.io_priority import io_priority, priority_name, set_io_priority
from kernelsight.agent.acting.subject import RefusedError, StaleError, has_ended, held, send, threads
from kernelsight.collectors.base import Host


class Change(msgspec.Struct, frozen=True, tag_field="is"):
    """One write."""

    @property
    def text(self) -> str:
        """What is written where, for a person."""
        raise NotImplementedError

    reversible = True

    def apply(self, host: Host) -> None:
        """Write it.

        Raises:
            RefusedError: things are not as they were when this was planned.
            OSError: the kernel does not take it.
        """
        raise NotImplementedError

    def undo(self, host: Host) -> None:
        """Put back what was there.

        Raises:
            RefusedError: somebody else has changed it since.
            OSError: the kernel does not take it.
        """
        raise NotImplementedError


class SetFile(Change, frozen=True, tag="file"):
    """A value in a file of the kernel: a control group's, a sysctl."""

    path: str
    former: str
    value: str
    use_path: str | None = None
    """Of a limit, the file that says what is used; it is not put back below that."""

    @property
    def text(self) -> str:
        """What is written where."""
        return f"{self.path}: {self.value} (now: {self.former})"

    def apply(self, host: Host) -> None:
        """Write the value, if the file still says what it did, and see that the kernel keeps it."""
        del host
        self._exchange(self.former, self.value)
        kept = read_value(Path(self.path))
        if kept != self.value:
            Path(self.path).write_text(self.former, "ascii")
            raise RefusedError(f"{self.path}: the kernel keeps {kept!r} and not {self.value!r}")

    def undo(self, host: Host) -> None:
        """Write what was there, unless somebody has changed it since."""
        del host
        path = Path(self.path)
        if not path.exists() or read_value(path) == self.former:
            return
        if self.use_path and int(read_value(Path(self.use_path))) > int(self.former):
            raise RefusedError(f"{self.path} stays {self.value}: {self.former} is less than what is used by now")
        self._exchange(self.value, self.former)

    def _exchange(self, expected: str, value: str) -> None:
        present = read_value(Path(self.path))
        if present != expected:
            raise RefusedError(f"{self.path} says {present!r}, not {expected!r}: somebody has changed it")
        Path(self.path).write_text(value, "ascii")


class WriteOnce(Change, frozen=True, tag="once"):
    """A value whose writing is the act, such as dropping caches; there is nothing to put back."""

    path: str
    value: str

    reversible = False

    @property
    def text(self) -> str:
        """What is written where."""
        return f"{self.path}: {self.value}"

    def apply(self, host: Host) -> None:
        """Write it."""
        del host
        Path(self.path).write_text(self.value, "ascii")


class MakeGroup(Change, frozen=True, tag="group"):
    """A control group of our own."""

    path: str

    @property
    def text(self) -> str:
        """What is made where."""
        return f"{self.path}: made"

    def apply(self, host: Host) -> None:
        """Make it."""
        del host
        Path(self.path).mkdir()

    def undo(self, host: Host) -> None:
        """Remove it; it is empty once its processes were moved back."""
        del host
        with suppress(FileNotFoundError):
            Path(self.path).rmdir()


class OfProcess(Change, frozen=True):
    """A write about one process, done while that very process is held."""

    pid: int
    start_ticks: int

    @contextmanager
    def hold(self, host: Host) -> Iterator[int]:
        """Hold it, and make sure afterwards that it was there all the time.

        Raises:
            StaleError: it is gone.
        """
        with held(host, self.pid, self.start_ticks) as pidfd:
            yield pidfd
            if has_ended(pidfd):
                raise StaleError(f"process {self.pid} has ended meanwhile")


class MoveProcess(OfProcess, frozen=True, tag="move"):
    """A process into another control group; what it starts from then on is in that group too."""

    former: str
    path: str
    """Folders of the groups."""

    @property
    def text(self) -> str:
        """What is written where."""
        return f"{self.path}/cgroup.procs: {self.pid} (now in {self.former})"

    def apply(self, host: Host) -> None:
        """Move it."""
        with self.hold(host):
            _write_pid(self.path, self.pid)

    def undo(self, host: Host) -> None:
        """Move it and all that it started back; where all have ended there is nothing to move."""
        del host
        # Whatever is in a group of ours came there from the former one.
        with suppress(FileNotFoundError):
            for word in Path(self.path, "cgroup.procs").read_text("ascii").split():
                with suppress(ProcessLookupError):
                    _write_pid(self.former, int(word))


class OfThreads(OfProcess, frozen=True):
    """A value that each thread of a process has for itself."""

    former: tuple[tuple[int, int], ...]
    """Thread and its value."""
    value: int

    def get(self, tid: int) -> int:
        """The value of a thread."""
        raise NotImplementedError

    def set(self, tid: int, value: int) -> None:
        """Give a thread a value."""
        raise NotImplementedError

    def apply(self, host: Host) -> None:
        """Set it for all threads that it has now."""
        with self.hold(host):
            for tid in threads(host, self.pid):
                with suppress(ProcessLookupError):
                    self.set(tid, self.value)

    def undo(self, host: Host) -> None:
        """Give the threads their values back, but those that somebody else has set; new ones get the first thread's."""
        before = dict(self.former)
        usual = before.get(self.pid, self.former[0][1])
        with self.hold(host):
            for tid in threads(host, self.pid):
                with suppress(ProcessLookupError):
                    if self.get(tid) == self.value:
                        self.set(tid, before.get(tid, usual))


class SetNice(OfThreads, frozen=True, tag="nice"):
    """The nice value of each thread of a process (setpriority(2))."""

    @property
    def text(self) -> str:
        """What is set."""
        values = ", ".join(map(str, sorted({nice for _, nice in self.former})))
        return f"nice of {len(self.former)} threads of process {self.pid}: {self.value} (now: {values})"

    def get(self, tid: int) -> int:
        """The nice value of a thread."""
        return os.getpriority(os.PRIO_PROCESS, tid)

    def set(self, tid: int, value: int) -> None:
        """Set it."""
        os.setpriority(os.PRIO_PROCESS, tid, value)


class SetIoPriority(OfThreads, frozen=True, tag="ioprio"):
    """The I/O priority of each thread of a process (ioprio_set(2)); see :mod:`kernelsight.agent.acting.io_priority`."""

    @property
    def text(self) -> str:
        """What is set."""
        values = ", ".join(sorted({priority_name(priority) for _, priority in self.former}))
        threads = f"{len(self.former)} threads of process {self.pid}"
        return f"I/O priority of {threads}: {priority_name(self.value)} (now: {values})"

    def get(self, tid: int) -> int:
        """The I/O priority of a thread."""
        return io_priority(tid)

    def set(self, tid: int, value: int) -> None:
        """Set it."""
        set_io_priority(tid, value)


class SendSignal(OfProcess, frozen=True, tag="signal"):
    """A signal through a pidfd (pidfd_send_signal(2))."""

    signal: str
    undone_by: str | None = None

    @property
    def reversible(self) -> bool:  # type: ignore[override]
        """Whether another signal takes it back."""
        return self.undone_by is not None

    @property
    def text(self) -> str:
        """What is sent."""
        return f"{self.signal} to process {self.pid}"

    def apply(self, host: Host) -> None:
        """Send it."""
        with held(host, self.pid, self.start_ticks) as pidfd:
            send(pidfd, signal.Signals[self.signal])

    def undo(self, host: Host) -> None:
        """Send the one that takes it back."""
        assert self.undone_by is not None
        with held(host, self.pid, self.start_ticks) as pidfd:
            send(pidfd, signal.Signals[self.undone_by])


class SetFileLimit(OfProcess, frozen=True, tag="nofile"):
    """How many files a process may have open (prlimit(2), RLIMIT_NOFILE): soft and hard."""

    former: tuple[int, int]
    value: tuple[int, int]

    @property
    def text(self) -> str:
        """What is set."""
        (soft, hard), (was_soft, was_hard) = self.value, self.former
        return f"RLIMIT_NOFILE of process {self.pid}: {soft} of {hard} (now: {was_soft} of {was_hard})"

    def apply(self, host: Host) -> None:
        """Set it, if it is still as it was."""
        self._exchange(host, self.former, self.value)

    def undo(self, host: Host) -> None:
        """Set it back, unless the process could then open nothing more."""
        try:
            count = sum(1 for _ in (host.proc / str(self.pid) / "fd").iterdir())
        except FileNotFoundError as error:
            raise StaleError(f"process {self.pid} is gone") from error
        if count >= self.former[0]:
            raise RefusedError(f"process {self.pid} has {count} files open, so its limit stays {self.value[0]}")
        self._exchange(host, self.value, self.former)

    def _exchange(self, host: Host, expected: tuple[int, int], value: tuple[int, int]) -> None:
        with self.hold(host):
            present = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
            if present == value:
                return
            if present != expected:
                raise RefusedError(f"the limit of process {self.pid} is {present}, not {expected}: somebody changed it")
            resource.prlimit(self.pid, resource.RLIMIT_NOFILE, value)


AnyChange = SetFile | WriteOnce | MakeGroup | MoveProcess | SetNice | SetIoPriority | SendSignal | SetFileLimit

Changes = tuple[AnyChange, ...]


def encode(changes: Sequence[Change]) -> str:
    """As the audit keeps them."""
    return msgspec.json.encode(changes).decode()


def decode(text: str) -> Changes:
    """Back from the audit."""
    return msgspec.json.decode(text, type=Changes)


def read_value(path: Path) -> str:
    """What a file of the kernel says, with single blanks between words.

    Raises:
        RefusedError: it cannot be read here.
    """
    try:
        return " ".join(path.read_text("ascii").split())
    except OSError as error:
        raise RefusedError(f"{path} cannot be read: {error.strerror}") from error


def nice_values(host: Host, pid: int) -> tuple[tuple[int, int], ...]:
    """Each thread of a process and its nice value."""
    return tuple((tid, os.getpriority(os.PRIO_PROCESS, tid)) for tid in threads(host, pid))


def io_priorities(host: Host, pid: int) -> tuple[tuple[int, int], ...]:
    """Each thread of a process and its I/O priority."""
    return tuple((tid, io_priority(tid)) for tid in threads(host, pid))


def _write_pid(folder: str, pid: int) -> None:
    Path(folder, "cgroup.procs").write_text(f"{pid}\n", "ascii")


def explain(error: OSError) -> str:
    """Why the kernel did not take a write."""
    if error.errno in {errno.EPERM, errno.EACCES}:
        return f"{error.strerror}; it takes root, or the capability for it"
    return error.strerror or str(error)
