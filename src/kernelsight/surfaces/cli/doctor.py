"""Say what does not work on this machine, and what to do about it; with -v, list all that was tried.

The command tries each facility with the smallest program of its kind. It changes nothing. Works for every
user, and without libbpf. Exit status 0: every collector that runs by default can run here. 1: at least
one cannot; its line says why and what to do. These do not change the status: a second-best source, a column that stays
empty, a missing facility that has a replacement, a collector that samples fewer seconds because collecting costs more
than it may (by the last reports in the database, where there is one).
"""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import asdict

import click

from kernelsight.collectors.base import Host, by_reason
from kernelsight.collectors.capabilities import Examination, Fact, examine
from kernelsight.errors import StoreError
from kernelsight.printable import printable
from kernelsight.stores.base import open_reader
from kernelsight.surfaces import figures
from kernelsight.surfaces.cli.command import Command, db_path_option, examples
from kernelsight.surfaces.cli.output import print_table, show
from kernelsight.surfaces.cli.sources import as_values, print_sources

_WORKS = {True: "yes", False: "no", None: "-"}


@click.command(cls=Command, help=__doc__)
@db_path_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
@click.option("-v", "--verbose", is_flag=True, help="Print everything that was tried, and every source of a collector.")
@examples(
    "kernelsight doctor",
    "kernelsight doctor -v",
)
def doctor(*, db_path: str, as_json: bool, verbose: bool) -> None:
    """Examine this machine."""
    examination = examine(Host())
    thinned = _thinned(db_path)
    if as_json:
        show([{**_values(examination), "thinned": thinned}], "json")
    elif verbose:
        _print_everything(examination)
        for line in _said_of(thinned):
            click.echo(printable(line))
    else:
        width = shutil.get_terminal_size().columns
        for line in (*_in_short(examination), *_said_of(thinned)):
            click.echo(textwrap.fill(printable(line), width, subsequent_indent="    ", break_on_hyphens=False))
    click.get_current_context().exit(1 if examination.missing else 0)


def _thinned(db_path: str) -> dict[str, str]:
    """The collectors that sample some seconds alone, and why; none where there is no database to tell."""
    try:
        reader = open_reader(db_path)
    except StoreError:
        return {}
    try:
        return figures.thinned(reader)
    finally:
        reader.close()


def _said_of(thinned: dict[str, str]) -> Iterator[str]:
    for reason, names in by_reason(thinned.items()).items():
        yield f"Thinned by the last reports: {', '.join(names)}: {reason}"


def _values(examination: Examination) -> dict[str, object]:
    return {
        "complete": not examination.missing,
        "missing": examination.missing,
        "machine": [asdict(fact) for fact in examination.facts],
        "collectors": [as_values(source) for source in examination.sources],
    }


def _in_short(examination: Examination) -> Iterator[str]:
    """Failures with a remedy, then failures without one; each reason once."""
    yield f"Kernel {os.uname().release}, user {os.geteuid()}. {_verdict(examination)}"
    reasons = _reasons(examination)
    for reason, names in reasons.items():
        yield f"Cannot run: {', '.join(names)}: {reason}"
    broken = [fact for fact in examination.facts if fact.works is False]
    for limit, names in _limits(examination).items():
        if not any(fact.remedy and fact.says == limit for fact in broken):
            yield f"Stays empty, in part: {', '.join(names)}: {limit}"
    remedies: dict[str, list[Fact]] = {}
    for fact in broken:
        if fact.remedy and not any(fact.says in reason for reason in reasons):
            remedies.setdefault(fact.remedy, []).append(fact)
    for remedy, facts in remedies.items():
        yield f"{', '.join(fact.name for fact in facts)}: {facts[0].says}"
        yield f"  → {remedy}"
    if helpless := [fact.name for fact in broken if not fact.remedy]:
        yield f"Not available here, and nothing can be done about it: {', '.join(helpless)}."
    yield "`kernelsight doctor -v` prints everything that was tried."


_OF_OTHERS = " of other users' processes:"


def _verdict(examination: Examination) -> str:
    wanted = {source.registered.name for source in examination.sources if source.registered.default}
    runs = len(wanted) - len(examination.missing)
    if examination.missing:
        return f"{runs} of {len(wanted)} collectors can run here."
    return f"All {runs} collectors that run by default can run here."


def _reasons(examination: Examination) -> dict[str, list[str]]:
    """Why collectors cannot run, each reason once: that of the best source of each."""
    best = {source.registered.name: source.reason for source in reversed(examination.sources)}
    return by_reason((name, best[name]) for name in examination.missing)


def _limits(examination: Examination) -> dict[str, list[str]]:
    """What the sources that are used cannot say, each limit once; of others' processes, by what is missing."""
    limits: dict[str, list[str]] = {}
    for source in examination.sources:
        for limit in source.limitations if source.used else ():
            what, of_others, why = limit.partition(_OF_OTHERS)
            name = source.registered.name
            limits.setdefault(f"{_OF_OTHERS.strip()}{why}" if of_others else limit, []).append(
                f"{name} ({what})" if of_others else name
            )
    return limits


def _print_everything(examination: Examination) -> None:
    print_table(("machine", "works", "what was found, and what to do"), (_row(fact) for fact in examination.facts))
    click.echo()
    print_sources(examination.sources)
    click.echo()
    click.echo(_verdict(examination))


def _row(fact: Fact) -> tuple[str, str, str]:
    return fact.name, _WORKS[fact.works], printable(f"{fact.says} → {fact.remedy}" if fact.remedy else fact.says)
