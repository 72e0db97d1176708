"""Show how long each table is kept and what it takes on disk, and what goes now; with --apply, let it go.

Rows leave in three steps. After --keep-sql they can no longer be read by SQL and are kept as columns, where the store
has made these. After --keep they go altogether. The sums by minute and hour stay until --keep-rollups. When the store
takes more than --max-disk, the oldest goes before its time. The daemon keeps the limits while it runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from kernelsight.moments import to_next_second, to_second
from kernelsight.stores.base import store
from kernelsight.stores.limits import EVERY, Limit, Retained
from kernelsight.surfaces.cli.command import Command, db_path_option, examples
from kernelsight.surfaces.cli.output import show, show_json
from kernelsight.surfaces.figures import human_bytes
from kernelsight.surfaces.keeping import keeping_options, limits_of, shown


@click.command(cls=Command, help=__doc__)
@db_path_option
@keeping_options(shows_defaults=False)
@click.option("--apply", is_flag=True, help="Store the limits that are given, and let go of what is beyond all limits.")
@click.option("--dry-run", is_flag=True, help="Only show what would go. This is the default.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
@examples(
    "kernelsight retention",
    "kernelsight retention --keep 7d --max-disk 500MB",
    "kernelsight retention --keep 7d --keep process=2d --apply",
)
def retention(  # noqa: PLR0913 - one argument an option
    *,
    db_path: str,
    keep_sql: Sequence[str],
    keep: Sequence[str],
    keep_rollups: Sequence[str],
    max_disk: str | None,
    apply: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Show and apply limits."""
    if apply and dry_run:
        raise click.UsageError("--apply changes the store and --dry-run does not: give one of them")
    changes = limits_of(keep_sql, keep, keep_rollups, max_disk)
    chosen = store(db_path)
    if apply:
        from kernelsight.surfaces.unprivileged import serve_as_owner  # noqa: PLC0415 - not to show

        serve_as_owner(db_path, [])
        for sentence in chosen.apply_limits(changes):
            click.echo(sentence, err=as_json)
    retained = chosen.retained(changes)
    if retained is None:
        click.echo(f"{db_path}: its server decides what is kept")
    elif as_json:
        show_json({"database": db_path, **_as_json(retained)})
    else:
        _print(db_path, retained, applied=apply)


def _as_json(retained: Retained) -> dict[str, Any]:
    whole = asdict(retained)
    whole["limits"] = [
        {"table": table, "limit": name, "value": value} for (table, name), value in retained.limits.values.items()
    ]
    return whole


def _print(db_path: str, retained: Retained, *, applied: bool) -> None:
    free = f", of which {human_bytes(retained.free_bytes)} are free for new rows" if retained.free_bytes else ""
    click.echo(f"{db_path}: {human_bytes(retained.bytes)} on disk{free}\n")
    if retained.limits.values:
        click.echo("Limits:")
        show([_limit_line(limit, value) for limit, value in sorted(retained.limits.values.items(), key=_in_order)])
    else:
        click.echo("It has no limits: everything is kept for good. The next `kernelsight ingest` or `start` sets some.")
    click.echo("\nKept:")
    show([_kept_line(kept) for kept in _shown_kept(retained)], empty="It has no rows yet.")
    if retained.leaving:
        click.echo("\nStill beyond the limits:" if applied else "\nWould go now:")
        show([_leaving_line(item) for item in map(asdict, retained.leaving)])
    else:
        click.echo("\nNothing is beyond the limits.")
    for warning in retained.warnings:
        click.echo(warning)
    if retained.leaving and not applied:
        click.echo("\nA daemon that runs lets it go by itself; `kernelsight retention --apply` does it at once.")
    if not retained.returns_space:
        click.echo(
            "\nAn older version made this file: space that becomes free stays in it, for new rows. End the daemon, then"
            " `kernelsight retention --apply` writes the file anew, once, if much of it is free."
        )


def _in_order(item: tuple[Limit, int | None]) -> tuple[bool, str, str]:
    (table, name), _ = item
    return table != EVERY, table, name


def _limit_line(limit: Limit, value: int | None) -> dict[str, Any]:
    table, name = limit
    return {
        "option": f"--{name.replace('_', '-')}",
        "value": shown(name, value),
        "tables": "all" if table == EVERY else table,
    }


def _shown_kept(retained: Retained) -> list[Any]:
    there = [kept for kept in retained.kept if kept.rows or kept.archived_rows or kept.rollup_bytes]
    return sorted(there, key=lambda kept: kept.bytes + kept.column_bytes + kept.rollup_bytes, reverse=True)


def _kept_line(kept: Any) -> dict[str, Any]:
    return {
        "table": kept.table,
        "rows": kept.rows,
        "in_sql": human_bytes(kept.bytes),
        "archived_rows": kept.archived_rows,
        "in_columns": human_bytes(kept.column_bytes),
        "in_rollups": human_bytes(kept.rollup_bytes),
        "first": None if kept.first_ns is None else to_second(kept.first_ns),
        "last": None if kept.last_ns is None else to_next_second(kept.last_ns),
    }


def _leaving_line(item: dict[str, Any]) -> dict[str, Any]:
    return {**item, "bytes": human_bytes(item["bytes"]), "because": f"--{item['because'].replace('_', '-')}"}
