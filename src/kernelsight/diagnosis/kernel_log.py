"""What the kernel said in its log within a window, by the device or the process that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from kernelsight.diagnosis.mechanism import claim
from kernelsight.diagnosis.model import Step
from kernelsight.diagnosis.window import Window, grouped_by
from kernelsight.events.collector import CollectorReport
from kernelsight.events.kernel_message import KernelMessage

IO_ERROR, READ_ONLY, FILE_SYSTEM_ERROR = "io_error", "filesystem_read_only", "filesystem_error"
OF_STORAGE = (IO_ERROR, "device_timeout", "device_gone", "raid_degraded", READ_ONLY, FILE_SYSTEM_ERROR)
"""Kinds of messages that say that a disk or a file system is broken."""
_COLLECTOR = "kernel_message"
_LONGEST = 140
_AFTER_LETTER, _AFTER_DIGIT = re.compile(r"\d+"), re.compile(r"(?:n\d+)?(?:p\d+)?")
"""What follows the name of a disk in that of its partition (`sda1`, `loop0p1`), and that of a controller in that of its
disk (`nvme0`, `nvme0n1`)."""


def is_read(window: Window) -> bool:
    """Whether the kernel's log was read: then what it did not say, the kernel did not say."""
    reports = [row for row in window.rows(CollectorReport) if row.name == _COLLECTOR]
    return bool(reports) and all(row.status == "running" for row in reports)


def messages(window: Window, *kinds: str) -> list[KernelMessage]:
    """Messages of the kernel itself of some kinds, by time."""
    return [row for row in window.rows(KernelMessage) if row.message_kind in kinds and row.from_kernel]


def of_device(window: Window, device: str, number: str | None, *kinds: str) -> list[KernelMessage]:
    """Messages of some kinds about a device.

    Args:
        window: where they are from.
        device: its name, or the path below /dev that it is mounted by.
        number: major:minor, where known.
        kinds: of messages.
    """
    return [row for row in messages(window, *kinds) if row.device and is_about(row.device, device, number)]


def is_about(said: str, device: str, number: str | None) -> bool:
    """Whether a name in a message means a device: requests fail on the whole disk, file systems on its partition.

    Args:
        said: the name in the message.
        device: name or path below /dev of the device.
        number: major:minor, where known: the kernel calls `mapper/data` by `dm-` and its minor number.
    """
    name = device.removeprefix("/dev/")
    if said in {name, number}:
        return True
    part = _AFTER_DIGIT if said[-1:].isdigit() else _AFTER_LETTER
    if said and name.startswith(said) and part.fullmatch(name[len(said) :]):
        return True
    return number is not None and name.startswith("mapper/") and said == f"dm-{number.partition(':')[2]}"


def said(window: Window, rows: Sequence[KernelMessage]) -> Iterator[Step | None]:
    """A claim for each kind of message, with the first of that kind."""
    for alike in grouped_by(rows, lambda row: row.message_kind).values():
        first = next((row for row in alike if not row.suppressed), alike[0])
        count = sum(row.count or 0 for row in alike)
        text = (first.text or "")[:_LONGEST]
        before = " before it was recorded" if first.earlier else ""
        often = f" ({count} messages like it)" if count > 1 else ""
        yield claim(f'the kernel said{before}: "{text}"{often}', window.evidence(alike, KernelMessage.count, "sum"))
