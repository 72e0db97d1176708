"""What a kind of message of the kernel's log is: its name, its meaning, and the texts that are of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_NAMES = (
    "device sector operation error interface comm pid holder_comm holder_pid cpu seconds cgroup table port place amount"
)
GROUPS = frozenset(_NAMES.split())
"""What the groups of a pattern may be called."""

COMM = r"(?P<comm>(?!process ').{1,15})"
"""The name of a task: 15 bytes that its owner chose. A longer match could begin in a task's name and end in the name of
a file, which `process 'FILE' started with executable stack` shows."""
DEVICE = r"(?P<device>[\w!/.:-]{1,64})"
INTERFACE = r"(?P<interface>[^\s:/]{1,15})"


@dataclass(frozen=True, slots=True)
class Pattern:
    """The beginning of a message.

    Patterns are anchored at the start of the text: later parts are names that processes, disks and hosts choose.
    A character of the text is a byte of the message.
    """

    expression: str
    example: str
    """A message that it matches, as a kernel prints it."""
    source: str
    """File and function of the kernel that prints it; versions, where the wording differs."""
    compiled: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        compiled = re.compile(self.expression, re.ASCII | re.DOTALL)
        if unknown := compiled.groupindex.keys() - GROUPS:
            raise TypeError(f"{self.expression}: unknown group {min(unknown)!r}")
        object.__setattr__(self, "compiled", compiled)


@dataclass(frozen=True, slots=True)
class MessageKind:
    """A kind of message."""

    name: str
    meaning: str
    patterns: tuple[Pattern, ...]
    limited_by: tuple[str, ...] = ()
    """Functions in whose name the kernel says how many messages of this kind it left out
    (`blk_print_req_error: 49 callbacks suppressed`; ___ratelimit in lib/ratelimit.c)."""
    lasts: bool = False
    """What it says stays so, until the file system is mounted again: it matters also when it was said before."""
