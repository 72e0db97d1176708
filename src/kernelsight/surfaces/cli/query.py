"""Query a database: rows, top consumers, series, percentiles, events around a moment, changes.

A TABLE is the name of a table or of a kind (`syscall_events` or `syscall`); a METRIC is one of its
numeric columns; `docs/data-dictionary.md` lists them. Counters are turned into rates a second. A time
is `now`, an age such as `15m` or `1h30m`, a time of day, a date with time, or nanoseconds since the
epoch. A condition is a comparison such as `latency_ns>=10ms`, `comm=postgres` or `comm like kworker%`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import click

from kernelsight import query as ask
from kernelsight.query.planner import planning
from kernelsight.query.points import unit_named
from kernelsight.query.presence import STEADY, last_row, why_no_rows
from kernelsight.query.source import kind_named
from kernelsight.query.times import EVERYTHING
from kernelsight.query.top import default_function
from kernelsight.surfaces.cli.command import Group, db_path_option, examples, since_option, until_option
from kernelsight.surfaces.cli.completing import TIME, complete_column, complete_metric, complete_table
from kernelsight.surfaces.cli.output import Format, chosen_columns, format_option, show, show_json, wide_option
from kernelsight.surfaces.tables import Shape, shape_of

_OF_CHANGES = Shape(
    by_row=("before", "after", "change"), first=("metric", "entity", "before", "after", "factor", "table")
)
F = TypeVar("F", bound=Callable[..., Any])

_WHERE = click.option(
    "--where", multiple=True, metavar="CONDITION", help="Use only rows that meet this condition; may be repeated."
)
_BY = click.option(
    "--by",
    multiple=True,
    metavar="COLUMN",
    shell_complete=complete_column,
    help="Group by this column; may be repeated.",
)


def _explained(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Have said on stderr, after the answer, which way each part of the question went."""
    del param
    if not value:
        return
    plans = ctx.with_resource(planning())

    def tell() -> None:
        for plan in plans:
            taken = f"{plan.taken_ns / 1e6:,.1f} ms"
            click.echo(f"{', '.join(plan.tables)}: {plan.way} in {taken}; {plan.because}", err=True)

    ctx.call_on_close(tell)


_EXPLAIN = click.option(
    "--explain",
    is_flag=True,
    expose_value=False,
    callback=_explained,
    help="Say on stderr how the question was answered: by row through indexes, or by column, and why.",
)


def _about_a_range(command: F) -> F:
    """The options of a question about the rows of a time range."""
    for option in (_EXPLAIN, format_option, db_path_option, _WHERE, until_option, since_option("15m")):
        command = option(command)
    return command


@click.group(cls=Group, help=__doc__)
@examples(
    "kernelsight query top process utime_ms --by comm --since 5m",
    "kernelsight query series memory mem_available_kb --since 1h",
    "kernelsight query around 14:05 --window 10s",
)
def query() -> None:
    """Questions about telemetry."""


@query.command("range")
@click.argument("table", shell_complete=complete_table)
@_about_a_range
@click.option("--order-by", default="timestamp", show_default=True, metavar="COLUMN", help="Order rows by this column.")
@click.option("--descending", is_flag=True, help="Greatest first.")
@click.option(
    "--limit", type=click.IntRange(min=0), default=100, show_default=True, help="Print at most this many rows."
)
@examples("kernelsight query range syscall_events --where 'latency_ns>=100ms' --order-by latency_ns --descending")
def range_(  # noqa: PLR0913 - one argument an option, here and below
    *,
    table: str,
    since: str,
    until: str,
    where: Sequence[str],
    order_by: str,
    descending: bool,
    limit: int,
    db_path: str,
    form: Format,
) -> None:
    """Print the rows of TABLE in a time range."""
    names = chosen_columns() or None
    rows = ask.rows(
        db_path,
        table,
        since,
        until,
        where=where,
        columns=names,
        order_by=order_by,
        descending=descending,
        limit=limit,
    )
    shape = shape_of(kind_named(table), order_by)
    show(rows, form, empty=lambda: _nothing(db_path, table, since, until), shape=shape, chosen=names is not None)


