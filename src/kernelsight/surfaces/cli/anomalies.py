"""List series that left their usual course, or look for such series in a past range.

An anomaly is one series (a measurement of the machine, a device, a process …) that behaves as it has not behaved
before. Anomalies that begin together are one incident. Baselines are learned from the store: they need five minutes
before the range, and half an hour is enough. The exit status is 3 where nothing was recorded in the range.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
import msgspec

from kernelsight.anomalies.settings import LEARN_MINUTES, MOST_SERIES, THRESHOLD
from kernelsight.events.anomaly import Anomaly
from kernelsight.moments import format_time, to_second
from kernelsight.printable import json_escaped
from kernelsight.surfaces.cli.command import NOT_KNOWN, Group, db_path_option, examples, since_option, until_option
from kernelsight.surfaces.cli.output import Format, format_option, show
from kernelsight.surfaces.looking import every_option, keep_looking
from kernelsight.surfaces.stopping import stop_on_signals
from kernelsight.surfaces.tables import Shape
from kernelsight.surfaces.unprivileged import serve_as_owner

if TYPE_CHECKING:
    from kernelsight.query import TimeRange
    from kernelsight.query.rows import Row

_SHAPE = Shape(
    by_row=("value", "low", "high"), first=("time", "series", "entity", "metric", "kind", "value", "high", "score")
)
_ALL = click.option("--all", "each", is_flag=True, help="Print one row for each anomaly, not for each incident.")


@click.group(cls=Group, help=__doc__)
@examples(
    "kernelsight anomalies list",
    "kernelsight anomalies detect --since 1h",
)
def anomalies() -> None:
    """Questions about anomalies."""


@anomalies.command("list")
@db_path_option
@since_option("1h")
@until_option
@_ALL
@format_option
def list_(*, db_path: str, since: str, until: str, each: bool, form: Format) -> None:
    """Print the incidents that are stored, the strongest series of each first."""
    from kernelsight.anomalies.stored import stored  # noqa: PLC0415 - with it comes the query API
    from kernelsight.query import time_range  # noqa: PLC0415

    when = time_range(since, until)
    anomalies_stored = stored(db_path, when.start_ns, when.end_ns)
    _print(db_path, when, anomalies_stored, form, each=each, empty=f"no anomalies stored {when}")


@anomalies.command()
@db_path_option
@since_option("1h")
@until_option
@_ALL
@click.option(
    "--learn",
    default=f"{LEARN_MINUTES}m",
    show_default=True,
    metavar="DURATION",
    help="Learn the baselines from this much time before the range.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(min=0, min_open=True),
    default=THRESHOLD,
    show_default=True,
    metavar="SCORE",
    help="Least score, as a decimal logarithm; a lower score finds more anomalies.",
)
@click.option(
    "--max-series",
    type=click.IntRange(min=1),
    default=MOST_SERIES,
    show_default=True,
    help="Watch at most this many series.",
)
@click.option("--events", is_flag=True, help="Print events for `kernelsight ingest`, one JSON object a line.")
@format_option
def detect(  # noqa: PLR0913 - one argument an option
    *,
    db_path: str,
    since: str,
    until: str,
    each: bool,
    learn: str,
    threshold: float,
    max_series: int,
    events: bool,
    form: Format,
) -> None:
    """Look for anomalies in a past range. This only reads the store.

    `kernelsight anomalies detect --events | kernelsight ingest` stores them, while no other daemon writes there.
    """
    from kernelsight.anomalies.episodes import Sensitivity  # noqa: PLC0415 - with it comes numpy
    from kernelsight.anomalies.replay import detect as look  # noqa: PLC0415
    from kernelsight.events.wire import encode_lines  # noqa: PLC0415
    from kernelsight.query import parse_duration, time_range  # noqa: PLC0415

    when = time_range(since, until)
    anomalies_found = look(
        db_path, when, learn_ns=parse_duration(learn), sensitivity=Sensitivity(threshold), most_series=max_series
    )
    if events:
        lines = encode_lines(anomalies_found)
        sys.stdout.buffer.write(json_escaped(lines) if sys.stdout.isatty() else lines)
        return
    _print(db_path, when, anomalies_found, form, each=each, empty=f"nothing unusual {when}")


@anomalies.command()
@db_path_option
@every_option
def watch(*, db_path: str, every: float) -> None:
    """Look for anomalies as they happen, until Ctrl-C; waits for the database where there is none yet.

    The first half hour of a machine's life is for learning, and so are the first minutes after a start without any.
    """
    serve_as_owner(db_path, ["query", "anomalies"])
    from kernelsight.anomalies.live import Live  # noqa: PLC0415 - with it comes numpy

    keep_looking([lambda: Live(db_path)], every, stop_on_signals(), lambda _: None)


def _print(  # noqa: PLR0913 - what was asked, and how it is shown
    db_path: str, when: TimeRange, listed: Sequence[Anomaly], form: Format, *, each: bool, empty: str
) -> None:
    from kernelsight.anomalies.stored import incidents, silence  # noqa: PLC0415 - as above
    from kernelsight.query.presence import STEADY, last_row, why_nothing  # noqa: PLC0415
    from kernelsight.query.rows import with_time  # noqa: PLC0415

    if not listed and last_row(db_path, STEADY, when) is None:
        click.echo(f"not known: {why_nothing(db_path)}", err=True)
        click.get_current_context().exit(NOT_KNOWN)
    silent = silence(db_path, when)
    rows = [with_time(msgspec.structs.asdict(anomaly)) for anomaly in listed] if each else incidents(listed, silent)
    show(map(_for_people, rows) if form == "table" else rows, form, empty=empty, shape=_SHAPE)
    if silent is not None:
        click.echo(f"nothing was recorded after {to_second(silent)}: what began later is not known", err=True)


def _for_people(row: Row) -> Row:
    """A row whose moments are texts."""
    end_ns = row["end_ns"]
    told: Row = {"time": row["time"], "end": format_time(end_ns) if isinstance(end_ns, int) else row.get("end", "open")}
    return told | {name: value for name, value in row.items() if name not in {"timestamp", "incident", "end_ns", "end"}}
