"""The path of a finding as a picture: from who suffers, over each claim, to the culprit."""

from __future__ import annotations

import textwrap
from itertools import pairwise
from typing import Literal, NamedTuple

from kernelsight.diagnosis.model import Diagnosis, Finding
from kernelsight.diagnosis.naming import introduced, plain
from kernelsight.printable import printable

IN_A_ROW = 4
BOX_WIDTH, GAP, ROW_GAP, PADDING = 220, 36, 34, 12
LINE_HEIGHT = 17
_LETTERS = 28
"""Of a line in a box."""
_MOST_LINES = 6


class Box(NamedTuple):
    """One station of the path."""

    role: Literal["victim", "claim", "culprit"]
    head: str
    lines: tuple[str, ...]
    number: int
    """Of the claim; 0: it is none."""
    x: int
    y: int
    height: int


class Picture(NamedTuple):
    """Boxes in their order, and the arrows between them, in units of their own."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    arrows: tuple[str, ...]
    """Paths of SVG."""
    text: str
    """The same in words."""


def picture(diagnosis: Diagnosis, finding: Finding) -> Picture:
    """The picture of a finding's path."""
    victims = introduced(diagnosis, *finding.victims) if finding.victims else "nobody yet"
    culprit = introduced(diagnosis, finding.culprit)
    stations: list[tuple[Literal["victim", "claim", "culprit"], str, str]] = [
        ("victim", "Suffers", victims),
        *(("claim", f"Claim {number}", step.claim) for number, step in enumerate(finding.path, 1)),
        ("culprit", plain(finding.fault).capitalize(), f"{finding.culprit.kind} {culprit}"),
    ]
    wrapped = [_wrapped(printable(text)) for _, _, text in stations]
    boxes: list[Box] = []
    y = 0
    for first in range(0, len(stations), IN_A_ROW):
        row = range(first, min(first + IN_A_ROW, len(stations)))
        height = max(len(wrapped[place]) for place in row) * LINE_HEIGHT + LINE_HEIGHT + 2 * PADDING
        for place in row:
            role, head, _ = stations[place]
            number = place if role == "claim" else 0
            x = (place - first) * (BOX_WIDTH + GAP)
            boxes.append(Box(role, printable(head), tuple(wrapped[place]), number, x, y, height))
        y += height + ROW_GAP
    arrows = tuple(_arrow(before, after) for before, after in pairwise(boxes))
    width = min(len(stations), IN_A_ROW) * (BOX_WIDTH + GAP) - GAP
    words = "; ".join(f"{head}: {text}" for _, head, text in stations)
    return Picture(width, y - ROW_GAP, tuple(boxes), arrows, printable(words))


def _wrapped(text: str) -> list[str]:
    lines = textwrap.wrap(text, _LETTERS, max_lines=_MOST_LINES, placeholder=" …")
    return lines or [""]


def _arrow(before: Box, after: Box) -> str:
    if before.y == after.y:
        middle = before.y + before.height // 2
        return f"M{before.x + BOX_WIDTH},{middle} H{after.x - 2}"
    down = before.y + before.height
    start, end = before.x + BOX_WIDTH // 2, after.x + BOX_WIDTH // 2
    return f"M{start},{down} V{down + ROW_GAP // 2} H{end} V{after.y - 2}"
