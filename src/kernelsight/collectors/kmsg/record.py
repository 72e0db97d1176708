r"""Records of /dev/kmsg (Documentation/ABI/testing/dev-kmsg).

A record is one read(2)::

    4,382,270892320,-,caller=T21;blk_print_req_error: 49 callbacks suppressed
     SUBSYSTEM=block
     DEVICE=b7:0

Before the semicolon: facility and level (`8 * facility + level`), sequence number, microseconds since boot, and flags;
later kernels may add fields. The kernel's own facility is 0, which it gives to nobody else: what a program writes to
/dev/kmsg gets another one (devkmsg_write in kernel/printk/printk.c). Characters that do not print, and the backslash,
stand as ``\xNN``. The lines after the first describe the device.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from kernelsight.collectors.text import integer

KERNEL, USER = 0, 1
_LEVEL_BITS = 3
_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")
_BY_A_TERMINAL = b"[U] "
"""Begins each line that a program writes to /dev/ttyprintk, which the kernel prints as its own
(drivers/char/ttyprintk.c)."""


class Record(NamedTuple):
    """One message."""

    facility: int
    level: int
    sequence: int
    uptime_us: int
    text: bytes
    """As it was written: nothing in it is escaped."""
    from_kernel: bool
    continues: bool
    """A piece of a line that the kernel writes in several (LOG_CONT)."""
    device: bytes | None
    """Such as `b7:0` or `+scsi:2:0:0:0`, where the record says it."""


def parse_record(raw: bytes) -> Record:
    """Parse what one read gave.

    Raises:
        ValueError: it is no record.
    """
    head, separator, body = raw.partition(b";")
    fields = head.split(b",")
    if not separator or len(fields) < 4:
        raise ValueError("it has no `;` after four fields")
    priority = integer(fields[0])
    text, *described = body.split(b"\n")
    text = _ESCAPED.sub(lambda matched: bytes((int(matched[1], 16),)), text)
    facility = priority >> _LEVEL_BITS
    return Record(
        facility=facility,
        level=priority & ((1 << _LEVEL_BITS) - 1),
        sequence=integer(fields[1]),
        uptime_us=integer(fields[2]),
        text=text,
        from_kernel=facility == KERNEL and not text.startswith(_BY_A_TERMINAL),
        continues=fields[3] in {b"c", b"+"},
        device=next((line[8:] for line in described if line.startswith(b" DEVICE=")), None),
    )
