"""The page of the rules for signals, written from the rules themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import attrgetter

from kernelsight.signals.model import Rule


def rules_page(rules: Iterable[Rule]) -> Iterator[str]:
    """The lines of the page: one section a subject, one table row a rule."""
    yield from ("# Rules", "")
    yield (
        "What [signals](signals.md) are raised by. A counter stands for its rate a second. *From*: the value that "
        "raises it, of each severity; *for*: how long it has to stay there (0: one value is enough); *until*: it goes "
        "on until the value has been below this for so long. *Critical when*: the harm that such a value shows: "
        "somebody waits (wait), a call fails (failure), or something has run out (exhaustion). A rule whose measure "
        "shows no harm is never critical. *When healthy*: the machine on which it stands though nothing is wrong, and "
        "for how long."
    )
    for subject, group in groupby(sorted(rules, key=attrgetter("subject", "name")), attrgetter("subject")):
        yield from ("", f"## {subject}", "")
        yield "| rule | of each | what is measured | from | for | until | because | critical when | when healthy |"
        yield "|---|---|---|---|---|---|---|---|---|"
        for rule in group:
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in _cells(rule)) + " |"


def _cells(rule: Rule) -> tuple[str, ...]:
    tests = [f"{test.column} {test.operator} {_value(test.value)}" for test in rule.where]
    measured = f"`{rule.kind.table}`: `{rule.measure}`" + (f" where {' and '.join(tests)}" if tests else "")
    return (
        f"`{rule.name}`",
        rule.scope,
        measured,
        ", ".join(f"{name} {level:,.15g}" for name, level in rule.levels.items()) + f" {rule.measure.unit}",
        f"{rule.raise_after_s} s",
        f"{rule.clear_below:,.15g} for {rule.clear_after_s} s",
        rule.because,
        "never" if rule.harm is None else f"{rule.harm.sort}: {rule.harm.text}",
        rule.healthy or "not known",
    )


def _value(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else f"{value}"
