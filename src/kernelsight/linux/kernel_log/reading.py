"""What a message of the kernel's log says, by the declared kinds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from kernelsight.linux.kernel_log import hardware, network, storage, tasks
from kernelsight.linux.kernel_log.kinds import MessageKind

KINDS: Mapping[str, MessageKind] = {
    kind.name: kind for module in (storage, tasks, network, hardware) for kind in module.KINDS
}
"""All kinds by name."""

OTHER = "other"
"""Name for a message of the kernel that is of none of them."""

_PATTERNS = tuple((kind.name, pattern.compiled) for kind in KINDS.values() for pattern in kind.patterns)
_LIMITED = {function: kind.name for kind in KINDS.values() for function in kind.limited_by}
_SUPPRESSED = re.compile(r"(.{1,64}): (\d{1,9}) callbacks suppressed", re.ASCII)
_SOURCE = re.compile(r"[\w/.+ -]{1,40}(?: \([^)]{1,40}\))?(?=: )", re.ASCII)
_LONGEST = 2048


@dataclass(frozen=True, slots=True)
class Said:
    """What one message says."""

    kind: str
    """A name of :data:`KINDS`, or :data:`OTHER`."""
    count: int = 1
    """Messages that it stands for."""
    suppressed: bool = False
    """The kernel says only how many it left out."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """What its pattern names, as text."""


def understood(text: str) -> Said:
    """The kind of a message of the kernel's own, and what it names."""
    text = text[:_LONGEST]
    for kind, compiled in _PATTERNS:
        if matched := compiled.match(text):
            return Said(kind, groups={name: value for name, value in matched.groupdict().items() if value is not None})
    if matched := _SUPPRESSED.fullmatch(text):
        return Said(_LIMITED.get(matched[1], OTHER), int(matched[2]), suppressed=True)
    return Said(OTHER)


def source_of(text: str) -> str | None:
    """Who says it, by the prefix that most messages have, such as `EXT4-fs (sda1)`; None where it has none."""
    matched = _SOURCE.match(text)
    return matched[0] if matched else None