@query.command()
@click.argument("table", shell_complete=complete_table)
@click.argument("metric", shell_complete=complete_metric)
@_about_a_range
@_BY
@click.option("-n", "count", type=click.IntRange(min=0), default=10, show_default=True, help="How many.")
@click.option(
    "--function",
    type=click.Choice(["max", "avg", "sum", "count"]),
    help="Order groups by this function of METRIC. [default: sum of a counter, max of a level]",
)
@examples(
    "kernelsight query top syscall latency_ns --since 1h -n 20",
    "kernelsight query top process write_bytes --by pid --by comm",
)
def top(  # noqa: PLR0913
    *,
    table: str,
    metric: str,
    since: str,
    until: str,
    where: Sequence[str],
    by: Sequence[str],
    count: int,
    function: Any,
    db_path: str,
    form: Format,
) -> None:
    """Print the rows of TABLE with the most METRIC; with --by, the groups of rows."""
    rows = ask.top(db_path, table, metric, since, until, by=by, n=count, function=function, where=where)
    shape = _of_groups(table, metric, by, function) if by else _of_rows(table, metric)
    show(rows, form, empty=lambda: _nothing(db_path, table, since, until), shape=shape)


@query.command()
@click.argument("table", shell_complete=complete_table)
@click.argument("metric", shell_complete=complete_metric)
@_about_a_range
@click.option(
    "--points",
    type=click.IntRange(min=2),
    default=60,
    show_default=True,
    help="Print at most this many points a series; extremes are kept.",
)
@click.option("--raw", is_flag=True, help="Print counters as they are stored, not as rates.")
@examples("kernelsight query series network rx_bytes --where interface_name=eth0 --since 10m")
def series(  # noqa: PLR0913
    *,
    table: str,
    metric: str,
    since: str,
    until: str,
    where: Sequence[str],
    points: int,
    raw: bool,
    db_path: str,
    form: Format,
) -> None:
    """Print METRIC of TABLE over time, one series for each device, interface or process."""
    all_series = ask.series(db_path, table, metric, since, until, where=where, points=points, raw=raw)
    name = f"{metric} ({all_series[0].unit})" if all_series and all_series[0].unit and form == "table" else metric
    rows = (
        {**one_series.entity, "timestamp": row["timestamp"], "time": row["time"], name: row["value"]}
        for one_series in all_series
        for row in one_series.rows()
    )
    unit = all_series[0].unit if all_series else ""
    show(
        rows,
        form,
        empty=lambda: _nothing(db_path, table, since, until),
        shape=Shape(units={name: unit}, first=("time", name)),
    )


@query.command()
@click.argument("table", shell_complete=complete_table)
@click.argument("metric", shell_complete=complete_metric)
@_about_a_range
@_BY
@click.option("--interval", default="1m", show_default=True, metavar="DURATION", help="Length of an interval.")
@click.option(
    "--functions",
    default="count,min,avg,max",
    show_default=True,
    metavar="NAMES",
    help="One or more of avg, min, max, sum, count, rate, and percentiles such as p95; separated by commas.",
)
@examples("kernelsight query aggregate syscall latency_ns --by comm --interval 1m --functions count,p95,max")
def aggregate(  # noqa: PLR0913
    *,
    table: str,
    metric: str,
    since: str,
    until: str,
    where: Sequence[str],
    by: Sequence[str],
    interval: str,
    functions: str,
    db_path: str,
    form: Format,
) -> None:
    """Print aggregates of METRIC of TABLE, one row for each interval of time."""
    names = [name.strip() for name in functions.split(",")]
    rows = ask.aggregate(db_path, table, metric, since, until, interval, functions=names, by=by, where=where)
    shape = _of_functions(table, metric, ["time", *by, *names])
    show(rows, form, empty=lambda: _nothing(db_path, table, since, until), shape=shape)


