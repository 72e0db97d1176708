"""Say what this machine and this user allow, which collectors run therefore, and what to do about the rest.

What can be tried is tried, with the smallest program of its kind; nothing is changed. Works for every
user, and without libbpf. Exit status 0: every collector that runs by default can run here. 1: at least
one cannot; its line says why and what to do. A lesser source, a column that stays empty, and a facility
that is missing but stood in for do not change it.
"""

from __future__ import annotations

from dataclasses import asdict

import click

from kernelsight.collectors.base import Host
from kernelsight.collectors.capabilities import Examination, Fact, examine
from kernelsight.printable import printable
from kernelsight.surfaces.cli.command import Command
from kernelsight.surfaces.cli.output import print_table, show
from kernelsight.surfaces.cli.sources import as_values, print_sources

_WORKS = {True: "yes", False: "no", None: "-"}


@click.command(cls=Command, help=__doc__)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
def doctor(*, as_json: bool) -> None:
    """Examine this machine."""
    found = examine(Host())
    if as_json:
        show([_values(found)], "json")
    else:
        _print(found)
    click.get_current_context().exit(1 if found.missing else 0)


def _values(found: Examination) -> dict[str, object]:
    return {
        "complete": not found.missing,
        "missing": found.missing,
        "machine": [asdict(fact) for fact in found.facts],
        "collectors": [as_values(source) for source in found.sources],
    }


def _print(found: Examination) -> None:
    print_table(("machine", "works", "what was found, and what to do"), (_row(fact) for fact in found.facts))
    click.echo()
    print_sources(found.sources)
    click.echo()
    if found.missing:
        click.echo(f"Cannot run here: {', '.join(found.missing)}; see above for what to do.")
    else:
        click.echo("Every collector that runs by default can run here.")


def _row(fact: Fact) -> tuple[str, str, str]:
    return fact.name, _WORKS[fact.works], printable(f"{fact.says} → {fact.remedy}" if fact.remedy else fact.says)
