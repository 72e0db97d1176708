"""List the named symptoms of a range, or keep the stored ones up to date while events come in.

    kernelsight signals --since 1h

lists them: what is stored, and what the part of the range that nobody has looked at yet has, found from its
events on the spot. `kernelsight signals watch` keeps the tables `signals` and `coincidences` up to date beside
the daemon; `kernelsight start` does, too. The rules are in docs/signals.md.

An episode goes on, is over, or its end is not known: nothing was recorded after it was last seen (`state` in JSON).
The exit status is 3 where nothing was recorded in the range, and 0 otherwise, whatever was found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, get_args

import click
import msgspec

from kernelsight.events.signal import Severity, Signal
from kernelsight.printable import printable
from kernelsight.surfaces.cli.command import NOT_KNOWN, Group, db_path_option, examples, since_option, until_option
from kernelsight.surfaces.cli.completing import complete_rule
from kernelsight.surfaces.cli.output import Format, format_option, show
from kernelsight.surfaces.looking import every_option, keep_looking
from kernelsight.surfaces.stopping import stop_on_signals
from kernelsight.surfaces.tables import Shape
from kernelsight.surfaces.unprivileged import serve_as_owner

if TYPE_CHECKING:
    from kernelsight.query.rows import Row

_SHAPE = Shape(first=("time", "severity", "summary", "rule", "end"))
_SEVERITIES: tuple[str, ...] = get_args(Severity)


@click.group(cls=Group, help=__doc__, invoke_without_command=True)
@db_path_option
@since_option("1h")
@until_option
@click.option("--rule", metavar="NAME", shell_complete=complete_rule, help="List only signals of this rule.")
@click.option(
    "--severity",
    type=click.Choice(_SEVERITIES),
    default=_SEVERITIES[0],
    show_default=True,
    help="List only signals of this severity or a higher one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line, with all columns.")
@format_option
@click.pass_context
@examples("kernelsight signals --since 1h --severity critical")
def signals(  # noqa: PLR0913 - one argument an option
    context: click.Context,
    *,
    db_path: str,
    since: str,
    until: str,
    rule: str | None,
    severity: str,
    as_json: bool,
    form: Format,
) -> None:
    """List signals."""
    if context.invoked_subcommand is not None:
        return
    from kernelsight.errors import UsageError  # noqa: PLC0415 - with it comes the query API
    from kernelsight.moments import to_second  # noqa: PLC0415
    from kernelsight.query import time_range  # noqa: PLC0415
    from kernelsight.query.presence import is_silent_after, why_nothing  # noqa: PLC0415
    from kernelsight.query.rows import with_time  # noqa: PLC0415
    from kernelsight.signals.listed import listed  # noqa: PLC0415
    from kernelsight.signals.registry import rules  # noqa: PLC0415
    from kernelsight.signals.state import episodes, last_recorded  # noqa: PLC0415

    if rule is not None and rule not in rules():
        raise UsageError(f"there is no rule {rule!r}; docs/rules.md lists the rules")
    enough = _SEVERITIES[_SEVERITIES.index(severity) :]
    when = time_range(since, until)
    judged = [
        signal
        for signal in listed(db_path, when)
        if (rule is None or signal.rule == rule) and signal.severity in enough
    ]
    whole = as_json or form != "table"
    rows = [
        {**with_time(msgspec.structs.asdict(episode.signal)), "state": episode.state}
        for episode in episodes(db_path, judged, when)
    ]
    if not whole:
        rows = [_short(row) for row in rows]
    last_ns = last_recorded(db_path, when)
    if last_ns is None and not rows:
        click.echo(f"not known: {why_nothing(db_path)}", err=True)
        context.exit(NOT_KNOWN)
    show(rows, "json" if as_json else form, empty=f"no signals {when}", shape=_SHAPE)
    if last_ns is not None and is_silent_after(last_ns, when):
        click.echo(f"nothing was recorded after {to_second(last_ns)}: what began later is not known", err=True)
    if rows:
        _tell_mutes(db_path, when.end_ns)


def _tell_mutes(db_path: str, end_ns: int) -> None:
    """Say which findings are muted: their symptoms are signals all the same."""
    from kernelsight.diagnosis.muting import holding, mutes  # noqa: PLC0415 - as above
    from kernelsight.moments import to_second  # noqa: PLC0415
    from kernelsight.query.source import opened  # noqa: PLC0415

    with opened(db_path) as reader:
        held = holding(mutes(reader), end_ns)
    for mute in held:
        of = f"{mute.fault} of {mute.culprit}" if mute.culprit else str(mute.fault)
        until = to_second(mute.until_ns or end_ns)
        line = f"muted until {until}, its signals are listed all the same: {of}: {mute.reason}"
        click.echo(printable(line), err=True)


def _short(row: Row) -> Row:
    from kernelsight.moments import format_time  # noqa: PLC0415 - as above

    end, state = row["end_ns"] or row["last_seen_ns"], row["state"]
    ended = format_time(end) if isinstance(end, int) and state != "goes on" else "goes on"
    return {
        "time": row["time"],
        "end": f"last seen {ended}; nothing recorded since" if state == "not known" else ended,
        "severity": row["severity"],
        "rule": row["rule"],
        "summary": row["summary"],
    }


@signals.command()
@db_path_option
@every_option
@click.option("--verbose", is_flag=True, help="Print a line when a signal begins, becomes worse or is over.")
def watch(*, db_path: str, every: float, verbose: bool) -> None:
    """Keep signals and coincidences up to date with the events until Ctrl-C; waits until the database exists."""
    serve_as_owner(db_path, ["query", "signals"])
    from kernelsight.signals.live import Keeper  # noqa: PLC0415 - as above

    keep_looking([lambda: Keeper(db_path)], every, stop_on_signals(), _teller() if verbose else lambda _: None)


def _teller() -> Callable[[Signal], None]:
    """Says of each signal what is new about it, on stderr."""
    known: dict[tuple[int, str | None, str | None], str] = {}

    def tell(signal: Signal) -> None:
        key = signal.timestamp, signal.rule, signal.entity
        state = "over" if signal.end_ns is not None else str(signal.severity)
        if known.get(key) != state:
            click.echo(f"{state}: {signal.rule}: {printable(str(signal.summary))}", err=True)
        known[key] = state
        if signal.end_ns is not None:
            del known[key]

    return tell
