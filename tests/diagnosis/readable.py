"""What no text for people may have."""

from __future__ import annotations

import re
from collections.abc import Iterable

UNREADABLE = {
    "an exponent": re.compile(r"\d[eE][+-]\d"),
    "a unit too small for its number": re.compile(r"\d,\d{3},\d{3} ?(?:bytes|B|KiB|ns|us|ms)\b"),
    "what Python calls nothing": re.compile(r"\b(?:None|nan|inf)\b"),
    "a number too long to read": re.compile(r"(?<![\w./(:-])\d{7,}(?![\w/):-])"),
}
"""Pids, ports, inodes and names stand in brackets, behind colons or within words."""


def unreadable(lines: Iterable[str]) -> list[str]:
    """The lines that people could not read, each with why."""
    return [f"{why}: {line}" for line in lines for why, pattern in UNREADABLE.items() if pattern.search(line)]
