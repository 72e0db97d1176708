"""Read telemetry from the kernel and print it, one JSON event a line.

Without NAMEs, all collectors run that can run here. The samples stand on a fixed grid, by default
one a second. If a collector cannot run, stderr says why, and the others go on. When all sources are open, the process
gives up the privileges that no collector needs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import click

from kernelsight.collectors import realtime_priority, runner
from kernelsight.collectors.base import Host, current_name, list_collectors
from kernelsight.collectors.bpf_statistics import Statistics
from kernelsight.collectors.options import OPTIONS, parse_options
from kernelsight.errors import SourceUnavailableError, UsageError
from kernelsight.events.bpf_program import BpfProgram
from kernelsight.events.declare import kind_of
from kernelsight.surfaces.cli.command import Command, examples, interval_option, max_cpu_option, seconds
from kernelsight.surfaces.cli.completing import complete_collector
from kernelsight.surfaces.cli.sources import print_sources
from kernelsight.surfaces.stopping import stop_on_signals

BPF_PROGRAM = kind_of(BpfProgram).name


@click.command(cls=Command, help=__doc__)
@click.argument("names", nargs=-1, shell_complete=complete_collector, metavar="[NAME]...")
@interval_option
@click.option(
    "--duration",
    type=float,
    callback=seconds(or_nothing=True),
    metavar="SECONDS",
    help="Stop after this time. [default: run until Ctrl-C]",
)
@max_cpu_option
@click.option(
    "--list",
    "only_list",
    is_flag=True,
    help="List the collectors and their sources, and say which can run here and why others cannot.",
)
@click.option(
    "--keep-privileges", is_flag=True, help="Keep the privileges that no collector needs after its source is open."
)
@click.option(
    "-o",
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help=f"A setting of the collectors, such as threshold_ms=5; may be repeated: {', '.join(OPTIONS)}.",
)
@examples(
    "sudo kernelsight collect | kernelsight ingest",
    "kernelsight collect memory load --duration 5",
    "kernelsight collect --list",
)
def collect(  # noqa: PLR0913 - one argument an option
    *,
    names: Sequence[str],
    interval: float,
    duration: float | None,
    max_cpu: float,
    only_list: bool,
    keep_privileges: bool,
    options: Sequence[str],
) -> None:
    """Run collectors, or list them."""
    host = Host(options=parse_options(options), max_cpu=max_cpu / 100)
    if only_list:
        _list(names, host)
        return
    with _bpf_statistics(names) as statistics:
        _run(names, replace(host, bpf_statistics=statistics), interval, duration, keep_privileges=keep_privileges)


@contextmanager
def _bpf_statistics(names: Sequence[str]) -> Iterator[Statistics | None]:
    """A child that switches statistics of BPF programs on now and then, where somebody asks for them and it may."""
    if names and BPF_PROGRAM not in map(current_name, names):
        yield None
        return
    try:
        statistics = Statistics()
    except SourceUnavailableError:  # the collector says so in its reports
        yield None
        return
    try:
        yield statistics
    finally:
        statistics.close()


def _run(names: Sequence[str], host: Host, interval: float, duration: float | None, *, keep_privileges: bool) -> None:
    realtime_priority.come_first()
    realtime_priority.make_room(sys.stdout.fileno())
    code = runner.run(
        names,
        host,
        interval_s=interval,
        duration_s=duration,
        out=sys.stdout.fileno(),
        stop=stop_on_signals(),
        log=sys.stderr,
        drop_privileges=not keep_privileges,
    )
    click.get_current_context().exit(code)


def _list(names: Sequence[str], host: Host) -> None:
    wanted = {current_name(name) for name in names}
    entries = [entry for entry in list_collectors(host) if not wanted or entry.registered.name in wanted]
    if not entries:
        raise UsageError(f"no collector is called {' or '.join(map(repr, names))}")
    print_sources(entries)
