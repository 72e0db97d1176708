"""Run the whole system until Ctrl-C: collect, store, and show the state.

The collectors and the ingestion daemon run as processes of their own, joined by a pipe. One more process looks for
signals and anomalies in the stored events, one is the agent, and one serves the web pages. A part that dies is started
again. Ctrl-C, SIGTERM or the end of --duration stop the collectors first; then the daemon stores the events that are
still in the pipe, and ends. The other parts take a last look and end.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from kernelsight.stores.base import DEFAULT_DB_PATH
from kernelsight.surfaces.cli.command import (
    Command,
    db_path_option,
    examples,
    interval_option,
    max_cpu_option,
    policy_option,
    seconds,
)
from kernelsight.surfaces.cli.completing import complete_collector
from kernelsight.surfaces.figures import human_bytes
from kernelsight.surfaces.keeping import as_arguments, keeping_options, limits_of
from kernelsight.surfaces.stopping import stop_on_signals
from kernelsight.surfaces.supervisor.loop import Supervisor
from kernelsight.surfaces.supervisor.part import Part
from kernelsight.surfaces.supervisor.views import LiveView, PlainView, on_terminal, verdict
from kernelsight.surfaces.supervisor.watch import Watch

_OBSERVES = "the agent observes; --policy FILE lets it do more"


@click.command(cls=Command, help=__doc__)
@click.argument("collectors", nargs=-1, shell_complete=complete_collector, metavar="[COLLECTOR]...")
@db_path_option
@click.option(
    "--duration",
    type=float,
    callback=seconds(),
    metavar="SECONDS",
    help="Stop after this time. [default: run until Ctrl-C]",
)
@interval_option
@max_cpu_option
@click.option("--no-agent", is_flag=True, help="Run without the agent.")
@click.option(
    "--agent-interval",
    type=float,
    callback=seconds(),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two looks of the agent while the machine is healthy.",
)
@click.option(
    "--no-web", is_flag=True, envvar="KERNELSIGHT_NO_WEB", show_envvar=True, help="Run without the web pages."
)
@click.option(
    "--web-port", type=click.IntRange(1, 65535), default=7710, show_default=True, help="Port of the web pages."
)
@keeping_options()
@policy_option
@examples(
    "kernelsight start",
    "kernelsight start --duration 60 --no-agent",
    "kernelsight start memory load cpu --db-path small.db",
    "kernelsight start --keep 90d --max-disk 20GB",
)
def start(  # noqa: PLR0913 - one argument an option
    *,
    collectors: Sequence[str],
    db_path: str,
    duration: float | None,
    interval: float,
    max_cpu: float,
    no_agent: bool,
    agent_interval: float,
    no_web: bool,
    web_port: int,
    keep_sql: Sequence[str],
    keep: Sequence[str],
    keep_rollups: Sequence[str],
    max_disk: str | None,
    policy_path: str | None,
) -> None:
    """Supervise the parts."""
    limits_of(keep_sql, keep, keep_rollups, max_disk)  # what is wrong with them is said before anything runs
    if policy_path is not None:
        from kernelsight.agent.acting import policy_file  # noqa: PLC0415 - the agent's rooms, for this look alone

        policy_file.load(policy_path)  # what is wrong with it is said before anything runs
    notes = "" if no_agent or policy_path else _OBSERVES
    parts = _parts(collectors, db_path, interval, max_cpu, as_arguments(keep_sql, keep, keep_rollups, max_disk))
    if not no_agent:
        parts.append(_agent(db_path, agent_interval, policy_path))
    if not no_web and importlib.util.find_spec("uvicorn") is not None:
        parts.append(_web(db_path, web_port, policy_path))
    stop = stop_on_signals()
    watch = Watch(db_path)
    live = on_terminal()
    if not live:
        click.echo(f"KernelSight → {db_path}; Ctrl-C stops" + (f"; {notes}" if notes else ""))
    try:
        with LiveView(watch, notes, asks=not no_agent) if live else PlainView(watch) as view:
            code = Supervisor(parts, view, stop, duration_s=duration).run()
        if code == 0:
            _summarise(watch, asks=not no_agent)
    finally:
        watch.close()
    click.get_current_context().exit(code)


def _parts(
    collectors: Sequence[str], db_path: str, interval: float, max_cpu: float, keeping: Sequence[str]
) -> list[Part]:
    """The system. What else is to run beside these is one more entry."""

    def collect(seconds_left: float | None) -> list[str]:
        limit = [] if seconds_left is None else ["--duration", f"{seconds_left:.3f}"]
        return ["collect", "--interval", str(interval), "--max-cpu", str(max_cpu), *limit, "--", *collectors]

    complete = ["--complete-since", str(time.time_ns())]  # the pipe between the parts stays, whichever of them dies
    return [
        Part("collect", collect, pipe="writes"),
        Part("ingest", lambda _: ["ingest", "--brief", *complete, *keeping, "--db-path", db_path], pipe="reads"),
        Part("watch", lambda _: ["watch", "--db-path", db_path], essential=False),
    ]


def _agent(db_path: str, interval: float, policy_path: str | None) -> Part:
    """The agent; it keeps root's power only where a policy was given that may need it."""
    policy = [] if policy_path is None else ["--policy", policy_path]
    arguments = ["agent", "--db-path", db_path, "--interval", str(interval), *policy]
    return Part("agent", lambda _: arguments, essential=False)


def _web(db_path: str, port: int, policy_path: str | None) -> Part:
    """The web pages; like the agent, they keep root's power only where a policy was given that may need it."""
    policy = [] if policy_path is None else ["--policy", policy_path]
    arguments = ["serve", "--db-path", db_path, "--port", str(port), *policy]
    return Part("web", lambda _: arguments, essential=False)


def _summarise(watch: Watch, *, asks: bool) -> None:
    """Three lines: the verdict, what was stored, what to type next."""
    figures = watch.look(whole=True)
    rows, tables = watch.stored()
    click.echo(verdict(figures, asks=asks))
    click.echo(
        f"ran for {figures.seconds:.0f} s: {figures.totals.stored:,} events stored, {figures.troubles};"
        f" {watch.db_path}: {rows:,} rows in {tables} tables, {human_bytes(figures.size_bytes)}"
    )
    click.echo(f"next:  {'   or:  '.join(_next_commands(watch.db_path))}")


def _next_commands(db_path: str) -> tuple[str, str]:
    """What to type to see what was stored, as short as it works from here."""
    program = Path(sys.argv[0])
    name = shlex.quote(min(os.path.relpath(program), str(program), key=len))
    database = "" if _is_default(db_path) else f" --db-path {shlex.quote(db_path)}"
    return f"{name} status{database}", f"{name} diagnose --since 1m{database}"


def _is_default(db_path: str) -> bool:
    return Path(db_path).absolute() == Path(DEFAULT_DB_PATH).absolute()