@query.command()
@click.argument("table", shell_complete=complete_table)
@click.argument("metric", shell_complete=complete_metric)
@_about_a_range
@_BY
@click.option("-p", "ps", type=float, multiple=True, default=(50, 95, 99), show_default=True, help="Which percentile.")
@examples("kernelsight query percentiles syscall latency_ns --by syscall_name -p 50 -p 99")
def percentiles(  # noqa: PLR0913
    *,
    table: str,
    metric: str,
    since: str,
    until: str,
    where: Sequence[str],
    by: Sequence[str],
    ps: Sequence[float],
    db_path: str,
    form: Format,
) -> None:
    """Print exact percentiles of METRIC of TABLE over a time range."""
    rows = ask.percentiles(db_path, table, metric, since, until, ps=ps, by=by, where=where)
    shape = _of_functions(table, metric, [*by, *(f"p{p:g}" for p in ps)])
    show(rows, form, empty=lambda: _nothing(db_path, table, since, until), shape=shape)


@query.command()
@click.argument("moment", type=TIME)
@db_path_option
@click.option("--window", default="5s", show_default=True, metavar="DURATION", help="How far to look to either side.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="Print at most this many rows of each table.",
)
@wide_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
@examples("kernelsight query around 14:05:03 --window 2s")
def around(*, moment: str, window: str, limit: int, as_json: bool, db_path: str) -> None:
    """Print everything that happened near TIME: the rows of all tables, and what changed."""
    nearby = ask.around(db_path, moment, window, limit=limit)
    if as_json:
        show_json(nearby)
        return
    if not nearby["tables"]:
        show([], empty=f"no rows within {window} of {nearby['time']}; `kernelsight status` shows what there is")
    for near in nearby["tables"]:
        shape = shape_of(kind_named(near["table"]))
        click.echo(f"\n{near['table']}: {near['rows']:,} rows, the nearest:")
        show(_with_all_columns(near["nearest"]), shape=shape)
        if near["largest"]:
            click.echo(f"\n{near['table']}: the longest:")
            show(_with_all_columns(near["largest"]), shape=shape)
    if nearby["changed"]:
        click.echo("\nWhat differs from the time just before:")
        show(map(_flat_change, nearby["changed"]), shape=_OF_CHANGES)


@query.command()
@click.argument("before_start", metavar="START")
@click.argument("before_end", metavar="END")
@click.argument("after_start", metavar="START2")
@click.argument("after_end", metavar="END2", default="now")
@db_path_option
@click.option(
    "--table",
    "tables",
    multiple=True,
    shell_complete=complete_table,
    metavar="TABLE",
    help="Compare only this table; may be repeated.",
)
@click.option(
    "--limit", type=click.IntRange(min=0), default=20, show_default=True, help="Print at most this many metrics."
)
@format_option
@examples(
    "kernelsight query compare 2h 1h 1h now",
    "kernelsight query compare 13:00 13:10 14:00 14:10 --table block_stats",
)
def compare(  # noqa: PLR0913
    *,
    before_start: str,
    before_end: str,
    after_start: str,
    after_end: str,
    tables: Sequence[str],
    limit: int,
    db_path: str,
    form: Format,
) -> None:
    """Print the metrics that changed most from the window START to END to the window START2 to END2 (default: now)."""
    windows = (before_start, before_end), (after_start, after_end)
    differences = ask.compare(db_path, *windows, tables=tables or None, limit=limit)
    notes = _not_recorded(db_path, tables, windows)
    rows = differences if form == "json" else map(_flat_change, differences)
    show(rows, form, empty="" if notes else "nothing changed", shape=_OF_CHANGES)
    for note in notes:
        click.echo(note, err=True)


