"""Files of sysfs that hold one value each."""

from __future__ import annotations

import os
from pathlib import Path

from kernelsight.collectors.files import read_once
from kernelsight.collectors.text import name, number


def value(path: Path | str) -> int | None:
    """The number in a file; None where there is none: the kernel, the driver or the hardware does not have it."""
    said = read_once(path)
    return number(said.strip()) if said and said.strip() else None


def word(path: Path | str) -> str | None:
    """The text in a file, without blanks around it; None where there is none."""
    said = read_once(path)
    return name(said.strip()) or None if said else None


def names(folder: Path) -> list[str]:
    """What is in a directory, in order; nothing where it is not there."""
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - names are enough
    except OSError:
        return []
