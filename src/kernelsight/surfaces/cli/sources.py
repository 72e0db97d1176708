"""The sources of the collectors on the way out: a table for a person, plain values for a program."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kernelsight.collectors.base import Availability
from kernelsight.events.declare import kind_of
from kernelsight.printable import printable
from kernelsight.surfaces.cli.output import print_table


def print_sources(sources: Iterable[Availability]) -> None:
    """Print a line for each source: of a collector with several, the best that runs is used."""
    names = ("collector", "source", "runs here", "used", "tables", "what it reads, or why it cannot run")
    print_table(
        names,
        (
            (
                source.registered.name,
                source.registered.source,
                "yes" if source.available else "no",
                "yes" if source.used else "-",
                ", ".join(_tables(source)),
                printable(_said(source)),
            )
            for source in sources
        ),
        first=(*names[:4], names[-1]),
    )


def as_values(source: Availability) -> dict[str, Any]:
    """The same for JSON."""
    entry = source.registered
    return {
        "collector": entry.name,
        "source": entry.source,
        "available": source.available,
        "used": source.used,
        "default": entry.default,
        "tables": _tables(source),
        "reason": source.reason or None,
        "limitations": source.limitations,
        "capabilities": sorted(capability.name for capability in entry.needs),
    }


def _tables(source: Availability) -> list[str]:
    return [kind_of(struct).table for struct in source.registered.emits]


def _said(source: Availability) -> str:
    if not source.available:
        return source.reason
    limits = "; ".join(source.limitations)
    return f"{source.registered.summary} Stays empty: {limits}" if limits else source.registered.summary
