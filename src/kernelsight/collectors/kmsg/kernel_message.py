"""The kernel's log, from /dev/kmsg."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from kernelsight.collectors.base import Host, collector
from kernelsight.collectors.damage import bounded
from kernelsight.collectors.files import unavailable
from kernelsight.collectors.kmsg.record import Record, parse_record
from kernelsight.collectors.privileges import Capability
from kernelsight.collectors.text import name
from kernelsight.collectors.time_namespace import kernel_monotonic_ns
from kernelsight.errors import SourceUnavailableError
from kernelsight.events.declare import INT64_MAX, Event
from kernelsight.events.kernel_message import KernelMessage
from kernelsight.linux.kernel_log.reading import KINDS, OTHER, Said, source_of, understood

_SIZE = 8192
"""Longest record: CONSOLE_EXT_LOG_MAX (PRINTK_MESSAGE_MAX since 6.2)."""
_MOST_AT_ONCE = 1000
"""Records that are read at one look. A look comes at every message, so that more are a flood: they are counted."""
_MOST_ALIKE = 200
"""Messages of one second that are kept apart; of further ones only the kind is told."""
_LONGEST_TEXT = 240
_LONGEST_BACKLOG = 20_000
_OF_PROGRAMS = "user"
_KNOWN = 8
"""Importance of a message of a known kind is this and more: before any of no known kind."""
_LEAST_LEVEL = 7
_UNMOUNTED = "filesystem_mounted"

Key = tuple[object, ...]


@collector(source="kmsg", emits=(KernelMessage,), needs=(Capability.CAP_SYSLOG,))
class KernelMessages:
    """What the kernel says: errors of disks and file systems, lock-ups, full tables, heat, and how often all else.

    What a program writes to the log has a facility of its own. It is counted, and never taken for the kernel's.
    """

    def __init__(self, host: Host, path: Path = Path("/dev/kmsg")) -> None:  # noqa: ARG002
        self._fd = -1
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._fd, 0, os.SEEK_DATA)  # what was said since somebody cleared the log
        except OSError as error:
            self.close()
            if error.errno in {errno.EPERM, errno.EACCES}:
                raise SourceUnavailableError(
                    f"{path} is not readable for this user (kernel.dmesg_restrict): run as root or with CAP_SYSLOG"
                ) from None
            raise unavailable(path, error, absent="the kernel's log is not there, as in most containers") from None
        self._lost = 0
        self._expected: int | None = None
        self._rows: dict[Key, KernelMessage] = {}
        self._lasting: dict[tuple[str, str | None], Record] | None = self._backlog()

    def fileno(self) -> int:
        """Readable when there is a message."""
        return self._fd

    def drain(self, to_epoch: Callable[[int], int]) -> Iterable[Event]:
        """Read what is there, and keep it for the next grid point: alike messages become one row."""
        records = list(self._read(_MOST_AT_ONCE))
        if records:
            if len(records) == _MOST_AT_ONCE:
                self._skip()
            # The log's clock is the CPU's, which nobody disciplines and which stands still in suspend. So only the
            # distance to the newest record counts, which was written at this moment.
            now = to_epoch(kernel_monotonic_ns())
            newest = max(record.uptime_us for record in records)
            for record in records:
                self._add(record, now - (newest - record.uptime_us) * 1000)
        return ()

    def collect(self, now: int) -> Iterable[Event]:
        """The messages since the last grid point; at the first, what was said before and is still so."""
        lasting, self._lasting = self._lasting, None
        if lasting:
            for record in lasting.values():
                yield _event(record, understood(record.text.decode("latin-1")), now, earlier=True)
        rows, self._rows = self._rows, {}
        yield from rows.values()

    @property
    def lost(self) -> int:
        """Messages that were overwritten, or came in a flood, before they were read."""
        return self._lost

    def close(self) -> None:
        """Close the log."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _read(self, most: int) -> Iterator[Record]:
        for _ in range(most):
            try:
                raw = os.read(self._fd, _SIZE)
            except BlockingIOError:
                return
            except BrokenPipeError:
                continue  # the next record was overwritten; the numbers tell how many were
            except OSError as error:
                if error.errno != errno.EINVAL:  # longer than any record may be: it stays, for ever
                    raise
                self._skip()
                return
            with bounded("/dev/kmsg", raw):
                record = parse_record(raw)
                if self._expected is not None:
                    self._lost += max(record.sequence - self._expected, 0)
                self._expected = record.sequence + 1
                yield record

    def _skip(self) -> None:
        """Go to the end: the number of the next record tells how many were left out."""
        os.lseek(self._fd, 0, os.SEEK_END)

    def _backlog(self) -> dict[tuple[str, str | None], Record]:
        """What was said before and is still so: errors of file systems that were not mounted again since."""
        lasting: dict[tuple[str, str | None], Record] = {}
        for record in self._read(_LONGEST_BACKLOG):
            if not record.from_kernel:
                continue
            said = understood(record.text.decode("latin-1"))
            device = said.groups.get("device")
            if said.kind == _UNMOUNTED:
                lasting = {key: kept for key, kept in lasting.items() if key[1] != device}
            elif said.kind in KINDS and KINDS[said.kind].lasts and not said.suppressed:
                lasting[said.kind, device] = record
        self._skip()
        self._lost, self._expected = 0, None
        return lasting

    def _add(self, record: Record, at_ns: int) -> None:
        said = understood(record.text.decode("latin-1")) if record.from_kernel else Said(_OF_PROGRAMS)
        event = _event(record, said, at_ns)
        key = _alike(event, record)
        if key not in self._rows and len(self._rows) >= _MOST_ALIKE:
            key = (event.message_kind, event.level)
        kept = self._rows.get(key)
        if kept is None:
            self._rows[key] = event
        else:
            kept.count = (kept.count or 0) + said.count


def _alike(event: KernelMessage, record: Record) -> Key:
    """What makes two messages one row; of no known kind, those of one source and level."""
    if event.message_kind in {OTHER, _OF_PROGRAMS}:
        return event.message_kind, event.level, event.source or record.facility
    named = (event.device, event.interface_name, event.pid, event.cpu, event.cgroup, event.port, event.subject)
    return (event.message_kind, event.suppressed, event.holder_pid, *named)


def _event(record: Record, said: Said, at_ns: int, *, earlier: bool = False) -> KernelMessage:
    groups = {group: name(value.encode("latin-1")) for group, value in said.groups.items()}
    known = said.kind in KINDS
    text = name(record.text)
    return KernelMessage(
        at_ns,
        message_kind=said.kind,
        from_kernel=record.from_kernel,
        level=record.level,
        importance=_LEAST_LEVEL - record.level + (_KNOWN if known else 0),
        count=said.count,
        suppressed=said.suppressed or None,
        earlier=earlier or None,
        source=source_of(text) if record.from_kernel else None,
        device=groups.get("device"),
        interface_name=groups.get("interface"),
        pid=_number(groups, "pid"),
        comm=groups.get("comm"),
        holder_pid=_number(groups, "holder_pid"),
        holder_comm=groups.get("holder_comm"),
        cpu=_number(groups, "cpu"),
        cgroup=groups.get("cgroup"),
        port=_number(groups, "port"),
        subject=groups.get("table") or groups.get("error") or groups.get("place"),
        blocked_s=_number(groups, "seconds"),
        sequence=record.sequence,
        uptime_us=record.uptime_us,
        text=text[:_LONGEST_TEXT],
    )


def _number(groups: dict[str, Any], group: str) -> int | None:
    digits = groups.get(group)
    return min(int(digits[:19]), INT64_MAX) if digits else None
