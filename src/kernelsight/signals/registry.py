"""All rules, from the modules of :mod:`kernelsight.signals.rules`: each has a tuple ``RULES``."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from kernelsight.modules import modules_of
from kernelsight.signals.model import Rule


@cache
def rules() -> Mapping[str, Rule]:
    """All rules by name. A new module is found by itself.

    Raises:
        TypeError: two have one name.
    """
    found: dict[str, Rule] = {}
    for subject, module in modules_of("kernelsight.signals.rules").items():
        for rule in module.RULES:
            if rule.name in found:
                raise TypeError(f"{subject}: there is a rule {rule.name!r} already")
            found[rule.name] = replace(rule, subject=subject)
    return dict(sorted(found.items()))


def edition(found: Mapping[str, Rule]) -> str:
    """Differs when any rule does: what other rules found cannot be continued."""
    parts = [
        (rule.name, rule.kind.table, rule.measure, rule.levels, rule.clear_below, *_times(rule), rule.by, rule.where)
        for rule in found.values()
    ]
    return f"{zlib.crc32(repr(parts).encode()):08x}"


def _times(rule: Rule) -> tuple[int, int]:
    return rule.raise_after_s, rule.clear_after_s
