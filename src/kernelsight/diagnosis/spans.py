"""Stretches of time as pairs of moments: which gaps are between stamps, and what stretches have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

Span = tuple[int, int]
"""From a moment to another one (ns since the epoch)."""


def holes(stamps: Sequence[int], within: Span, longest_ns: int) -> list[Span]:
    """The stretches of a window, longer than allowed, in which no stamp lies.

    Args:
        stamps: moments within the window, in order.
        within: the window.
        longest_ns: how far apart stamps, and the window's ends from them, may be.
    """
    borders = [within[0], *stamps, within[1]]
    if not stamps:
        return [within]
    return [(a, b) for a, b in pairwise(borders) if b - a > longest_ns]


def rest(taken: Iterable[Span], within: Span) -> list[Span]:
    """What is left of a window without some stretches of it, which are in order and apart."""
    left: list[Span] = []
    at = within[0]
    for start, end in taken:
        if start > at:
            left.append((at, start))
        at = max(at, end)
    if at < within[1] or within[0] == within[1] == at:
        left.append((at, within[1]))
    return left


def union(*several: Iterable[Span]) -> list[Span]:
    """All the time that lies in one of several sets of stretches, in order and apart."""
    merged: list[Span] = []
    for start, end in sorted(span for spans in several for span in spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((start, end))
    return merged


def common(first: Sequence[Span], second: Sequence[Span]) -> list[Span]:
    """The time that lies in both of two sets of stretches, each in order and apart."""
    shared: list[Span] = []
    i = j = 0
    while i < len(first) and j < len(second):
        start, end = max(first[i][0], second[j][0]), min(first[i][1], second[j][1])
        if start < end:
            shared.append((start, end))
        if first[i][1] < second[j][1]:
            i += 1
        else:
            j += 1
    return shared


def length(spans: Iterable[Span]) -> int:
    """How long stretches are together (ns)."""
    return sum(end - start for start, end in spans)
