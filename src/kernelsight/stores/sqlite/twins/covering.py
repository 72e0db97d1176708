"""Where the rows of a range lie: in which files of twins, and in which segments."""

from __future__ import annotations

from dataclasses import dataclass

from kernelsight.stores.sqlite.segments import Segment
from kernelsight.stores.sqlite.twins.books import Twin, TwinFile

Span = tuple[int | None, int | None]
"""First and last stamp of a range, both included; None: without an end."""


@dataclass(frozen=True, slots=True)
class Usable:
    """A file of twins that is there as it was made, and what of it counts."""

    file: TwinFile
    twins: tuple[Twin, ...]
    whole: bool
    """Whether all rows of the file are theirs."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """The rows of one table in a range: in these files, and in these segments."""

    files: tuple[Usable, ...]
    segments: tuple[Segment, ...]