@query.command()
@click.argument("a", metavar="TABLE.METRIC")
@click.argument("b", metavar="TABLE.METRIC")
@db_path_option
@since_option("15m")
@until_option
@click.option(
    "--tolerance",
    default="1s",
    show_default=True,
    metavar="DURATION",
    help="Greatest time between the two points of a pair.",
)
@click.option(
    "--where-a", multiple=True, metavar="CONDITION", help="Use only rows of the first table that meet this condition."
)
@click.option(
    "--where-b", multiple=True, metavar="CONDITION", help="Use only rows of the second table that meet this condition."
)
@_BY
@click.option("--pairs", is_flag=True, help="Also print the pairs of points.")
@click.option(
    "--limit", type=click.IntRange(min=0), default=100, show_default=True, help="Print at most this many pairs."
)
@format_option
@examples("kernelsight query correlate syscall.latency_ns memory.mem_available_kb --since 1h")
def correlate(  # noqa: PLR0913
    *,
    a: str,
    b: str,
    since: str,
    until: str,
    tolerance: str,
    where_a: Sequence[str],
    where_b: Sequence[str],
    by: Sequence[str],
    pairs: bool,
    limit: int,
    db_path: str,
    form: Format,
) -> None:
    """Print how two metrics move together. Each point of the first is paired with the nearest point of the second."""
    how: dict[str, Any] = {"tolerance": tolerance, "by": by, "where_a": where_a, "where_b": where_b}
    if pairs:
        rows = ask.asof_join(db_path, a, b, since, until, limit=limit, **how)
    else:
        rows = ask.correlate(db_path, a, b, since, until, **how)
    show(rows, form, empty=lambda: _nothing_of_two(db_path, (a, b), since, until))


def _flat_change(change: Mapping[str, Any]) -> dict[str, Any]:
    """A change with its entity as text."""
    entity = " ".join(f"{name}={value}" for name, value in change["entity"].items())
    return {**change, "entity": entity}


def _of_rows(table: str, metric: str) -> Shape:
    """How `top` shows rows."""
    return replace(shape_of(kind_named(table), metric), with_units=True)


def _of_groups(table: str, metric: str, by: Sequence[str], function: str | None) -> Shape:
    """How `top` shows groups: the sum of a counter is its increase, its mean and maximum are rates a second."""
    kind = kind_named(table)
    added = kind.by_name[metric].unit
    units = {"sum": added, "avg": unit_named(kind, metric), "max": unit_named(kind, metric), "count": ""}
    value = units[function or default_function(kind, metric)]
    return Shape(units={**units, "value": value}, first=(*by, "value"), with_units=True)


def _of_functions(table: str, metric: str, first: Sequence[str]) -> Shape:
    """How functions of a metric are shown: of a counter those of its rate a second, but for its sum."""
    kind = kind_named(table)
    unit, own = unit_named(kind, metric), kind.by_name[metric].unit
    counts = {"count": "", "samples": "", "sum": own, "rate": unit if unit != own else f"{own}/s"}
    return Shape(units={name: counts.get(name, unit) for name in first if name != "time"}, first=first)


def _with_all_columns(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows from which NULLs were left out, with the same columns each."""
    names = dict.fromkeys(name for row in rows for name in row if name not in {"id", "timestamp"})
    return [{name: row.get(name) for name in names} for row in rows]


def _nothing(db_path: str, table: str, since: str, until: str) -> str:
    """Why there is no answer; `kernelsight status` shows what there is."""
    when = ask.time_range(since, until)
    why = why_no_rows(db_path, table, when)
    return f"no rows of {table} {when}: {why}; `kernelsight status` shows what there is"


def _nothing_of_two(db_path: str, metrics: Sequence[str], since: str, until: str) -> str:
    """The same for two metrics, TABLE.METRIC each, of which one or both have no rows."""
    tables = dict.fromkeys(metric.partition(".")[0] for metric in metrics)
    return "\n".join(_nothing(db_path, table, since, until) for table in tables)


def _not_recorded(db_path: str, tables: Sequence[str], windows: Sequence[tuple[str, str]]) -> list[str]:
    """Of which windows nothing, or nothing of one of the tables, was recorded, a sentence each."""
    said = []
    for start, end in windows:
        when = ask.time_range(start, end)
        if last_row(db_path, STEADY, when) is None and last_row(db_path, STEADY, EVERYTHING) is not None:
            said.append(f"nothing was recorded {when}; `kernelsight status` shows what there is")
            continue
        missing = [table for table in tables if last_row(db_path, (kind_named(table).name,), when) is None]
        said += [_nothing(db_path, table, start, end) for table in missing]
    return said
