"""What `top` and `replay` share: whether a screen can be shown, and the store that it shows."""

from __future__ import annotations

import importlib.util
import sys

from kernelsight.errors import KernelSightError
from kernelsight.stores.base import open_reader

_MINUTE_NS = 60 * 1_000_000_000


def run_screen(db_path: str, *, at_ns: int | None = None, every_s: float = 1.0) -> None:
    """Show a store until a person quits.

    Raises:
        KernelSightError: there is no terminal, Textual is not installed, or the store cannot be read.
    """
    if importlib.util.find_spec("textual") is None:
        raise KernelSightError("this needs Textual: pip install 'kernelsight[terminal]'")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise KernelSightError("this needs a terminal; `kernelsight diagnose` and `kernelsight query` print lines")
    from kernelsight.surfaces.top.app import Top  # noqa: PLC0415 - for a terminal alone, and slow to load

    reader = open_reader(db_path)
    try:
        Top(reader, db_path, at_ns=at_ns, every_s=every_s, diagnose=lambda end_ns: _diagnosed(db_path, end_ns)).run()
    finally:
        reader.close()


def _diagnosed(db_path: str, end_ns: int) -> list[tuple[str, str]]:
    from kernelsight.agent.commands import command  # noqa: PLC0415 - when a person asks for it
    from kernelsight.diagnosis import diagnose  # noqa: PLC0415
    from kernelsight.diagnosis.report import report  # noqa: PLC0415
    from kernelsight.surfaces.cli.output import STYLES  # noqa: PLC0415

    diagnosis = diagnose(db_path, max(0, end_ns - _MINUTE_NS), end_ns)
    return [(line.text, STYLES[line.style]) for line in report(diagnosis, command=command)]
