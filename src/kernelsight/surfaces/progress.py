"""Work that takes a while, with a bar on a terminal and without a word elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import TypeVar

from kernelsight.stores.backup import Progress

T = TypeVar("T")


def follow(work: Generator[Progress, None, T]) -> T:
    """Do the work to its end, show how far it is, and give its result."""
    from rich import progress as bars  # noqa: PLC0415 - takes long to import
    from rich.console import Console  # noqa: PLC0415

    columns = (bars.TextColumn("{task.description}"), bars.BarColumn(), bars.TaskProgressColumn())
    with bars.Progress(*columns, console=Console(file=sys.stderr), transient=True) as shown:
        task = shown.add_task("")
        while True:
            try:
                step = next(work)
            except StopIteration as done:
                result: T = done.value
                return result
            shown.update(task, description=step.step, completed=step.done, total=max(1, step.total))
