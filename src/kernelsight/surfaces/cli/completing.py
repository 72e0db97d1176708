"""What the shell offers on the Tab key: tables, metrics, times, collectors, rules, from the declarations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

FORMS = {
    "now": "this moment",
    "1m": "a minute ago",
    "15m": "15 minutes ago",
    "1h": "an hour ago",
    "1d": "a day ago",
    "14:05": "the latest moment with this time of day",
    "2026-11-23T14:05:00": "local time; with Z or an offset of your choice",
}
"""Forms of a time that every command takes."""


def _offered(values: Iterable[tuple[str, str]], typed: str, before: str = "") -> list[CompletionItem]:
    """The values that begin so, each behind what stands before it."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415 - for the Tab key alone, and slow to load

    return [CompletionItem(f"{before}{value}", help=meaning) for value, meaning in values if value.startswith(typed)]


class _Time(click.types.StringParamType):
    """A time as :mod:`kernelsight.query.times` reads it, which is done where it is used."""

    name = "TIME"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Forms of a time."""
        del ctx, param
        return _offered(FORMS.items(), incomplete)


TIME = _Time()


def complete_table(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Tables, and the kinds of event that they hold."""
    del context, parameter
    from kernelsight.events.wire import kinds  # noqa: PLC0415 - only completion and some commands need them

    names = [(name, kind.meaning) for kind in kinds().values() for name in dict.fromkeys((kind.table, kind.name))]
    return _offered(sorted(names), incomplete)


def complete_metric(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The numeric columns of the table that was typed before; of none, nothing."""
    del parameter
    return _offered(_columns(context, numeric=True), incomplete)


def complete_column(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The columns of the table that was typed before; after a comma, the next one."""
    del parameter
    before, comma, last = incomplete.rpartition(",")
    return _offered(_columns(context, numeric=False), last, f"{before}{comma}")


def _columns(context: click.Context, *, numeric: bool) -> list[tuple[str, str]]:
    from kernelsight.events.wire import kinds  # noqa: PLC0415 - see above

    # Behind an option whose value is still to come, click leaves the arguments unnamed.
    typed = {context.params.get("table"), *context.args}
    kind = next((kind for kind in kinds().values() if typed & {kind.table, kind.name}), None)
    if kind is None:
        return []
    return [
        (column.name, "; ".join(filter(None, (column.unit, column.meaning))))
        for column in kind.columns
        if not numeric or (column.type in {"INTEGER", "REAL"} and column.name != "timestamp")
    ]


def complete_collector(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of collectors."""
    del context, parameter
    from kernelsight.collectors.base import registered  # noqa: PLC0415 - loads every collector

    return _offered(((name, sources[0].summary) for name, sources in registered().items()), incomplete)


def complete_rule(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of rules."""
    del context, parameter
    from kernelsight.signals.registry import rules  # noqa: PLC0415 - loads every rule

    return _offered(((name, rule.because) for name, rule in rules().items()), incomplete)
